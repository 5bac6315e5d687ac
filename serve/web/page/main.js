// The page at /: an image goes to one model or two, and what they see is laid over it.

import { segment } from "./answer.js";
import { connectCamera } from "./camera.js";
import { offerDownloads } from "./downloads.js";
import { find } from "./find.js";
import { offerToForget } from "./key.js";
import { listClasses, percent } from "./legend.js";
import { chosenModels, listModels, showFacts } from "./models.js";
import { connectSliders, paint, showImage } from "./picture.js";
import { connectReadout, readAgain, readFrom } from "./readout.js";
import { listSamples } from "./samples.js";
import { complain, say } from "./say.js";
import { connectSources } from "./sources.js";
import { showTiming } from "./waterfall.js";

const hidden = new Set(); // names of classes that are not painted
let current = null; // {image, name}, the last that was chosen
let running = new AbortController();
let starting = null;

async function show(image, name) {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  current = { image, name };
  try {
    await start();
    say("Segmenting …");
    const answers = [];
    for (const model of await chosenModels()) answers.push(await segment(image, model, signal));
    await showImage(image, answers[0]);
    signal.throwIfAborted();
    present(answers, name);
    await Promise.all(answers.map((answer) => answer.loadConfidence(signal)));
    readAgain();
  } catch (error) {
    if (error.name !== "AbortError") complain(error);
  }
}

function present(answers, name) {
  find("result").hidden = false;
  listClasses(answers, hidden, () => paint(answers, hidden));
  readFrom(answers);
  showTiming(answers);
  showFacts(answers.map(({ model }) => model));
  offerDownloads(answers, name.replace(/\.\w+$/, "") || "image");
  say([`${answers[0].width} × ${answers[0].height} pixels.`, ...answers.map(summary), ...agreement(...answers)].join(" "));
  find("stage").scrollIntoView({ block: "nearest" });
}

function summary({ model, classes }) {
  const largest = classes.slice(0, 3).map(({ name, share }) => `${name} ${percent(share)}`);
  const others = classes.length > largest.length ? ` and ${classes.length - largest.length} more` : "";
  return `${model.title}: ${largest.join(", ")}${others}.`;
}

function agreement(first, second) {
  if (!second) return [];
  const perMille = Math.floor(1000 * first.agreementWith(second)); // down: 100 % means all
  return [`Both name the same class in ${perMille / 10} % of the pixels.`];
}

// Once it has worked it is done; before, every image tries again.
function start() {
  starting ??= (async () => {
    say("Asking for the models …");
    await listModels(changeModel);
    say("");
    listSamples(find("model").value, show).catch(complain);
  })().catch((error) => {
    starting = null;
    throw error;
  });
  return starting;
}

function changeModel({ target }) {
  if (target.id === "model") listSamples(target.value, show).catch(complain);
  if (current) show(current.image, current.name);
}

offerToForget();
connectSources(show);
connectCamera(show);
connectSliders();
connectReadout();
start().catch(complain);
