// The start page: a card for each served model, made from what the service says of it, with one live answer each.
import { html, useEffect, useState } from "/web/vendor/htm-3.1.1/standalone.module.js";
import { ask, useGet } from "/web/api.js";
import { Problem, bytes, milliseconds, number, words } from "/web/parts.js";

/** The score a version is judged by, of which more is better, beside the best of its baselines. */
export function headline(model) {
  const key = model.gate;
  if (!(key in model.scores)) return null;
  const beside = Object.entries(model.baselines).filter(([, one]) => key in one).sort(([, one], [, other]) => other[key] - one[key]);
  const [name, reached] = beside[0] || [null, null];
  return { key, value: model.scores[key], beside: name && { name, value: reached[key] } };
}

function Card({ model }) {
  const [live, setLive] = useState({});
  useEffect(() => {
    let gone = false;
    const load = async () => {
      const [{ Thumbnail }, { data: whole }, { data }] = await Promise.all([
        import(`/web/families/${model.family}.js`).catch(() => import("/web/families/other.js")),
        ask({ path: `/v1/models/${model.name}` }),
        ask({ path: `/v1/models/${model.name}/samples` }),
      ]);
      const asked = Thumbnail.request ? await Thumbnail.request(whole, data.samples[0]) : { path: model.verbs[0], query: { model: model.name }, body: data.samples[0].body };
      const answer = await ask(asked);
      if (!gone) setLive({ Thumbnail, whole, sample: data.samples[0], answer });
    };
    load().catch((problem) => !gone && setLive({ problem: problem.message }));
    return () => {
      gone = true;
    };
  }, []);
  const score = headline(model);
  const { Thumbnail, whole, sample, answer, problem } = live;
  return html`<li class="card model">
    <h2><a href=${`/play/${model.name}`}>${model.name}</a></h2>
    <p class="family">${model.family}, version ${model.version}</p>
    <div class="thumbnail">
      ${Thumbnail && html`<${Thumbnail} model=${whole} sample=${sample} data=${answer.data} request=${answer.request} />`}
      ${problem && html`<p class="note">${problem}</p>`}
    </div>
    <p>${model.summary}</p>
    <dl class="facts">
      ${score && html`<div><dt>${words(score.key)}</dt><dd>${number(score.value, 4)}</dd></div>`}
      ${score && score.beside && html`<div><dt>beside it: ${score.beside.name}</dt><dd>${number(score.beside.value, 4)}</dd></div>`}
      <div><dt>size</dt><dd>${bytes(model.size_bytes)}</dd></div>
      <div><dt>answer just now</dt><dd>${answer ? milliseconds(answer.serverMs ?? answer.roundMs) : "…"}</dd></div>
    </dl>
  </li>`;
}

export default function Start() {
  const { data, problem } = useGet("/v1/models");
  useEffect(() => {
    document.title = "Modelyard";
  }, []);
  return html`
    <h1>Small neural networks, behind an API</h1>
    <p class="lead">Every card shows an answer that this service gave a moment ago. Open one to play with it, and to copy the request.</p>
    <${Problem} problem=${problem} />
    ${data && !data.models.length && html`<p class="note">No model is served yet. Train one: <code>python -m training train classifier</code>.</p>`}
    <ul class="cards">${data && data.models.map((model) => html`<${Card} key=${model.name} model=${model} />`)}</ul>
    ${data && data.refused.length > 0 && html`<section class="card"><h2>Not served</h2>
      <ul>${data.refused.map((one) => html`<li><strong>${one.name} ${one.version}</strong>: ${one.reason}</li>`)}</ul></section>`}`;
}
