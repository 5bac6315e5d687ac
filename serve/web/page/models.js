// The loaded models, which of them answers, and which one it is compared with.

import { find, make } from "./find.js";
import { hint, say } from "./say.js";
import { askJson } from "./service.js";

// Fills both lists; waits for a service that is still loading its models. `onChange` runs when another is chosen.
export async function listModels(onChange) {
  const { models } = await whenReady(() => askJson("v1/models"));
  const titles = models.map(({ name, version }) => `${name}:${version}`);
  const options = () => titles.map((title) => make("option", { value: title }, title));
  find("model").replaceChildren(...options());
  find("against").replaceChildren(make("option", { value: "" }, "nothing"), ...options());
  find("models").hidden = titles.length < 2;
  find("title").textContent = titles.length < 2 ? titles[0] : "";
  find("model").onchange = find("against").onchange = onChange;
  hint("");
}

async function whenReady(request) {
  for (;;) {
    try {
      return await request();
    } catch (problem) {
      if (problem.status !== 503 || !problem.retryAfterS) throw problem;
      say(`Waiting: ${problem.message}`);
      await new Promise((resolve) => setTimeout(resolve, 1000 * problem.retryAfterS));
    }
  }
}

// One model, or the two that are compared: the left one first.
export function chosenModels() {
  const titles = [find("model").value];
  if (find("against").value && find("against").value !== titles[0]) titles.push(find("against").value);
  return Promise.all(titles.map(describe));
}

// {title, classes, names, outputs, ...}: `names` by index, `outputs` those of the graph. Asked each time: a model
// may be replaced by another of the same title.
async function describe(title) {
  const model = await askJson(`v1/model?model=${encodeURIComponent(title)}`);
  return { ...model, title, names: model.classes.map(({ name }) => name) };
}

export function showFacts(models) {
  const rows = models.flatMap(({ title, artifact, runtime, choice, input, outputs, manifest_sha256: sha256 }) => [
    ["Model", title],
    ["Artifact", `${artifact.name}, ${artifact.precision}, in ${runtime.runtime} on ${runtime.provider}`],
    ["Chosen because", choice],
    ["Input", input.height ? `${input.width} × ${input.height} pixels` : "any size"],
    ["Confidence", outputs.includes("confidence") ? "for each pixel" : "not in this package (export.confidence=true adds it)"],
    ["Manifest", `sha256 ${sha256}`],
  ]);
  find("facts").replaceChildren(...rows.flatMap(([term, text]) => [make("dt", {}, term), make("dd", {}, text)]));
}
