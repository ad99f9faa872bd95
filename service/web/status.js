// The service at work: which versions answer, and how many requests each route had. Knows the metrics' names, and no model.
import { html, useEffect } from "/web/vendor/htm-3.1.1/standalone.module.js";
import { useGet } from "/web/api.js";
import { Problem } from "/web/parts.js";

export default function Status() {
  const models = useGet("/v1/models");
  const metrics = useGet("/metrics");
  useEffect(() => {
    document.title = "Status · Modelyard";
  }, []);
  const requests = [...(metrics.data || "").matchAll(/^modelyard_requests_total\{method="(\w+)",route="([^"]+)",status="(\d+)"\} ([\d.e+]+)$/gm)];
  return html`<h1>Status</h1>
    <${Problem} problem=${models.problem || metrics.problem} />
    ${models.data && html`<section class="card"><h2>Models</h2><div class="scroll" tabindex="0" role="region" aria-label="Models"><table>
      <thead><tr><th scope="col">model</th><th scope="col">version</th><th scope="col">served</th></tr></thead>
      <tbody>${models.data.models.map((one) => html`<tr><th scope="row"><a href=${`/play/${one.name}`}>${one.name}</a></th><td>${one.version}</td><td>${one.versions.join(", ")}</td></tr>`)}</tbody></table></div></section>`}
    <section class="card"><h2>Requests</h2><div class="scroll" tabindex="0" role="region" aria-label="Requests"><table>
      <thead><tr><th scope="col">route</th><th scope="col">method</th><th scope="col">status</th><th scope="col">answered</th></tr></thead>
      <tbody>${requests.map(([, method, route, status, count]) => html`<tr><th scope="row">${route}</th><td>${method}</td><td>${status}</td><td class="number">${Number(count)}</td></tr>`)}</tbody></table></div></section>`;
}
