// The pixels of an 8-bit grey PNG, exactly: browsers that guard against fingerprinting alter what a canvas
// gives back, and a class index that is one off is another class.

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const IHDR = 0x49484452, IDAT = 0x49444154;

// {width, height, values}; `values` is one byte for each pixel, row by row.
export async function readGreyPng(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  if (SIGNATURE.some((byte, i) => bytes[i] !== byte)) throw new Error("The label map that came is no PNG.");
  const view = new DataView(bytes.buffer);
  let width = 0, height = 0;
  const compressed = [];
  for (let at = SIGNATURE.length; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at), kind = view.getUint32(at + 4), content = at + 8;
    if (kind === IHDR) {
      width = view.getUint32(content);
      height = view.getUint32(content + 4);
      const [depth, colour, , , interlace] = bytes.subarray(content + 8, content + 13);
      if (depth !== 8 || colour || interlace) throw new Error("The label map that came is no plain 8-bit grey PNG.");
    } else if (kind === IDAT) compressed.push(bytes.subarray(content, content + length));
    at = content + length + 4;
  }
  return { width, height, values: unfilter(await inflate(compressed), width, height) };
}

async function inflate(pieces) {
  const stream = new Blob(pieces).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Undo the filter that each row names in its first byte (PNG specification, section 9).
function unfilter(rows, width, height) {
  if (rows.length !== height * (width + 1)) throw new Error("The label map that came is not complete.");
  const values = new Uint8Array(width * height);
  const nothing = new Uint8Array(width);
  for (let y = 0; y < height; y++) {
    const filter = rows[y * (width + 1)];
    const row = rows.subarray(y * (width + 1) + 1, (y + 1) * (width + 1));
    const above = y ? values.subarray((y - 1) * width, y * width) : nothing;
    const out = values.subarray(y * width, (y + 1) * width);
    const predict = PREDICTORS[filter];
    if (!predict) out.set(row);
    else for (let x = 0; x < width; x++) out[x] = row[x] + predict(x ? out[x - 1] : 0, above[x], x ? above[x - 1] : 0);
  }
  return values;
}

const PREDICTORS = [
  null,
  (left) => left,
  (left, up) => up,
  (left, up) => (left + up) >> 1,
  paeth,
];

function paeth(left, up, corner) {
  const guess = left + up - corner;
  const [toLeft, toUp, toCorner] = [Math.abs(guess - left), Math.abs(guess - up), Math.abs(guess - corner)];
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}
