// Everything that a key or a button does, in one table: the keyboard, the toolbar and the help panel are made of it.

const STEP = 60;

/** [keys as the browser names them, as the help panel prints them, what they do, the button's words or "", the action] */
function commandsOf(viewer) {
  const { state } = viewer;
  const toggle = (name) => () => (state[name] = !state[name]);
  const zoom = (factor) => () => {
    const pane = viewer.held();
    zoomAt(state, viewer.shown(), pane, [pane.width / 2, pane.height / 2], factor);
  };
  const pan = (dx, dy) => () => panBy(state, { image: { side: "L" } }, dx, dy);
  // before an opinion that comes first there is nothing to lay over the views
  const overlaid = viewer.data.rows.flat().some((slot) => slot?.image && slot.image.heats.length + slot.image.marks.length);
  const opacity = (by) => () => (state.opacity = Math.min(1, Math.max(0.1, Math.round((state.opacity + by) * 10) / 10)));
  return [
    [["f"], "F", "see all views whole", "Fit", () => viewer.fit()],
    [["a"], "A", "actual pixels: one of the image to one of the screen", "1:1", () => viewer.actual()],
    [["t"], "T", "true size: one mm of the image is one mm on this screen", "True size", () => showTrueSize(viewer)],
    [["T"], "Shift T", "set how large this screen is, by a bank card", "", () => askForScreen(viewer)],
    [["+", "="], "+", "enlarge", "", zoom(1.25)],
    [["-", "_"], "−", "make smaller", "", zoom(0.8)],
    [["ArrowLeft"], "←", "move all views; R and L mirror each other", "", pan(STEP, 0)],
    [["ArrowRight"], "→", "move all views", "", pan(-STEP, 0)],
    [["ArrowUp"], "↑", "move all views", "", pan(0, STEP)],
    [["ArrowDown"], "↓", "move all views", "", pan(0, -STEP)],
    [["d"], "D", "next window of the images' own", "", () => viewer.nextPreset()],
    [["["], "[", "narrower window: more contrast", "", () => windowBy(state, -0.2, 0)],
    [["]"], "]", "wider window: less contrast", "", () => windowBy(state, 0.2, 0)],
    [["."], ".", "brighter", "", () => windowBy(state, 0, 0.05)],
    [[","], ",", "darker", "", () => windowBy(state, 0, -0.05)],
    [["w"], "W", "windows as the images were scored", "Reset", () => viewer.resetLook()],
    [["i"], "I", "invert", "Invert", () => (state.look = { ...state.look, invert: !state.look.invert })],
    [["h"], "H", "heatmap off or on", overlaid ? "Heatmap" : "", toggle("heat")],
    [["k"], "K", "heatmap fainter", "", opacity(-0.1)],
    [["j"], "J", "heatmap stronger", "", opacity(0.1)],
    [["b"], "B", "boxes off or on", overlaid ? "Boxes" : "", toggle("boxes")],
    [["e"], "E", "next evidence: every view moves to it", "", () => viewer.nextEvidence(1)],
    [["E"], "Shift E", "evidence before", "", () => viewer.nextEvidence(-1)],
    [["l"], "L", "measure a length: drag a line", "Ruler", () => viewer.toggleRuler()],
    [["m"], "M", "magnifier under the pointer", "Lens", toggle("lens")],
    [["p"], "P", "earlier exam beside this one", viewer.data.offersPrior ? "Prior" : "", () => viewer.togglePrior()],
    [["1", "2", "3", "4"], "1 to 4", "one view alone; double-click does it too", "", (key) => viewer.showPlace(Number(key) - 1)],
    [["0", "Escape"], "0 or Esc", "back to all views; lines are removed", "", () => viewer.allViews()],
    [["?"], "?", "this list", "Keys", () => viewer.toggleHelp()],
  ];
}

/** Whether a key is meant for something else: a field, a menu, another part of the page. */
function isElsewhere(event, element) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return true;
  const target = event.composedPath()[0];
  if (!(target instanceof Element)) return false;
  if (target.closest("textarea, select, [contenteditable=true], [role=listbox], [role=dialog]")) return true;
  const arrows = event.key.startsWith("Arrow");
  // a switch or a slider takes arrows and no letters
  if (target instanceof HTMLInputElement) return arrows || !["checkbox", "radio", "range"].includes(target.type);
  return arrows && target !== document.body && !element.contains(target);
}

