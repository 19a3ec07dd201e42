// Where everything lies. All views share one scale and one point, told in the breast's own terms: so far from the chest
// wall, so far below the middle. What is R and what is L then move as mirror images, and chest walls stay together.

const CLOSEST = 24;

/** Original pixel x lies at ox + kx * x of the pane, in CSS pixels; y likewise. */
function placeIn(pane, state) {
  const { image, width, height } = pane;
  const [down, across] = image.unit;
  const { top, bottom, left, right } = image.window;
  const [kx, ky] = [across * state.scale, down * state.scale];
  const ox =
    image.side === "R"
      ? width / 2 + state.across * state.scale - right * kx
      : width / 2 - state.across * state.scale - left * kx;
  return { kx, ky, ox, oy: height / 2 - state.down * state.scale - ((top + bottom) / 2) * ky };
}

/** The original pixel under a point of the pane. */
function pixelAt(pane, state, point) {
  const place = placeIn(pane, state);
  return [(point[0] - place.ox) / place.kx, (point[1] - place.oy) / place.ky];
}

/** Which way "away from the chest wall" points on the screen. */
function outward(image) {
  return image.side === "R" ? -1 : 1;
}

/** The scale at which every view is seen whole. */
function fitScale(panes) {
  return Math.min(
    ...panes.map(({ image, width, height }) => {
      const { top, bottom, left, right } = image.window;
      return Math.min(width / ((right - left) * image.unit[1]), height / ((bottom - top) * image.unit[0]));
    }),
  );
}

/** See every view whole, chest walls at the middle of the wall. */
function fit(state, panes) {
  if (!panes.length) return;
  state.scale = fitScale(panes);
  state.across = panes[0].width / 2 / state.scale;
  state.down = 0;
  state.fitted = true;
}

/** Enlarge by a factor and keep what lies under a point of a pane where it is. */
function zoomAt(state, panes, pane, point, factor) {
  const least = fitScale(panes) / 2;
  const most = CLOSEST / Math.min(...pane.image.unit);
  const scale = Math.min(Math.max(state.scale * factor, least), most);
  const [x, y] = [(point[0] - pane.width / 2) * outward(pane.image), point[1] - pane.height / 2];
  state.across += x / state.scale - x / scale;
  state.down += y / state.scale - y / scale;
  state.scale = scale;
  state.fitted = false;
}

/** Move all views; `dx` and `dy` are pixels of the screen in this pane. */
function panBy(state, pane, dx, dy) {
  state.across -= (dx * outward(pane.image)) / state.scale;
  state.down -= dy / state.scale;
  state.fitted = false;
}

/** Bring a box of a pane's image to the middle of every view, large enough to be looked at. */
function centreOn(state, panes, pane, box) {
  const { image, width, height } = pane;
  const [top, left, bottom, right] = box;
  const [down, across] = image.unit;
  const size = Math.max((bottom - top) * down, (right - left) * across);
  const wanted = (Math.min(width, height) * 0.3) / size;
  state.scale = Math.max(fitScale(panes), Math.min(wanted, 2 / Math.min(down, across)));
  const x = (left + right) / 2;
  state.across = (image.side === "R" ? image.window.right - x : x - image.window.left) * across;
  state.down = ((top + bottom) / 2 - (image.window.top + image.window.bottom) / 2) * down;
  state.fitted = false;
}

/** Length of a line between two original pixels, as it is printed. */
function lengthWords(image, from, to) {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  if (!image.spacing) return `${Math.hypot(dx, dy).toFixed(0)} px`;
  return `${Math.hypot(dx * image.spacing[1], dy * image.spacing[0]).toFixed(1)} mm`;
}

/** The longest round length that takes at most a third of the width, in mm. */
function barLength(width, scale) {
  const lengths = [100, 50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1];
  return lengths.find((length) => length * scale <= width / 3) ?? 0.1;
}
