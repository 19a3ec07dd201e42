// What is drawn over a picture: heatmaps, contours with their labels, lines that were measured, the lens.

const FOR = "#ffd24a";
const AGAINST = "#7fd0ee";
const LENS = { radius: 120, factor: 2.5 };

/** Whether evidence of these labels is shown: all that speaks for the class, or the chosen one alone. */
function isShown(labels, against, choice) {
  return choice === "All" ? !against : labels.includes(choice);
}

function drawHeat(context, pane, place, state) {
  if (!state.heat) return;
  context.save();
  context.globalAlpha = state.opacity;
  for (const heat of pane.heats) {
    if (!heat.picture || !isShown([heat.label], heat.against, state.choice)) continue;
    const { rows, columns } = pane.image;
    context.drawImage(heat.picture, place.ox, place.oy, columns * place.kx, rows * place.ky);
  }
  context.restore();
}

/** Fetch the maps that are shown for the first time, all at once: half of them never are. */
function fetchMaps(viewer) {
  const { heat: drawn, choice } = viewer.state;
  const heats = viewer.shown().flatMap((pane) => pane.heats);
  const due = heats.filter((heat) => drawn && !heat.asked && isShown([heat.label], heat.against, choice));
  if (!due.length) return;
  for (const heat of due) heat.asked = true;
  const asked = new URLSearchParams(due.map((heat) => ["prototype", heat.prototype]));
  askForParts(`${viewer.data.maps}?${asked}`)
    .then((parts) => Promise.all(parts.map((part) => openMap(part, due))))
    .catch((error) => viewer.say(error.message))
    .finally(viewer.changed);
}

/** Give a map to the heat it is of. */
async function openMap({ id, failure, data }, heats) {
  if (failure) throw new Error(failure);
  const picture = await createImageBitmap(new Blob([data], { type: "image/png" }));
  for (const heat of heats) if (heat.prototype === id) heat.picture = picture;
}

/** The contours of what is shown: solid for the box, dashed for the patch that was compared, each on a dark ground. */
function drawContours(context, pane, place, state) {
  if (!state.boxes) return;
  for (const mark of pane.image.marks) {
    if (!isShown(mark.labels, mark.against, state.choice)) continue;
    const [left, top, width, height] = rectOf(mark.box, place);
    for (const [colour, thick] of [["#000", 4], [mark.against ? AGAINST : FOR, 1.8]]) {
      context.strokeStyle = colour;
      context.lineWidth = thick;
      context.setLineDash(mark.dashed && colour !== "#000" ? [5, 4] : []);
      context.strokeRect(left, top, width, height);
    }
  }
  context.setLineDash([]);
}

function rectOf([top, left, bottom, right], place) {
  return [
    place.ox + left * place.kx,
    place.oy + top * place.ky,
    (right - left) * place.kx,
    (bottom - top) * place.ky,
  ];
}

/** Put each label beside its box, inside the pane, and where it covers least of other labels and boxes. */
function placeTags(pane, place, state) {
  const shown = (mark) => state.boxes && isShown(mark.labels, mark.against, state.choice);
  const boxes = pane.image.marks.filter((mark) => !mark.dashed && shown(mark)).map((mark) => rectOf(mark.box, place));
  const taken = [];
  for (const { mark, button } of pane.tags) {
    button.hidden = !shown(mark);
    if (button.hidden) continue;
    const box = rectOf(mark.box, place);
    const [left, top, width, height] = box;
    const inside = left < pane.width && top < pane.height && left + width > 0 && top + height > 0;
    button.style.visibility = inside ? "visible" : "hidden";
    const spots = spotsAround(box, [12 + 8 * mark.text.length, 20], pane);
    const met = (spot, others) => others.filter((other) => meet(spot, other)).length;
    const crowds = spots.map((spot) => 10 * met(spot, taken) + met(spot, boxes));
    const spot = spots[crowds.indexOf(Math.min(...crowds))];
    taken.push(spot);
    button.style.transform = `translate(${spot[0].toFixed(1)}px, ${spot[1].toFixed(1)}px)`;
  }
}

