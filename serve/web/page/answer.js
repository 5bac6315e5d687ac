// One model's answer to one image: the class of each pixel, how sure the model is, and where the time went.

import { readGreyPng } from "./grey_png.js";
import { ask } from "./service.js";

export const UNLABELLED = "unlabelled";

export async function segment(image, model, signal) {
  const query = `format=png&model=${encodeURIComponent(model.title)}`;
  const { blob, header, clock } = await ask(`v1/segment?${query}`, { body: image, signal });
  const begun = performance.now();
  const map = await readGreyPng(blob);
  clock.decodedMs = performance.now() - begun;
  return new Answer(image, model, map, blob, clock, header("Server-Timing"));
}

export class Answer {
  constructor(image, model, { width, height, values }, png, clock, serverTiming) {
    Object.assign(this, { image, model, width, height, values, png, clock, serverTiming });
    this.confidence = null; // one byte for each pixel, 255 = certain, once `loadConfidence` has it
    this.counts = new Uint32Array(256);
    for (const index of values) this.counts[index]++;
  }

  // [{name, colour, share}] of the classes in the image, the largest first.
  get classes() {
    return this.model.classes
      .filter(({ index }) => this.counts[index])
      .map(({ index, name, color }) => ({
        name, colour: `rgb(${color})`, share: this.counts[index] / this.values.length,
      }))
      .sort((a, b) => b.share - a.share);
  }

  nameAt(x, y) {
    return this.model.names[this.values[y * this.width + x]] ?? UNLABELLED;
  }

  // 0 to 1, or null where the model does not tell.
  confidenceAt(x, y) {
    return this.confidence && this.confidence[y * this.width + x] / 255;
  }

  // Share of pixels in which another answer to the same image names the same class, 0 to 1.
  agreementWith(other) {
    const same = this.model.names.map((name) => other.model.names.indexOf(name)); // index here -> index there
    let agreeing = 0;
    this.values.forEach((index, pixel) => { agreeing += same[index] === other.values[pixel]; });
    return agreeing / this.values.length;
  }

  // A request of its own: the label map is on the page before this comes.
  async loadConfidence(signal) {
    if (!this.model.outputs.includes("confidence")) return;
    const query = `format=confidence&model=${encodeURIComponent(this.model.title)}`;
    this.confidence = (await readGreyPng((await ask(`v1/segment?${query}`, { body: this.image, signal })).blob)).values;
  }

  statistics() {
    const query = `format=stats&model=${encodeURIComponent(this.model.title)}`;
    return ask(`v1/segment?${query}`, { body: this.image }).then(({ blob }) => blob);
  }
}
