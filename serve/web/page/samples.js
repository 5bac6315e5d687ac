// The images that the package brings along. Fetched rather than linked: an <img> could not send a key.

import { find, make } from "./find.js";
import { ask, askJson } from "./service.js";

const MOST = 8;

export async function listSamples(model, onImage) {
  const query = `model=${encodeURIComponent(model)}`;
  const { samples } = await askJson(`v1/samples?${query}`);
  const buttons = await Promise.all(samples.slice(0, MOST).map(async ({ index }) => {
    const { blob } = await ask(`v1/samples/${index}?${query}`);
    const name = `sample-${index}`;
    const picture = make("img", { src: URL.createObjectURL(blob), alt: `Sample ${index + 1}` });
    return make("button", { type: "button", onclick: () => onImage(blob, name) }, picture);
  }));
  for (const { src } of find("samples").querySelectorAll("img")) URL.revokeObjectURL(src);
  find("samples").replaceChildren(...buttons);
  find("samples").hidden = !buttons.length;
}
