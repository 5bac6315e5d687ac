// Images from files: chosen, dropped anywhere on the page, or pasted.

import { find } from "./find.js";
import { hint } from "./say.js";

const NO_CLIPBOARD = "Press Ctrl+V (⌘V on a Mac) to paste. "
  + "This button needs a page from https or from localhost: only to these do browsers open the clipboard.";

// `onImage(blob, name)` runs for each image.
export function connectSources(onImage) {
  const take = (file) => file && onImage(file, file.name);
  find("file").onchange = ({ target }) => {
    take(target.files[0]);
    target.value = ""; // the same file may be chosen again
  };
  connectDrop(take);
  document.onpaste = ({ clipboardData }) => take(clipboardData.files[0]);
  find("paste").onclick = () => readClipboard(onImage);
}

function connectDrop(take) {
  const drop = find("drop");
  document.ondragover = (event) => {
    event.preventDefault();
    drop.classList.add("over");
  };
  document.ondragleave = ({ relatedTarget }) => relatedTarget || drop.classList.remove("over");
  document.ondrop = (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const [file] = event.dataTransfer.files;
    hint(file ? "" : "That was no file. Save the image first, or copy it and paste it here.");
    take(file);
  };
}

async function readClipboard(onImage) {
  if (!navigator.clipboard?.read) return hint(NO_CLIPBOARD);
  try {
    for (const item of await navigator.clipboard.read()) {
      const type = item.types.find((name) => name.startsWith("image/"));
      if (!type) continue;
      hint("");
      return onImage(await item.getType(type), "pasted");
    }
    hint("There is no image in the clipboard. Copy one first.");
  } catch {
    hint("The browser keeps the clipboard to itself. Press Ctrl+V (⌘V on a Mac) instead.");
  }
}
