// The API key: asked for when the service wants one, kept for as long as the tab lives.

import { find } from "./find.js";
import { asSentence } from "./say.js";

const NAME = "afdcd-api-key";
let asking = null; // several requests may be refused at once; one dialog asks for all of them

export const currentKey = () => sessionStorage.getItem(NAME);

// The key that the reader types, or null. `refused` is the key that did not do: another may be there by now.
export function askForKey(reason, refused) {
  if (currentKey() !== refused) return Promise.resolve(currentKey());
  const sentence = refused === null ? "This service asks for an API key." : asSentence(reason);
  asking ??= openDialog(sentence).finally(() => { asking = null; });
  return asking;
}

function openDialog(reason) {
  const dialog = find("key-dialog");
  find("key-reason").textContent = reason;
  find("key").value = "";
  return new Promise((resolve) => {
    find("key-form").onsubmit = (event) => {
      event.preventDefault();
      sessionStorage.setItem(NAME, find("key").value.trim());
      dialog.close("given");
    };
    find("key-cancel").onclick = () => dialog.close("");
    dialog.onclose = () => {
      const isGiven = dialog.returnValue === "given";
      dialog.returnValue = find("key").value = "";
      showForget();
      resolve(isGiven ? currentKey() : null);
    };
    dialog.showModal();
  });
}

function showForget() {
  find("forget").hidden = !currentKey();
}

export function offerToForget() {
  find("forget").onclick = () => {
    sessionStorage.removeItem(NAME);
    showForget();
    location.reload();
  };
  showForget();
}
