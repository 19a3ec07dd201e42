// Samples to greys: the windows of PS3.3 C.11.2.1, and one table of colours for each picture and look.

/** How all views are looked at; shift and stretch are relative to each image's own preset. */
function plainLook() {
  return { preset: null, shift: 0, stretch: 1, invert: false };
}

/** The preset that an image is shown with. */
function presetOf(greys, look) {
  const place = look.preset === null ? greys.chosen : Math.min(look.preset, greys.presets.length - 1);
  return greys.presets[place];
}

/** Centre and width in use, in values after the modality transformation. */
function windowOf(greys, look) {
  const preset = presetOf(greys, look);
  return { centre: preset.centre + look.shift * preset.width, width: preset.width * look.stretch };
}

/** A function from values to [0, 1]. */
function curveOf(kind, centre, width) {
  if (kind === "SIGMOID") return (value) => 1 / (1 + Math.exp((-4 * (value - centre)) / width));
  if (kind !== "LINEAR") return (value) => (value - centre) / width + 0.5;
  if (width <= 1) return (value) => (value > centre - 0.5 ? 1 : 0);
  return (value) => (value - (centre - 0.5)) / (width - 1) + 0.5;
}

/** Colour of every sample, as the 32 bits that a canvas holds. */
function coloursOf(greys, look) {
  const preset = presetOf(greys, look);
  const { centre, width } = windowOf(greys, look);
  const moved = look.shift !== 0 || look.stretch !== 1;
  // a table cannot be stretched: whoever moves it goes on with the window over its slope
  const table = preset.function === "LUT" && !moved ? bytesOf(preset.table) : null;
  const curve = curveOf(preset.function, centre, width);
  const turned = greys.inverted !== look.invert;
  const colours = new Uint32Array(65536);
  for (let sample = 0; sample <= greys.most; sample++) {
    let grey = table ? table[sample] / 255 : Math.min(1, Math.max(0, curve(greys.offset + greys.step * sample)));
    grey = Math.round(255 * (turned ? 1 - grey : grey));
    colours[sample] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
  }
  return colours;
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}