/** Where a label of this size can stand beside a box, the most usual place first. */
function spotsAround([left, top, width, height], [wide, high], pane) {
  const [right, bottom] = [left + width, top + height];
  const near = [
    [left, top - high], [right - wide, top - high], [left, bottom], [right - wide, bottom],
    [left - wide, top], [right, top], [left - wide, bottom - high], [right, bottom - high],
  ];
  const steps = [[0, 0], [0, -high], [0, high], [-wide, 0], [wide, 0]];
  const spots = steps.flatMap(([dx, dy]) => near.map(([x, y]) => [x + dx, y + dy]));
  return spots.map(([x, y]) => [
    Math.min(Math.max(x, 0), pane.width - wide), Math.min(Math.max(y, 0), pane.height - high), wide, high,
  ]);
}

function meet([x, y, w, h], [u, v, p, q]) {
  return x < u + p && u < x + w && y < v + q && v < y + h;
}

/** Lines that were measured on this image, with their lengths. */
function drawLines(context, pane, place, state) {
  for (const line of state.lines) {
    if (line.image !== pane.image.id) continue;
    const [from, to] = [line.from, line.to].map(([x, y]) => [place.ox + x * place.kx, place.oy + y * place.ky]);
    for (const [colour, thick] of [["#000", 4], ["#8df0b4", 1.8]]) {
      context.strokeStyle = colour;
      context.lineWidth = thick;
      context.beginPath();
      context.moveTo(...from);
      context.lineTo(...to);
      context.stroke();
    }
    drawWords(context, lengthWords(pane.image, line.from, line.to), to[0] + 8, to[1] + 4, "#8df0b4", "600 13px sans-serif");
  }
}

/** A part of the picture enlarged under the pointer. */
function drawLens(context, pane, place, state, ratio) {
  if (!state.lens || state.pointer?.pane !== pane) return;
  const [x, y] = state.pointer.point;
  context.save();
  context.beginPath();
  context.arc(x, y, LENS.radius, 0, 2 * Math.PI);
  context.clip();
  context.fillStyle = "#000";
  context.fillRect(x - LENS.radius, y - LENS.radius, 2 * LENS.radius, 2 * LENS.radius);
  const near = {
    kx: place.kx * LENS.factor,
    ky: place.ky * LENS.factor,
    ox: x - (x - place.ox) * LENS.factor,
    oy: y - (y - place.oy) * LENS.factor,
  };
  const area = { left: x - LENS.radius, right: x + LENS.radius, top: y - LENS.radius, bottom: y + LENS.radius };
  drawPicture(context, pane, near, area, ratio);
  context.restore();
  for (const [colour, thick] of [["#000", 4], ["#d7dde3", 1.5]]) {
    context.strokeStyle = colour;
    context.lineWidth = thick;
    context.beginPath();
    context.arc(x, y, LENS.radius, 0, 2 * Math.PI);
    context.stroke();
  }
}

/** The scale, as a bar of a round length; where spacing is unknown there is none. */
function drawBar(context, pane, state) {
  if (!pane.image.spacing) return;
  const length = barLength(pane.width, state.scale);
  const pixels = length * state.scale;
  const x = pane.image.side === "R" ? 10 : pane.width - 10 - pixels;
  const y = pane.height - 9;
  for (const [colour, thick] of [["#000", 4], ["#fff", 1.4]]) {
    context.strokeStyle = colour;
    context.lineWidth = thick;
    context.beginPath();
    context.moveTo(x, y - 5);
    context.lineTo(x, y);
    context.lineTo(x + pixels, y);
    context.lineTo(x + pixels, y - 5);
    context.stroke();
  }
  const words = isTrueSize(pane, state) ? `${length} mm, true size` : `${length} mm`;
  drawWords(context, words, x + pixels / 2, y - 6, "#fff", "12px sans-serif", "center");
}

function drawWords(context, words, x, y, colour, font, align = "left") {
  context.font = font;
  context.textAlign = align;
  context.lineWidth = 3;
  context.lineJoin = "round";
  context.strokeStyle = "#000";
  context.strokeText(words, x, y);
  context.fillStyle = colour;
  context.fillText(words, x, y);
}
