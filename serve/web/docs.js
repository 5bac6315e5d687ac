// The page at /docs: /openapi.json, readable.

const api = await (await fetch("/openapi.json")).json();
document.getElementById("title").textContent = `${api.info.title}: ${api.info.summary}`;

const element = (tag, content, ...children) => {
  const made = document.createElement(tag);
  made.append(content, ...children);
  return made;
};

// Text with `code` in it.
const prose = (text) => element("span", "", ...text.split("`").map((piece, i) => (i % 2 ? element("code", piece) : piece)));

const table = (rows) => element("table", "", ...rows.map(([key, ...cells]) => element("tr", element("td", element("code", key)), ...cells.map((cell) => element("td", cell)))));

function curl(method, path, { requestBody, parameters = [] }) {
  const format = parameters.some(({ name }) => name === "format") ? "?format=overlay" : "";
  const body = requestBody ? " -F image=@photo.jpg -o overlay.jpg" : "";
  return `curl -X ${method.toUpperCase()} '${location.origin}${path}${format}'${body}`;
}

function operation(path, method, details) {
  const article = element("article", element("h2", element("b", method.toUpperCase()), element("code", path), ` ${details.summary}`));
  article.className = "operation";
  if (details.description) article.append(element("p", prose(details.description)));
  article.append(element("pre", curl(method, path, details)));
  const parameters = (details.parameters ?? []).map(({ name, description = "" }) => [name, prose(description)]);
  const bodies = Object.keys(details.requestBody?.content ?? {}).map((type) => ["body", type]);
  const answers = Object.entries(details.responses).map(([status, { description, content = {} }]) => [status, description, Object.keys(content).join(", ")]);
  article.append(table([...parameters, ...bodies]), table(answers));
  return article;
}

document.getElementById("operations").replaceChildren(
  ...Object.entries(api.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, details]) => operation(path, method, details))),
);
