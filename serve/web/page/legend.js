// The classes of the image with their shares; each is a switch that hides it or shows it again.

import { find, make } from "./find.js";

export function percent(share) {
  if (share > 0 && share < 0.0005) return "< 0.1 %";
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
}

// `hidden` holds names of classes and is changed in place; `onChange` runs after.
export function listClasses(answers, hidden, onChange) {
  const rows = mergedClasses(answers);
  const buttons = rows.map((row) => legendButton(row, hidden, change));
  function change() {
    buttons.forEach((button, i) => { button.ariaPressed = String(!hidden.has(rows[i].name)); });
    find("show-all").hidden = !rows.some(({ name }) => hidden.has(name));
    onChange();
  }
  find("show-all").onclick = () => {
    hidden.clear();
    change();
    find("legend").querySelector("button")?.focus(); // the button that had the focus is gone
  };
  find("legend-title").textContent = answers.length > 1 ? "Classes, share left and right" : "Classes";
  find("legend").replaceChildren(...buttons.map((button) => make("li", {}, button)));
  change();
}

// Two models may name different classes: a row is a name, with the share that each model gives it.
function mergedClasses(answers) {
  const rows = new Map();
  answers.forEach((answer, i) => {
    for (const { name, colour, share } of answer.classes) {
      if (!rows.has(name)) rows.set(name, { name, colour, shares: answers.map(() => 0) });
      rows.get(name).shares[i] = share;
    }
  });
  return [...rows.values()];
}

function legendButton({ name, colour, shares }, hidden, onChange) {
  const swatch = make("i", { ariaHidden: "true" });
  swatch.style.background = colour;
  const button = make("button", { type: "button", title: "Show or hide this class" }, swatch, make("span", {}, name));
  button.append(...shares.map((share) => make("b", {}, percent(share))));
  button.onclick = () => {
    if (!hidden.delete(name)) hidden.add(name);
    onChange();
  };
  return button;
}
