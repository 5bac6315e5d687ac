// Requests to the service. XMLHttpRequest, because fetch does not tell when an upload is done.

import { askForKey, currentKey } from "./key.js";

// What the service says is wrong, as its sentence (RFC 9457, `detail`).
export class Problem extends Error {
  constructor(status, sentence, retryAfterS) {
    super(sentence);
    this.status = status;
    this.retryAfterS = retryAfterS;
  }
}

// {blob, header(name), clock} of a successful answer; a GET without `body`, else a POST of it.
export async function ask(path, { body = null, signal = null } = {}) {
  for (;;) {
    const key = currentKey();
    const answer = await exchange(path, body, key, signal);
    if (answer.status < 300) return answer;
    const problem = await problemOf(answer);
    if (answer.status !== 401 || (await askForKey(problem.message, key)) === null) throw problem;
  }
}

export const askJson = async (path, options) => JSON.parse(await (await ask(path, options)).blob.text());

function exchange(path, body, key, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const begun = performance.now();
    const clock = { uploadedMs: 0, answeredMs: 0, receivedMs: 0 }; // since the request was begun
    const tick = (name) => { clock[name] = performance.now() - begun; };
    request.open(body ? "POST" : "GET", path);
    request.responseType = "blob";
    if (body) request.setRequestHeader("Content-Type", "application/octet-stream");
    if (key) request.setRequestHeader("Authorization", `Bearer ${key}`);
    request.upload.onload = () => tick("uploadedMs");
    request.onreadystatechange = () => request.readyState === XMLHttpRequest.HEADERS_RECEIVED && tick("answeredMs");
    request.onload = () => {
      tick("receivedMs");
      const header = (name) => request.getResponseHeader(name) ?? "";
      resolve({ status: request.status, reason: request.statusText, blob: request.response, clock, header });
    };
    request.onerror = () => reject(new Problem(0, "The service cannot be reached. Is it running?"));
    request.onabort = () => reject(new DOMException("another image was chosen", "AbortError"));
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    signal?.throwIfAborted();
    request.send(body);
  });
}

async function problemOf(answer) {
  const retryAfterS = Number(answer.header("Retry-After")) || null;
  let sentence = `The service answered ${answer.status} ${answer.reason}.`;
  const isProblem = answer.header("Content-Type").startsWith("application/problem+json");
  if (isProblem) sentence = JSON.parse(await answer.blob.text()).detail;
  return new Problem(answer.status, sentence, retryAfterS);
}
