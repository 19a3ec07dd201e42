// True size: one mm of the image is one mm on the screen. How fine the screen is no browser knows: the reader says it
// once, by a bank card held against the screen, and it is kept in this browser.

/** A bank card in mm (ISO/IEC 7810, ID-1). */
const CARD = { width: 85.6, height: 53.98 };
const KEPT_AS = "medproto-dots-per-mm";
/** Dots of a screen to a mm, from a wall display to a telephone: anything else was not set by us. */
const FINENESS = [1, 30];

/** Dots of this screen to a mm; null where nobody has said it yet. */
function finenessOfScreen() {
  const kept = Number(localStorage.getItem(KEPT_AS));
  return kept >= FINENESS[0] && kept <= FINENESS[1] ? kept : null;
}

/** The scale of true size, in CSS pixels to a mm: other than dots, these change with the browser's zoom. */
function trueScale() {
  const fineness = finenessOfScreen();
  return fineness === null ? null : fineness / (window.devicePixelRatio || 1);
}

/** Whether a view that knows its spacing is shown in true size. */
function isTrueSize(pane, state) {
  const scale = trueScale();
  return Boolean(pane.image.spacing) && scale !== null && Math.abs(state.scale / scale - 1) < 1e-6;
}

/** Show every view in true size, once it is known how fine the screen is. */
function showTrueSize(viewer) {
  const pane = viewer.held();
  if (!pane.image.spacing) return viewer.say("True size is not known: the image does not say how large its pixels are.");
  const scale = trueScale();
  if (scale === null) return askForScreen(viewer);
  zoomAt(viewer.state, viewer.shown(), pane, [pane.width / 2, pane.height / 2], scale / viewer.state.scale);
  viewer.changed();
}

/** Ask how large a bank card is on this screen, then show true size. */
function askForScreen(viewer) {
  viewer.root.querySelector(".screen")?.remove();
  const panel = Object.assign(document.createElement("form"), { className: "screen" });
  panel.setAttribute("role", "group");
  panel.setAttribute("aria-label", "Size of this screen");
  const words = document.createElement("p");
  words.textContent =
    "Hold a bank card against the screen and make the frame as large as the card. This is kept for this screen.";
  const card = Object.assign(document.createElement("div"), { className: "card" });
  const width = Object.assign(document.createElement("input"), { type: "range", min: 150, max: 900, step: 1 });
  width.setAttribute("aria-label", "Width of the card");
  const drawn = () => {
    card.style.width = `${width.value}px`;
    card.style.height = `${(Number(width.value) * CARD.height) / CARD.width}px`;
  };
  width.value = String(Math.round((trueScale() ?? 96 / 25.4) * CARD.width));
  width.addEventListener("input", drawn);
  drawn();
  const done = Object.assign(document.createElement("button"), { type: "submit", textContent: "As large as the card" });
  const leave = Object.assign(document.createElement("button"), { type: "button", textContent: "Leave it" });
  leave.addEventListener("click", () => panel.remove());
  panel.addEventListener("submit", (event) => {
    event.preventDefault();
    const dots = (Number(width.value) * (window.devicePixelRatio || 1)) / CARD.width;
    localStorage.setItem(KEPT_AS, String(dots));
    panel.remove();
    showTrueSize(viewer);
  });
  const row = document.createElement("div");
  row.append(width, done, leave);
  panel.append(words, row, card);
  viewer.root.append(panel);
  width.focus();
}
