// From bytes to pixels: images, and maps of activations by the colour scales of steep.pictures.

let tables = null;

/** The colour scales of the server, 256 times red, green and blue each. */
export function useColours(colours) {
  tables = Object.fromEntries(Object.entries(colours).map(([name, values]) => [name, Uint8Array.from(values)]));
}

/** Paint an image (h, w, 3) into a canvas of its own size. */
export function paintImage(canvas, bytes, h, w) {
  const data = new ImageData(w, h);
  for (let i = 0, j = 0; i < data.data.length; i += 4, j += 3) {
    data.data[i] = bytes[j];
    data.data[i + 1] = bytes[j + 1];
    data.data[i + 2] = bytes[j + 2];
    data.data[i + 3] = 255;
  }
  resize(canvas, w, h);
  canvas.getContext("2d").putImageData(data, 0, 0);
}

export function resize(canvas, w, h) {
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
}

/** The range of colours for values from lo to hi: from 0 where none is negative, symmetric about 0 otherwise. */
export function range(lo, hi) {
  return lo < 0 ? { table: "signed", from: -Math.max(-lo, hi), to: Math.max(-lo, hi) } : { table: "hot", from: 0, to: hi };
}

/** The colours of one channel's 256 byte values, which run from lo to hi, in a range. */
export function colours(lo, hi, { table, from, to }) {
  const found = new Uint32Array(256);
  const scale = to > from ? 255 / (to - from) : 0;
  for (let q = 0; q < 256; q++) {
    const value = lo + ((hi - lo) * q) / 255;
    const at = 3 * Math.min(255, Math.max(0, Math.round((value - from) * scale)));
    const rgb = tables[table];
    found[q] = (255 << 24) | (rgb[at + 2] << 16) | (rgb[at + 1] << 8) | rgb[at];
  }
  return found;
}

/** Paint float values (h, w) into a canvas of that size. */
export function paintValues(canvas, values, h, w, spread) {
  const data = new ImageData(w, h);
  const pixels = new Uint32Array(data.data.buffer);
  const table = colours(spread.from, spread.to, spread);
  const scale = spread.to > spread.from ? 255 / (spread.to - spread.from) : 0;
  for (let i = 0; i < pixels.length; i++) {
    pixels[i] = table[Math.min(255, Math.max(0, Math.round((values[i] - spread.from) * scale)))];
  }
  resize(canvas, w, h);
  canvas.getContext("2d").putImageData(data, 0, 0);
}

/** Paint a colour scale into a canvas, for a legend. */
export function paintScale(canvas, spread) {
  const values = Float32Array.from({ length: 128 }, (_, i) => spread.from + ((spread.to - spread.from) * i) / 127);
  paintValues(canvas, values, 1, 128, spread);
}
