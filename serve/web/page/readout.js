// The class and the confidence under the pointer, or under a mark that the arrow keys move.

import { find, make } from "./find.js";

const STEPS = 40; // arrow presses from one side of the image to the other
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
let answers = [];
let mark = null; // [x, y] in the label map's pixels

export function readFrom(shown) {
  answers = shown;
  mark = null;
  find("crosshair").hidden = true;
  find("readout").replaceChildren(remark("Point at the image, or press the arrow keys on it, to read a class."));
}

// When confidences have come: the same place, with all that is known of it now.
export const readAgain = () => mark && show(...mark);

export function connectReadout() {
  find("stage").onpointermove = find("stage").onpointerdown = (event) => {
    const { left, top, width, height } = find("stage").getBoundingClientRect();
    show(((event.clientX - left) / width) * answers[0].width, ((event.clientY - top) / height) * answers[0].height);
  };
  find("stage").onkeydown = (event) => {
    const move = MOVES[event.key];
    if (!move) return;
    event.preventDefault();
    const { width, height } = answers[0];
    const step = event.shiftKey ? 1 : Math.max(1, Math.round(width / STEPS));
    const [x, y] = mark ?? [Math.floor(width / 2), Math.floor(height / 2)];
    show(x + step * move[0], y + step * move[1]);
    placeCrosshair();
    find("spoken").textContent = find("readout").innerText;
  };
  find("stage").onblur = () => { find("crosshair").hidden = true; };
}

function show(x, y) {
  const { width, height } = answers[0];
  mark = [within(x, width), within(y, height)];
  find("readout").replaceChildren(...answers.map((answer) => lineOf(answer, ...mark)), remark(`at ${mark.join(", ")}`));
}

const remark = (text) => make("span", { className: "hint" }, text);

function lineOf(answer, x, y) {
  const sure = answer.confidenceAt(x, y);
  const name = make("strong", {}, answer.nameAt(x, y));
  const model = answers.length > 1 ? `${answer.model.title}: ` : "";
  return make("span", {}, model, name, sure === null ? " " : `, ${Math.round(100 * sure)} % sure `);
}

function placeCrosshair() {
  const { width, height } = answers[0];
  const crosshair = find("crosshair");
  crosshair.hidden = false;
  crosshair.style.left = `${(100 * (mark[0] + 0.5)) / width}%`;
  crosshair.style.top = `${(100 * (mark[1] + 0.5)) / height}%`;
}

const within = (value, size) => Math.min(size - 1, Math.max(0, Math.floor(value)));
