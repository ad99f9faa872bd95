// The API's own page, made from /openapi.json alone: every operation, by tag, with its example. Knows no model.
import { html, useEffect } from "/web/vendor/htm-3.1.1/standalone.module.js";
import { useGet } from "/web/api.js";
import { Problem } from "/web/parts.js";

const anchor = (method, path) => `${method}${path.replaceAll(/[^a-z0-9]+/gi, "-")}`;

function Operation({ method, path, operation }) {
  const example = operation.requestBody?.content?.["application/json"]?.example;
  const body = example && JSON.stringify(example, null, 2);
  const title = `${method.toUpperCase()} ${path}`;
  return html`<section class="card" id=${anchor(method, path)}>
    <h3><code>${title}</code></h3>
    <p>${operation.summary}. ${operation.description}</p>
    ${operation.parameters?.length > 0 && html`<div class="scroll" tabindex="0" role="region" aria-label=${`Parameters of ${title}`}><table><caption>Parameters</caption>
      <tbody>${operation.parameters.map((one) => html`<tr><th scope="row"><code>${one.name}</code></th><td>${one.in}</td><td>${one.description || one.schema?.description}</td></tr>`)}</tbody></table></div>`}
    ${body && html`<details><summary>Example of a body</summary><div class="scroll code" tabindex="0" role="region" aria-label=${`Body of ${title}`}><pre>${body.length > 1500 ? `${body.slice(0, 1500)} …` : body}</pre></div></details>`}
  </section>`;
}

export default function Docs() {
  const { data, problem } = useGet("/openapi.json");
  useEffect(() => {
    document.title = "API · Modelyard";
  }, []);
  const tags = {};
  for (const [path, methods] of Object.entries(data?.paths || {}))
    for (const [method, operation] of Object.entries(methods)) (tags[operation.tags?.[0] || "more"] ||= []).push({ method, path, operation });
  return html`<h1>API</h1>
    <p class="lead">Everything here is also in <a href="/openapi.json">/openapi.json</a>. Each model's page shows requests to copy.</p>
    <${Problem} problem=${problem} />
    ${Object.entries(tags).map(([tag, operations]) => html`<section key=${tag} aria-label=${tag}><h2>${tag}</h2>${operations.map((one) => html`<${Operation} ...${one} />`)}</section>`)}`;
}
