// The mouse: drag to move, drag with the right button to window, wheel to enlarge, and the tools that take its place.

const WHEEL = 1.0015;

/** Listen on a pane; returns nothing, for the listeners go with the pane. */
function listenOn(pane, viewer) {
  const { state } = viewer;
  const pointOf = (event) => {
    const bounds = pane.element.getBoundingClientRect();
    return [event.clientX - bounds.left, event.clientY - bounds.top];
  };
  let drag = null;
  pane.element.addEventListener("contextmenu", (event) => event.preventDefault());
  pane.element.addEventListener("pointerdown", (event) => {
    if (event.target instanceof HTMLButtonElement) return;
    const point = pointOf(event);
    const kind = event.button === 2 || event.shiftKey ? "window" : state.measure ? "measure" : "pan";
    if (kind === "measure") state.lines.push(lineFrom(pane, state, point));
    drag = { kind, point };
    pane.element.setPointerCapture(event.pointerId);
    viewer.hold(pane);
  });
  pane.element.addEventListener("pointermove", (event) => {
    const point = pointOf(event);
    state.pointer = { pane, point };
    if (drag) {
      dragTo(pane, viewer, drag, point);
      drag.point = point;
    }
    if (drag || state.lens) viewer.changed();
  });
  const end = () => {
    if (drag?.kind === "measure") endLine(pane, viewer);
    drag = null;
  };
  pane.element.addEventListener("pointerup", end);
  pane.element.addEventListener("pointercancel", end);
  pane.element.addEventListener("pointerleave", () => {
    state.pointer = null;
    if (state.lens) viewer.changed();
  });
  pane.element.addEventListener("dblclick", () => viewer.showOnly(state.only === null ? pane : null));
  pane.element.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      zoomAt(state, viewer.shown(), pane, pointOf(event), WHEEL ** -event.deltaY);
      viewer.hold(pane);
      viewer.changed();
    },
    { passive: false },
  );
}

function dragTo(pane, viewer, drag, point) {
  const { state } = viewer;
  const [dx, dy] = [point[0] - drag.point[0], point[1] - drag.point[1]];
  if (drag.kind === "pan") panBy(state, pane, dx, dy);
  if (drag.kind === "window") windowBy(state, dx / 300, dy / 300);
  if (drag.kind === "measure") state.lines.at(-1).to = pixelAt(pane, state, point);
}

/** Right is wider, which lowers contrast; down is brighter, as reading stations have it. */
function windowBy(state, wider, brighter) {
  state.look = {
    ...state.look,
    stretch: Math.min(Math.max(state.look.stretch * 2 ** wider, 0.02), 20),
    shift: Math.min(Math.max(state.look.shift - brighter, -5), 5),
  };
}

function lineFrom(pane, state, point) {
  const from = pixelAt(pane, state, point);
  return { image: pane.image.id, from, to: from };
}

/** A line of no length was a click. */
function endLine(pane, viewer) {
  const { state } = viewer;
  const line = state.lines.at(-1);
  if (line.from[0] === line.to[0] && line.from[1] === line.to[1]) state.lines.pop();
  else viewer.say(`${pane.image.title}: ${lengthWords(pane.image, line.from, line.to)}`);
  viewer.changed();
}
