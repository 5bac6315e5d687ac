// A picture from the camera: live where the browser allows it, else through the device's own camera app.

import { find, make } from "./find.js";
import { hint } from "./say.js";

const PLAIN_HTTP = "Browsers open the camera only to pages from https or from localhost. "
  + "A phone takes the picture with its camera app instead; elsewhere, choose a file.";
const REASONS = {
  NotAllowedError: "The camera was not allowed for this page; that can be changed beside the address.",
  NotFoundError: "There is no camera.",
  NotReadableError: "Another program uses the camera.",
};
const WANTED = { facingMode: "environment", width: { ideal: 1920 } };
const QUALITY = 0.92; // of the JPEG

export function connectCamera(onImage) {
  find("capture").onchange = ({ target }) => {
    if (target.files[0]) onImage(target.files[0], "camera");
    target.value = "";
  };
  find("camera").onclick = async () => {
    if (!navigator.mediaDevices?.getUserMedia) return useCameraApp(PLAIN_HTTP);
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: WANTED });
      hint("");
      const picture = await take(stream);
      if (picture) onImage(picture, "camera");
    } catch (error) {
      useCameraApp(`${REASONS[error.name] ?? error.message} Choose a file instead.`);
    }
  };
}

function useCameraApp(reason) {
  hint(reason);
  find("capture").hidden = false; // stays for a second try: a browser may refuse a click that comes late
  find("capture").click();
}

// A JPEG, or null where the reader thinks better of it. The camera is off afterwards.
async function take(stream) {
  const dialog = find("camera-dialog"), viewfinder = find("viewfinder");
  find("shoot").disabled = true;
  viewfinder.onloadeddata = () => { find("shoot").disabled = false; };
  viewfinder.srcObject = stream;
  dialog.showModal();
  try {
    const isTaken = await new Promise((resolve) => {
      find("shoot").onclick = () => resolve(true);
      find("camera-cancel").onclick = () => resolve(false);
      dialog.onclose = () => resolve(false);
    });
    return isTaken ? await still(viewfinder) : null;
  } finally {
    stream.getTracks().forEach((track) => track.stop());
    viewfinder.srcObject = null;
    dialog.close();
  }
}

function still(video) {
  const canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((resolve) => { canvas.toBlob(resolve, "image/jpeg", QUALITY); });
}
