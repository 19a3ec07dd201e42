// Pictures in tiles: fetched once, kept in memory within bounds, coloured when a look changes.

/** Tiles kept in memory, the latest used last: about 1.5 MB each. */
const TILES = new Map();
const MOST_TILES = 200;
const MOST_AT_ONCE = 6;

/** What is to be fetched next, nearest first, and how many are under way. */
const QUEUE = { wanted: [], running: 0 };

/** What the server answers; where it does not, why is thrown, as a sentence. */
async function ask(address) {
  const answer = await fetch(address, { credentials: "same-origin" }).catch(() => null);
  if (answer && answer.ok) return answer.arrayBuffer();
  throw new Error(answer ? await answer.text() : "The server does not answer.");
}

/** The parts of one answer: a line of JSON that tells of each, and then their bytes, one after the other. */
async function askForParts(address) {
  const buffer = await ask(address);
  const bytes = new Uint8Array(buffer);
  let at = bytes.indexOf(10) + 1;
  const told = JSON.parse(new TextDecoder().decode(bytes.subarray(0, at)));
  return told.map((part) => ({ ...part, data: buffer.slice(at, (at += part.bytes)) }));
}

function keep(key, tile) {
  TILES.delete(key);
  TILES.set(key, tile);
  while (TILES.size > MOST_TILES) TILES.delete(TILES.keys().next().value);
}

/** Fetch what the last drawing missed; what nobody wants any more is forgotten. */
function fetchWanted() {
  while (QUEUE.running < MOST_AT_ONCE && QUEUE.wanted.length) {
    const { picture, level, row, column, key } = QUEUE.wanted.shift();
    if (TILES.has(key)) continue;
    QUEUE.running++;
    TILES.set(key, { pending: true });
    ask(key)
      .then((data) => keep(key, picture.tileOf(data, level, row, column)))
      .catch((error) => {
        picture.failure = error.message;
        TILES.delete(key);
      })
      .finally(() => {
        QUEUE.running--;
        picture.changed();
        fetchWanted();
      });
  }
}

/** One image of the exam, in full depth; `views` is what the server says of all of them, once it does. */
class Picture {
  constructor(image, views, changed) {
    this.image = image;
    this.changed = changed;
    this.head = null;
    this.failure = "";
    this.colours = null;
    this.look = "";
    views
      .then((parts) => this.open(parts.find((part) => part.id === image.id)))
      .catch((error) => (this.failure = error.message))
      .finally(changed);
  }

  /** Take what there is of it, and its smallest level, which is a single tile. */
  open({ head, failure, data }) {
    if (failure) throw new Error(failure);
    this.head = head;
    const last = head.levels.length - 1;
    keep(this.keyOf(last, 0, 0), this.tileOf(data, last, 0, 0));
  }

  /** Where a tile is fetched, by which it is known as well. */
  keyOf(level, row, column) {
    return `${this.image.tiles}/${level}/${row}/${column}`;
  }

  tileOf(data, level, row, column) {
    const [rows, columns] = this.tileSize(level, row, column);
    return { samples: new Uint16Array(data), rows, columns, canvas: null, colours: null };
  }

  /** Original pixels to a sample of level 0: more than one where only a preview is kept. */
  get coarseness() {
    return this.image.rows / this.head.levels[0].rows;
  }

  tileSize(level, row, column) {
    const { tile, levels } = this.head;
    return [Math.min(tile, levels[level].rows - row * tile), Math.min(tile, levels[level].columns - column * tile)];
  }

  /** Colour the samples as this look has them. */
  dress(look) {
    const name = JSON.stringify(look);
    if (name === this.look) return;
    this.look = name;
    this.colours = coloursOf(this.head.greys, look);
  }

  /** The level with at least one sample to a pixel of the screen. */
  levelFor(pixels) {
    const level = Math.floor(Math.log2(1 / (pixels * this.coarseness)) + 0.01);
    return Math.min(Math.max(level, 0), this.head.levels.length - 1);
  }

  /**
   * Draw onto a canvas, from coarse to fine.
   * @param place original pixel x lies at ox + kx * x of the canvas, y likewise.
   * @returns whether every tile in sight was there.
   */
  draw(context, place, area) {
    const level = this.levelFor(Math.max(place.kx, place.ky));
    const missing = this.inSight(level, place, area).filter((spot) => !this.drawable(spot));
    if (missing.length) {
      for (let coarse = this.head.levels.length - 1; coarse > level; coarse--) {
        for (const spot of this.inSight(coarse, place, area)) this.drawTile(context, spot, place);
      }
      for (const spot of missing) if (!TILES.has(spot.key)) QUEUE.wanted.push(spot);
    }
    for (const spot of this.inSight(level, place, area)) this.drawTile(context, spot, place);
    return missing.length === 0;
  }

  /** The tiles of a level that lie in an area of the canvas. */
  inSight(level, place, area) {
    const { tile, levels } = this.head;
    const side = tile * 2 ** level * this.coarseness;
    const last = [Math.ceil(levels[level].rows / tile) - 1, Math.ceil(levels[level].columns / tile) - 1];
    const rows = [(area.top - place.oy) / place.ky / side, (area.bottom - place.oy) / place.ky / side];
    const columns = [(area.left - place.ox) / place.kx / side, (area.right - place.ox) / place.kx / side];
    const spots = [];
    for (let row = Math.max(0, Math.floor(rows[0])); row <= Math.min(last[0], Math.floor(rows[1])); row++) {
      for (let column = Math.max(0, Math.floor(columns[0])); column <= Math.min(last[1], Math.floor(columns[1])); column++) {
        spots.push({ picture: this, level, row, column, key: this.keyOf(level, row, column) });
      }
    }
    return spots;
  }

  drawable(spot) {
    const tile = TILES.get(spot.key);
    return Boolean(tile && !tile.pending);
  }

  drawTile(context, spot, place) {
    const tile = TILES.get(spot.key);
    if (!tile || tile.pending) return;
    keep(spot.key, tile);
    if (tile.colours !== this.colours) this.colour(tile);
    const size = 2 ** spot.level * this.coarseness;
    const [x, y] = [spot.column * this.head.tile * size, spot.row * this.head.tile * size];
    // whole pixels: tiles meet without a seam
    const left = Math.round(place.ox + place.kx * x);
    const top = Math.round(place.oy + place.ky * y);
    const right = Math.round(place.ox + place.kx * (x + tile.columns * size));
    const bottom = Math.round(place.oy + place.ky * (y + tile.rows * size));
    if (right > left && bottom > top) context.drawImage(tile.canvas, left, top, right - left, bottom - top);
  }

  colour(tile) {
    if (!tile.canvas) {
      tile.canvas = new OffscreenCanvas(tile.columns, tile.rows);
      tile.context = tile.canvas.getContext("2d");
      tile.image = tile.context.createImageData(tile.columns, tile.rows);
      tile.words = new Uint32Array(tile.image.data.buffer);
    }
    const { samples, words } = tile;
    const colours = this.colours;
    for (let i = 0; i < words.length; i++) words[i] = colours[samples[i]];
    tile.context.putImageData(tile.image, 0, 0);
    tile.colours = colours;
  }
}
