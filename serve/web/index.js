// The page at /: sends an image, colours the label map that comes back, and lays it over the image.

const find = (id) => document.getElementById(id);
const model = await (await fetch("/v1/model")).json();
const classes = model.classes ?? [];
const hidden = new Set();
let shown = null; // {image, mask, width, height} of the picture on the page

find("model").textContent = model.name ? `${model.name}:${model.version}` : model.detail;

async function segment(file) {
  say("Working …");
  const begun = performance.now();
  const response = await fetch("/v1/segment?format=png", { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } });
  const elapsedMs = performance.now() - begun;
  if (!response.ok) return say((await response.json()).detail);
  const labelMap = await response.blob();
  const [image, mask] = await Promise.all([createImageBitmap(file), readIndices(labelMap)]);
  shown = { image, mask, width: image.width, height: image.height };
  hidden.clear();
  find("timing").textContent = `${elapsedMs.toFixed(0)} ms in all. ${response.headers.get("Server-Timing").replaceAll(";dur=", " ")} ms.`;
  URL.revokeObjectURL(find("download").href);
  find("download").href = URL.createObjectURL(labelMap);
  find("result").hidden = false;
  say("");
  listClasses();
  draw();
}

// The class index of each pixel: the red channel of a grey PNG, read without colour management.
async function readIndices(blob) {
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const rgba = context.getImageData(0, 0, bitmap.width, bitmap.height).data;
  const indices = new Uint8Array(rgba.length / 4);
  for (let pixel = 0; pixel < indices.length; pixel++) indices[pixel] = rgba[4 * pixel];
  return indices;
}

function draw() {
  const { image, mask, width, height } = shown;
  const canvas = find("picture");
  canvas.width = width;
  canvas.height = height;
  const colours = new ImageData(width, height);
  const pixels = new Uint32Array(colours.data.buffer);
  const paint = colourTable(Math.round(find("opacity").value * 2.55));
  for (let pixel = 0; pixel < mask.length; pixel++) pixels[pixel] = paint[mask[pixel]];
  const layer = new OffscreenCanvas(width, height);
  layer.getContext("2d").putImageData(colours, 0, 0);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  context.drawImage(layer, 0, 0);
}

// RGBA of each class index as one number in the machine's byte order; 0 is transparent.
function colourTable(alpha) {
  const rgba = new Uint8Array(4 * 256);
  for (const { index, color } of classes) if (!hidden.has(index)) rgba.set([...color, alpha], 4 * index);
  return new Uint32Array(rgba.buffer);
}

function listClasses() {
  const counts = new Uint32Array(256);
  for (const index of shown.mask) counts[index]++;
  const present = classes.filter(({ index }) => counts[index]).sort((a, b) => counts[b.index] - counts[a.index]);
  find("legend").replaceChildren(...present.map((entry) => legendEntry(entry, counts[entry.index] / shown.mask.length)));
}

function legendEntry({ index, name, color }, share) {
  const button = document.createElement("button");
  const swatch = document.createElement("i");
  swatch.style.background = `rgb(${color})`;
  button.append(swatch, `${name} `, Object.assign(document.createElement("b"), { textContent: `${(100 * share).toFixed(1)} %` }));
  button.ariaPressed = "true";
  button.title = "Show or hide this class";
  button.onclick = () => {
    if (!hidden.delete(index)) hidden.add(index);
    button.ariaPressed = String(!hidden.has(index));
    draw();
  };
  const item = document.createElement("li");
  item.append(button);
  return item;
}

function nameUnderPointer(event) {
  const { left, top, width, height } = find("picture").getBoundingClientRect();
  const x = Math.floor(((event.clientX - left) / width) * shown.width);
  const y = Math.floor(((event.clientY - top) / height) * shown.height);
  find("pointed").textContent = classes[shown.mask[y * shown.width + x]]?.name ?? "";
}

const say = (text) => { find("message").textContent = text; };
const send = (file) => file && segment(file).catch((error) => say(`${error}`));

find("file").onchange = ({ target }) => send(target.files[0]);
find("opacity").oninput = draw;
find("picture").onpointermove = nameUnderPointer;
document.ondragover = (event) => { event.preventDefault(); find("drop").classList.add("over"); };
document.ondragleave = () => find("drop").classList.remove("over");
document.ondrop = (event) => {
  event.preventDefault();
  find("drop").classList.remove("over");
  send(event.dataTransfer.files[0]);
};
document.onpaste = (event) => send(event.clipboardData.files[0]);
