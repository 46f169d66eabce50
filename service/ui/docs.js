// Shows /v1/openapi.json without loading anything from elsewhere.
import { h } from "./dom.js";

const name = (schema) => schema?.$ref?.split("/").at(-1);

function type(schema = {}) {
  if (schema.$ref) return name(schema);
  if (schema.anyOf) return schema.anyOf.map(type).join(" | ");
  return [schema.type, schema.enum && `(${schema.enum.join(", ")})`].filter(Boolean).join(" ");
}

function parameters(operation) {
  const rows = (operation.parameters ?? []).map((p) =>
    h("tr", {}, h("td", {}, h("code", {}, p.name)), h("td", {}, `${p.in}, ${type(p.schema)}`), h("td", {}, p.description ?? "")),
  );
  return rows.length > 0 && h("table", {}, rows);
}

function answers(operation) {
  const rows = Object.entries(operation.responses).map(([status, answer]) => {
    const kinds = Object.entries(answer.content ?? {}).map(([media, { schema }]) => `${media} ${name(schema) ?? ""}`);
    return h("tr", {}, h("td", {}, h("code", {}, status)), h("td", {}, answer.description), h("td", {}, kinds.join(", ")));
  });
  return h("table", {}, rows);
}

function operationElement(path, method, operation, schemas) {
  const [first, ...rest] = (operation.description ?? "").split("\n\n");
  const body = name(operation.requestBody?.content["application/json"]?.schema);
  return h(
    "details",
    {},
    h("summary", {}, h("b", {}, method.toUpperCase()), h("code", {}, path), h("span", {}, first)),
    rest.length > 0 && h("p", { class: "text" }, rest.map((part) => part.replace(/\n/g, " ")).join("\n\n")),
    parameters(operation),
    body && h("pre", {}, `${body} ${JSON.stringify(schemas[body], null, 2)}`),
    answers(operation),
  );
}

async function show() {
  const document_ = await (await fetch("/v1/openapi.json")).json();
  document.getElementById("version").textContent = document_.info.version;
  const byTag = new Map();
  for (const entry of all(document_)) byTag.set(entry.operation.tags[0], [...(byTag.get(entry.operation.tags[0]) ?? []), entry]);
  const parts = [...byTag].flatMap(([tag, operations]) => [
    h("h2", {}, tag),
    ...operations.map((o) => operationElement(o.path, o.method, o.operation, document_.components.schemas)),
  ]);
  document.getElementById("operations").replaceChildren(h("p", {}, document_.info.description), ...parts);
}

function all(document_) {
  return Object.entries(document_.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
}

show();
