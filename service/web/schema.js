// JSON schemas in words: which fields there are, what they may be, what they are for. Pure but for its markup; knows no address.
import { html } from "/web/vendor/htm-3.1.1/standalone.module.js";

const DEEP = 5; // levels of fields within fields

/** The schema that a $ref names, or itself. */
export const resolved = (schema, document) => (schema?.$ref ? schema.$ref.split("/").slice(1).reduce((part, key) => part?.[key], document) : schema) || {};

const alternatives = (schema) => (schema.anyOf || schema.oneOf || []).filter((one) => one.type !== "null");

/** What a value may be, in a few words: "list of text", "whole number, 1 to 64". */
export function kind(schema, document) {
  const one = resolved(schema, document);
  const several = alternatives(one);
  if (several.length) return [...new Set(several.map((part) => kind(part, document)))].join(" or ");
  const bounds = [one.minimum ?? one.exclusiveMinimum, one.maximum ?? one.exclusiveMaximum];
  const between = bounds[0] !== undefined && bounds[1] !== undefined ? `, ${bounds[0]} to ${bounds[1]}` : bounds[0] !== undefined ? `, from ${bounds[0]}` : bounds[1] !== undefined ? `, up to ${bounds[1]}` : "";
  const long = one.maxLength ? `, at most ${one.maxLength} characters` : "";
  const names = { string: one.format === "binary" ? "bytes" : "text", integer: "whole number", number: "number", boolean: "true or false", object: "object", null: "nothing" };
  if (one.type === "array") return `list of ${one.items ? kind(one.items, document) : "values"}`;
  if (one.enum) return one.enum.map((value) => JSON.stringify(value)).join(", ");
  return `${names[one.type] || "any value"}${between}${long}`;
}

/** The fields of an object, or of the objects in a list, one by one: nested ones below theirs. */
export function Fields({ schema, document, depth = 0 }) {
  let one = resolved(schema, document);
  while (one.type === "array" || alternatives(one).length === 1) one = resolved(one.type === "array" ? one.items : alternatives(one)[0], document);
  const fields = Object.entries(one.properties || {});
  if (!fields.length || depth >= DEEP) return null;
  return html`<ul class="listed">${fields.map(([name, field]) => html`<li key=${name}>
    <code>${name}</code> <span class="note">${kind(field, document)}${(one.required || []).includes(name) ? "" : ", may be left out"}${field.default !== undefined && field.default !== null ? `, else ${JSON.stringify(field.default)}` : ""}</span>
    ${field.description && html` ${field.description}`}
    <${Fields} schema=${field} document=${document} depth=${depth + 1} /></li>`)}</ul>`;
}

/** A value as JSON that people read: a list of numbers or words stays on one line. */
export function written(value, indent = "") {
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    if (value.every((one) => one === null || typeof one !== "object")) return `[${value.map((one) => JSON.stringify(one)).join(", ")}]`;
    return `[\n${value.map((one) => inner + written(one, inner)).join(",\n")}\n${indent}]`;
  }
  if (value && typeof value === "object") {
    const entries = Object.entries(value);
    return entries.length ? `{\n${entries.map(([key, one]) => `${inner}${JSON.stringify(key)}: ${written(one, inner)}`).join(",\n")}\n${indent}}` : "{}";
  }
  return JSON.stringify(value);
}
