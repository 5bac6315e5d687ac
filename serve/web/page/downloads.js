// What can be kept of an answer: the label map as it came, and statistics that are asked for when wanted.

import { find, make } from "./find.js";
import { complain } from "./say.js";

let addresses = []; // of the label maps on offer

export function offerDownloads(answers, stem) {
  addresses.forEach((address) => URL.revokeObjectURL(address));
  addresses = answers.map(({ png }) => URL.createObjectURL(png));
  const items = answers.flatMap((answer, i) => {
    const { title } = answer.model;
    const file = [stem, ...(answers.length > 1 ? [title.replace(":", "-")] : [])].join("-");
    const suffix = answers.length > 1 ? `, ${title}` : "";
    const mask = make("a", { href: addresses[i], download: `${file}-mask.png` }, `Label map (PNG)${suffix}`);
    const statistics = make("button", { type: "button", className: "link" }, `Statistics (JSON)${suffix}`);
    statistics.onclick = () => answer.statistics().then((blob) => save(blob, `${file}-statistics.json`), complain);
    return [mask, statistics];
  });
  find("downloads").replaceChildren(...items.map((item) => make("li", {}, item)));
}

function save(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser may still be writing
}
