// A model's page: who it is, which versions are asked, and its family's way of playing. Knows no family by name.
import { html, useEffect, useState } from "/web/vendor/htm-3.1.1/standalone.module.js";
import { useGet, useUrl } from "/web/api.js";
import { Problem, bytes, number, words } from "/web/parts.js";
import { headline } from "/web/start.js";

function Facts({ model }) {
  const score = headline(model);
  const { lineage } = model;
  return html`<section class="card" aria-labelledby="about"><h2 id="about">About this model</h2>
    <dl class="facts">
      ${score && html`<div><dt>${words(score.key)}</dt><dd>${number(score.value, 4)}</dd></div>`}
      ${score && score.beside && html`<div><dt>beside it: ${score.beside.name}</dt><dd>${number(score.beside.value, 4)}</dd></div>`}
      <div><dt>parameters</dt><dd>${model.parameters.toLocaleString("en")}</dd></div>
      <div><dt>size</dt><dd>${bytes(model.size_bytes)}</dd></div>
      <div><dt>trained</dt><dd>${model.trained.slice(0, 10)}</dd></div>
      <div><dt>on</dt><dd>${model.source.name}</dd></div>
      <div><dt>runs on</dt><dd>${model.provider}</dd></div>
    </dl>
    ${model.source.note && html`<p class="note">${model.source.note}</p>`}
    <p class="note">Its score again: <code>${model.evaluate}</code>${lineage && lineage.code ? html`, code ${lineage.code}` : ""}.
      Everything about it: <a href=${`/v1/models/${model.name}`}>/v1/models/${model.name}</a>, and <a href=${`/v1/models/${model.name}/drift`}>its drift</a>.</p>
  </section>`;
}

export default function Play({ parts: [name] }) {
  const [state, setState] = useUrl();
  const { data: model, problem } = useGet(`/v1/models/${encodeURIComponent(name)}`, { version: state.version });
  const samples = useGet(`/v1/models/${encodeURIComponent(name)}/samples`, { version: state.version });
  const [Family, setFamily] = useState(null);
  useEffect(() => {
    document.title = `${name} · Modelyard`;
  }, [name]);
  useEffect(() => {
    if (!model) return;
    import(`/web/families/${model.family}.js`).catch(() => import("/web/families/other.js")).then((found) => setFamily(() => found.default));
  }, [model && model.family]);
  if (problem) return html`<h1>${name}</h1><${Problem} problem=${problem} /><p><a href="/">All models</a></p>`;
  if (!model) return html`<h1>${name}</h1>`;
  const versions = [String(model.version), ...(state.against && state.against !== String(model.version) ? [state.against] : [])];
  const pick = (key) => (event) => setState({ [key]: event.target.value });
  return html`
    <div class="row spread"><div><h1>${name}</h1><p class="lead">${model.summary}</p></div>
      ${model.versions.length > 1 && html`<div class="row">
        <label>Version <select value=${String(model.version)} onChange=${pick("version")}>
          ${model.versions.map((one) => html`<option value=${String(one)}>${one}</option>`)}</select></label>
        <label>beside <select value=${versions[1] || ""} onChange=${pick("against")}>
          <option value="">none</option>
          ${model.versions.filter((one) => one !== model.version).map((one) => html`<option value=${String(one)}>${one}</option>`)}</select></label>
      </div>`}
    </div>
    <${Problem} problem=${samples.problem} />
    ${Family && samples.data && html`<${Family} model=${model} samples=${samples.data.samples} note=${samples.data.note} versions=${versions} state=${state} setState=${setState} />`}
    <${Facts} model=${model} />`;
}
