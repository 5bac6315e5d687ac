// The page at /docs: /openapi.json, readable.

import { find, make } from "./page/find.js";

const METHODS = ["get", "post", "put", "delete"];

// Text with `code` and empty lines between paragraphs; descriptions use no other markup.
const paragraphs = (text) => text.split(/\n\s*\n/).map((paragraph) => make("p", {}, ...prose(paragraph)));
const prose = (text) => text.split("`").map((piece, i) => (i % 2 ? make("code", {}, piece) : piece));

// `string`, `integer from 1`, `png | color | …`; what OpenAPI writes in several nested ways.
function typeOf({ anyOf, enum: values, type, items, minimum, maximum, default: preset, format } = {}) {
  const chosen = anyOf?.find((option) => option.type !== "null");
  let text = format ?? type ?? "any";
  if (values) text = values.join(" | ");
  else if (chosen) text = typeOf(chosen);
  else if (items) text = `${typeOf(items)}, repeatable`;
  if (minimum !== undefined) text += maximum === undefined ? ` from ${minimum}` : ` from ${minimum} to ${maximum}`;
  return preset === undefined || preset === "" ? text : `${text}; default ${preset}`;
}

function table(caption, rows, className = "") {
  if (!rows.length) return [];
  const body = rows.map(([key, ...cells]) => make("tr", {},
    make("th", { scope: "row" }, make("code", {}, key)),
    ...cells.map((cell) => make("td", {}, ...cell))));
  return [make("table", { className }, make("caption", {}, caption), make("tbody", {}, ...body))];
}

const parameterRows = ({ parameters = [] }) =>
  parameters.map(({ name, in: where, required, schema, description = "" }) => [
    name,
    [make("span", { className: "type" }, `${where}${required ? ", required" : ""}: ${typeOf(schema)}`)],
    prose(description),
  ]);

const bodyRows = ({ requestBody }) => Object.entries(requestBody?.content ?? {}).map(([type, { schema = {} }]) => [
  type,
  [Object.keys(schema.properties ?? {}).map((name) => `field ${name}`).join(", ") || typeOf(schema)],
]);

const answerRows = ({ responses }) => Object.entries(responses).map(([status, { description, content = {} }]) => [
  status, [description], [make("span", { className: "type" }, Object.keys(content).join(", "))],
]);

// A line that can be run as it is, where the operation takes an image or nothing.
function curlLine(method, path, { requestBody, parameters = [], security = [] }, base) {
  const takesKey = security.length > 0 && security.every((way) => Object.keys(way).length);
  const key = takesKey ? ` \\\n  -H "Authorization: Bearer $KEY"` : "";
  const types = Object.keys(requestBody?.content ?? {});
  const format = method === "post" && parameters.some(({ name }) => name === "format") ? "?format=stats" : "";
  const body = types.includes("multipart/form-data") ? " \\\n  -F image=@photo.jpg" : "";
  const command = method === "get" ? "curl" : `curl -X ${method.toUpperCase()}`;
  return `${command} '${new URL(path.slice(1), base)}${format}'${key}${body}`;
}

// A path that narrow screens break before a part of it, not within.
const breakable = (path) => path.split(/(?=\/)/).flatMap((part) => [make("wbr"), part]);

const tagOf = (method) => make("span", { className: `method ${method}` }, method.toUpperCase());

function article(path, method, details) {
  return make("article", { className: "operation", id: details.operationId },
    make("h3", {}, tagOf(method), " ", make("code", {}, ...breakable(path))),
    make("p", {}, make("strong", {}, `${details.summary}.`.replace("?.", "?"))),
    ...paragraphs(details.description ?? ""),
    make("pre", { tabIndex: 0 }, curlLine(method, path, details, document.baseURI)),
    ...table("Parameters", parameterRows(details)),
    ...table("Body", bodyRows(details)),
    ...table("Answers", answerRows(details)));
}

function show(api) {
  find("title").textContent = `${api.info.title}: ${api.info.summary}`;
  const byTag = new Map();
  for (const [path, operations] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((name) => operations[name])) {
      const details = operations[method];
      const tag = details.tags?.[0] ?? "other";
      byTag.set(tag, [...(byTag.get(tag) ?? []), { path, method, details }]);
    }
  }
  for (const [tag, entries] of byTag) {
    const links = entries.map(({ path, method, details }) =>
      make("li", {}, make("a", { href: `#${details.operationId}` }, tagOf(method), " ", make("span", {}, ...breakable(path)))));
    const articles = entries.map(({ path, method, details }) => article(path, method, details));
    find("contents").append(make("div", {}, make("strong", {}, tag), make("ul", {}, ...links)));
    find("operations").append(make("section", {}, make("h2", {}, tag), ...articles));
  }
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

try {
  show(await (await fetch("openapi.json")).json());
} catch (error) {
  find("problem").textContent = `The description of the API could not be read: ${error.message}.`;
  find("problem").hidden = false;
}