/** Listen to the keyboard of the page until the signal says stop. */
function listenToKeys(viewer, signal) {
  const actions = new Map(viewer.commands.flatMap(([keys, , , , action]) => keys.map((key) => [key, action])));
  document.addEventListener(
    "keydown",
    (event) => {
      const action = actions.get(event.key);
      if (!action || isElsewhere(event, viewer.root) || !viewer.held()) return;
      event.preventDefault();
      event.stopPropagation();
      action(event.key);
      viewer.changed();
    },
    { signal, capture: true },
  );
}

/** The toolbar: a button for each command with words, the windows as a menu, the heatmap's strength. */
function makeToolbar(viewer) {
  const bar = document.createElement("div");
  bar.className = "bar";
  bar.setAttribute("role", "toolbar");
  bar.setAttribute("aria-label", "Views");
  viewer.buttons = {};
  for (const [names, keys, does, words, action] of viewer.commands) {
    if (!words) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = words;
    button.title = `${does} (${keys})`;
    button.setAttribute("aria-keyshortcuts", names.join(" "));
    button.addEventListener("click", () => {
      action("");
      viewer.changed();
    });
    viewer.buttons[words] = button;
    bar.append(button);
  }
  viewer.presets = document.createElement("select");
  viewer.presets.setAttribute("aria-label", "Window");
  viewer.presets.title = "windows of the images' own (D)";
  viewer.presets.addEventListener("change", () => viewer.choosePreset(Number(viewer.presets.value)));
  viewer.strength = Object.assign(document.createElement("input"), { type: "range", min: 10, max: 100, step: 10 });
  viewer.strength.setAttribute("aria-label", "Opacity of the heatmap");
  viewer.strength.title = "opacity of the heatmap (K fainter, J stronger)";
  viewer.strength.addEventListener("input", () => {
    viewer.state.opacity = Number(viewer.strength.value) / 100;
    viewer.changed();
  });
  viewer.buttons.Reset.before(viewer.presets);
  viewer.buttons.Heatmap?.after(viewer.strength);
  viewer.status = Object.assign(document.createElement("output"), { className: "status" });
  return bar;
}

/** What is pressed and chosen; the page is touched only where that has changed since the last drawing. */
function refreshToolbar(viewer) {
  const { state, buttons } = viewer;
  const greys = viewer.held()?.picture.head?.greys;
  const { look, heat, boxes, measure, lens, opacity } = state;
  const now = JSON.stringify([look, heat, boxes, measure, lens, opacity, greys?.presets.length]);
  if (now === viewer.refreshed) return;
  viewer.refreshed = now;
  const pressed = { Invert: state.look.invert, Heatmap: state.heat, Boxes: state.boxes, Ruler: state.measure };
  Object.assign(pressed, { Lens: state.lens, Prior: Boolean(viewer.data.prior) });
  for (const [name, on] of Object.entries(pressed)) buttons[name]?.setAttribute("aria-pressed", String(on));
  viewer.strength.value = String(Math.round(state.opacity * 100));
  viewer.strength.disabled = !state.heat;
  if (!greys) return;
  const names = greys.presets.map((preset) => preset.name);
  if (viewer.presets.options.length !== names.length) {
    viewer.presets.replaceChildren(...names.map((name, place) => new Option(name, String(place))));
  }
  viewer.presets.value = String(state.look.preset ?? greys.chosen);
}

function makeHelp(viewer) {
  const panel = document.createElement("div");
  panel.className = "help";
  panel.hidden = true;
  panel.setAttribute("role", "region");
  panel.setAttribute("aria-label", "Keys");
  const list = document.createElement("dl");
  for (const [, keys, does] of viewer.commands) {
    const [term, text] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = keys;
    text.textContent = does;
    list.append(term, text);
  }
  const mouse = document.createElement("p");
  mouse.textContent =
    "Drag moves, the wheel enlarges, drag with the right button or with Shift windows: right is wider, down is brighter.";
  const page = document.createElement("p");
  page.textContent =
    "Beside the views: Y agrees, X disagrees, Q refers, Ctrl Enter signs, Ctrl S saves the report, N opens the next exam.";
  panel.append(list, mouse, page);
  return panel;
}
