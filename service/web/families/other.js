// For a family that has no page of its own: its first verb's example, to be changed and sent.
import { html, useState } from "/web/vendor/htm-3.1.1/standalone.module.js";
import { useAnswers } from "/web/api.js";
import { Answers, Problem, Request } from "/web/parts.js";

export function Thumbnail({ data }) {
  return html`<pre class="small">${JSON.stringify(data.predictions[0], null, 1).slice(0, 200)}</pre>`;
}

export default function Play({ model, samples, versions, state, setState }) {
  const [text, setText] = useState(state.body || JSON.stringify(samples[0].body, null, 2));
  let body = null;
  let problem = null;
  try {
    body = JSON.parse(text);
  } catch (error) {
    problem = { message: `This is no JSON: ${error.message}.`, status: 422 };
  }
  const request = body && { path: model.verbs[0], query: { model: model.name }, body };
  const answers = useAnswers(request, versions);
  const typed = (event) => {
    setText(event.target.value);
    setState({ body: event.target.value.length < 2000 ? event.target.value : null });
  };
  return html`<div class="play"><section class="card"><h2><label for="body">Body of the request</label></h2>
      <textarea id="body" rows="14" spellcheck="false" aria-describedby="body-problem" value=${text} onInput=${typed}></textarea>
      <${Problem} problem=${problem} id="body-problem" /></section>
    <section class="card"><h2>Answer</h2>
      <${Answers} answers=${answers} show=${(data) => html`<div class="scroll code" tabindex="0" role="region" aria-label="Answer"><pre>${JSON.stringify(data, null, 2).slice(0, 20_000)}</pre></div>`} /></section>
  </div><${Request} request=${request} />`;
}
