// One request as bars on a common axis: what the browser measured, and within it what the service says
// (Server-Timing). The service's stages lie where the time between upload and answer leaves room for them.

import { find, make } from "./find.js";

const NAMES = {
  queue: "Wait for a turn", read: "Take the upload apart",
  decode: "Decode the image", infer: "Run the graph", encode: "Encode the mask",
};

export function showTiming(answers) {
  const all = answers.map((answer) => ({ title: answer.model.title, bars: barsOf(answer) }));
  find("total").textContent = all.map(({ bars }) => milliseconds(end(bars))).join(" and ");
  find("waterfalls").replaceChildren(...all.map(({ title, bars }) => waterfall(title, bars)));
}

// [{name, where, startMs, durationMs}] one after the other.
export function barsOf({ clock, serverTiming }) {
  const stages = parse(serverTiming);
  const serviceMs = stages.reduce((sum, { durationMs }) => sum + durationMs, 0);
  const bars = [
    ...sending(clock, Math.max(0, clock.answeredMs - serviceMs)),
    ...stages.map(({ name, durationMs }) => ({ name: NAMES[name] ?? name, where: "service", durationMs })),
    { name: "Download", where: "network", durationMs: clock.receivedMs - clock.answeredMs },
    { name: "Read the mask", where: "browser", durationMs: clock.decodedMs },
  ];
  let startMs = 0;
  for (const bar of bars) {
    bar.startMs = startMs;
    startMs += bar.durationMs;
  }
  return bars;
}

// What lies before the service's own time. Browsers say late that a short upload is done; then it is one bar.
function sending({ uploadedMs }, totalMs) {
  if (uploadedMs >= totalMs) return [{ name: "Upload and travel", where: "network", durationMs: totalMs }];
  return [
    { name: "Upload", where: "network", durationMs: uploadedMs },
    { name: "Travel", where: "network", durationMs: totalMs - uploadedMs },
  ];
}

// `decode;dur=0.49, infer;dur=4.02` (Server Timing, W3C) as [{name, durationMs}].
function parse(header) {
  const entries = header.split(",").map((entry) => entry.trim().match(/^([\w-]+)\s*;.*?\bdur=([\d.]+)/));
  return entries.filter(Boolean).map(([, name, duration]) => ({ name, durationMs: Number(duration) }));
}

const end = (bars) => bars.at(-1).startMs + bars.at(-1).durationMs;
const milliseconds = (value) => `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ms`;

function waterfall(title, bars) {
  const table = make("table", { className: "waterfall" }, make("caption", {}, title));
  const head = ["Stage", "Where", "Time", "From start to end"].map((text) => make("th", { scope: "col" }, text));
  const rows = bars.map((bar) => rowOf(bar, end(bars)));
  table.append(make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
  return table;
}

function rowOf({ name, where, startMs, durationMs }, totalMs) {
  const bar = make("span", { className: `bar ${where}` });
  bar.style.marginLeft = `${(100 * startMs) / totalMs}%`;
  bar.style.width = `${(100 * durationMs) / totalMs}%`;
  return make("tr", {},
    make("th", { scope: "row" }, name),
    make("td", { className: where }, where),
    make("td", {}, milliseconds(durationMs)),
    make("td", { ariaHidden: "true" }, bar));
}
