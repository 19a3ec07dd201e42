// One place on the wall: a picture with all that is drawn over it, or the labelled gap of a view that is missing.

/** A pane of the wall; its canvas holds the words side, view and SYNTHETIC too, so that no copy goes without them. */
function makePane(slot, host) {
  const element = document.createElement("div");
  element.className = "pane";
  if (!slot || !slot.image) {
    element.classList.add("gap");
    element.textContent = slot ? `${slot.label}: not in this exam` : "";
    return { element, image: null };
  }
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", [slot.image.title, host.note].filter(Boolean).join(", "));
  element.append(canvas);
  element.dataset.image = slot.image.id;
  element.dataset.title = slot.image.title;
  const pane = {
    element,
    canvas,
    context: canvas.getContext("2d", { alpha: false }),
    image: slot.image,
    note: host.note,
    picture: new Picture(slot.image, host.views, host.changed),
    heats: slot.image.heats.map((heat) => ({ ...heat, asked: false, picture: null })),
    width: 1,
    height: 1,
  };
  pane.tags = slot.image.marks.filter((mark) => !mark.dashed).map((mark) => tagOf(mark, pane, host));
  return pane;
}

function tagOf(mark, pane, host) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = mark.against ? "tag against" : "tag";
  button.textContent = mark.text;
  button.setAttribute("aria-label", `Evidence ${mark.text} on ${pane.image.title}`);
  button.addEventListener("click", () => host.clicked(mark.labels[0]));
  pane.element.append(button);
  return { mark, button };
}

/** Draw a pane whole; returns whether it is as fine as it gets. */
function drawPane(pane, state) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(pane.width * ratio), Math.round(pane.height * ratio)];
  if (pane.canvas.width !== width || pane.canvas.height !== height) {
    pane.canvas.width = width;
    pane.canvas.height = height;
  }
  const { context } = pane;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.fillStyle = "#000";
  context.fillRect(0, 0, pane.width, pane.height);
  const place = placeIn(pane, state);
  if (pane.picture.head) pane.picture.dress(state.look);
  const whole = { left: 0, top: 0, right: pane.width, bottom: pane.height };
  const complete = drawPicture(context, pane, place, whole, ratio);
  drawHeat(context, pane, place, state);
  drawContours(context, pane, place, state);
  placeTags(pane, place, state);
  drawLines(context, pane, place, state);
  drawLens(context, pane, place, state, ratio);
  drawBar(context, pane, state);
  drawTitle(pane, state);
  return complete;
}

/** The picture alone; in whole pixels of the screen, so that tiles meet. */
function drawPicture(context, pane, place, area, ratio) {
  if (!pane.picture.head) return Boolean(pane.picture.failure);
  const scaled = (rect) => Object.fromEntries(Object.entries(rect).map(([name, value]) => [name, value * ratio]));
  context.save();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.imageSmoothingEnabled = true;
  const complete = pane.picture.draw(context, scaled(place), scaled(area));
  context.restore();
  return complete;
}

/** Side and view in the outer upper corner, and below what must be known of the picture. */
function drawTitle(pane, state) {
  const { context, image } = pane;
  const left = image.side === "R";
  const [x, align] = left ? [10, "left"] : [pane.width - 10, "right"];
  drawWords(context, image.title, x, 20, "#fff", "700 15px sans-serif", align);
  const lines = [];
  if (image.synthetic) lines.push(["SYNTHETIC", "#ffb37a"]);
  // beside one another, four views leave no room for it on one line
  if (pane.note) lines.push(...pane.note.split(", ").map((line) => [line, "#7fd0ee"]));
  if (!image.full) lines.push(["reduced picture, 8 bits", "#c3cad1"]);
  if (pane.picture.head && state.readout) lines.push([windowWords(pane.picture.head.greys, state.look), "#c3cad1"]);
  lines.forEach(([words, colour], i) => drawWords(context, words, x, 38 + 16 * i, colour, "12px sans-serif", align));
  if (pane.picture.failure && !pane.picture.head) {
    drawWords(context, pane.picture.failure, pane.width / 2, pane.height / 2, "#fff", "14px sans-serif", "center");
  }
}

function windowWords(greys, look) {
  const { centre, width } = windowOf(greys, look);
  return `W ${Math.round(width)} C ${Math.round(centre)}`;
}
