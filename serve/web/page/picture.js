// The picture and the colours of its classes above it, one layer for each model. Opacity and the place where
// two models meet are styles of the layers: moving a slider paints nothing anew.

import { find } from "./find.js";

const LARGEST_SIDE = 2048; // of what is shown; label maps, shares and downloads keep the image's own size

const LAYERS = ["colours", "colours-against"];

// Lays out the stage for an image of this size, and draws it.
export async function showImage(blob, { width, height }) {
  const scale = Math.min(1, LARGEST_SIDE / Math.max(width, height));
  const shown = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  for (const id of ["picture", ...LAYERS]) [find(id).width, find(id).height] = shown;
  for (const id of ["stage", "divider"]) find(id).style.setProperty("--ratio", width / height);
  const picture = await decoded(blob);
  find("picture").getContext("2d").drawImage(picture, 0, 0, ...shown);
  URL.revokeObjectURL(picture.src);
}

// An element, not a bitmap: it honours the EXIF orientation everywhere and frees its pixels by itself.
async function decoded(blob) {
  const picture = new Image();
  picture.src = URL.createObjectURL(blob);
  try {
    await picture.decode();
  } catch {
    throw new Error("The service has segmented the image, but this browser cannot show it.");
  }
  return picture;
}

// Colours of one or two answers; classes whose names are in `hidden` stay clear.
export function paint(answers, hidden) {
  LAYERS.forEach((id, i) => {
    find(id).hidden = !answers[i];
    if (answers[i]) paintLayer(find(id), answers[i], hidden);
  });
  find("divider").hidden = find("handle").hidden = answers.length < 2;
  find("left").textContent = answers[0].model.title;
  find("right").textContent = answers.at(-1).model.title;
  divide();
}

function paintLayer(canvas, { values, width, height, model }, hidden) {
  const context = canvas.getContext("2d");
  const layer = context.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(layer.data.buffer);
  const colours = colourTable(model.classes, hidden);
  const columns = Uint32Array.from({ length: canvas.width }, (_, x) => ((x + 0.5) * width) / canvas.width);
  let pixel = 0;
  for (let y = 0; y < canvas.height; y++) {
    const row = Math.floor(((y + 0.5) * height) / canvas.height) * width;
    for (let x = 0; x < canvas.width; x++) pixels[pixel++] = colours[values[row + columns[x]]];
  }
  context.putImageData(layer, 0, 0);
}

// RGBA of each class index as one number in the machine's byte order; 0 is clear.
function colourTable(classes, hidden) {
  const rgba = new Uint8Array(4 * 256);
  for (const { index, name, color } of classes) if (!hidden.has(name)) rgba.set([...color, 255], 4 * index);
  return new Uint32Array(rgba.buffer);
}

// The first model's colours left of the handle, the second's to its right.
function divide() {
  const isDivided = !find("divider").hidden;
  const at = Number(find("split").value);
  find("colours").style.clipPath = isDivided ? `inset(0 ${100 - at}% 0 0)` : "";
  find("colours-against").style.clipPath = `inset(0 0 0 ${at}%)`;
  find("handle").style.left = `${at}%`;
}

function fade() {
  const opacity = find("opacity").value;
  for (const id of LAYERS) find(id).style.opacity = opacity / 100;
  find("opacity-value").textContent = `${opacity} %`;
}

export function connectSliders() {
  find("opacity").oninput = fade;
  find("split").oninput = divide;
  find("handle").onpointerdown = (event) => {
    event.preventDefault();
    find("handle").setPointerCapture(event.pointerId);
  };
  find("handle").onpointermove = (event) => {
    if (!find("handle").hasPointerCapture(event.pointerId)) return;
    const { left, width } = find("stage").getBoundingClientRect();
    find("split").value = (100 * (event.clientX - left)) / width;
    divide();
  };
  fade();
}
