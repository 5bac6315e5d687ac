// What the page tells its reader: progress and results politely, problems at once.

import { find } from "./find.js";

export function say(text) {
  find("status").textContent = text;
  find("problem").hidden = true;
}

export function complain(error) {
  console.warn(error);
  find("status").textContent = "";
  find("problem").textContent = asSentence(error.message || String(error));
  find("problem").hidden = false;
}

// The service begins its sentences in lower case, after a colon as it were.
export const asSentence = (text) => text[0].toUpperCase() + text.slice(1);

// A remark beside the buttons that it is about.
export function hint(text) {
  find("hint").textContent = text;
  find("hint").hidden = !text;
}
