// The page of a model that names what a picture shows: bars while one draws, what the network saw, what speaks for its answer,
// what its layers make of the picture. Knows the answers of /v1/classify; knows no label by name.
import { html, useEffect, useRef, useState } from "/web/vendor/htm-3.1.1/standalone.module.js";
import { useAnswers } from "/web/api.js";
import { Answers, Bars, Numbers, Request, Said, Slider, percent, png, words } from "/web/parts.js";
import { Source, usePicture } from "/web/pad.js";

const MOST = 10; // labels that are listed
const SURE = 0.6;

const unsure = (prediction) => (prediction.probability < SURE ? ", unsure" : "");

export function Thumbnail({ sample, data }) {
  const [prediction] = data.predictions;
  return html`<img class="picture" src=${png(sample.body.images[0])} alt=${sample.truth === null ? "A sample" : `A sample, true label ${sample.truth}`} />
    <p class="verdict">${prediction.label} <small>${percent(prediction.probability)}${unsure(prediction)}</small></p>`;
}

/** Few labels stand in their own order, so that no bar jumps while one draws; of many the likeliest ones, in theirs. */
function listed(model, { probabilities }) {
  const { labels } = model.manifest;
  if (labels.length <= MOST) return labels.map((label) => [label, probabilities[label]]);
  return Object.entries(probabilities).sort(([, one], [, other]) => other - one);
}

function Verdict({ model, prediction, truth }) {
  const right = String(truth) === prediction.label;
  return html`<p class="verdict">${prediction.label} <small>${percent(prediction.probability)}${unsure(prediction)}</small></p>
    <p class="note">${truth === null ? "\u00a0" : `True label ${truth}: ${right ? "right" : "wrong"}.`}</p>
    <${Bars} entries=${listed(model, prediction)} strong=${prediction.label} caption="Probability of each label" />`;
}

/** The name of a place in a picture, from its share of the height and of the width. */
function placed(down, across) {
  const row = ["upper", "middle", "lower"][Math.min(2, Math.floor(3 * down))];
  const column = ["left", "middle", "right"][Math.min(2, Math.floor(3 * across))];
  return row === column ? "middle" : `${row} ${column}`;
}

const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;

/** What the numbers of an explanation say, in one sentence. */
function sentence({ label, values }) {
  const all = values.flatMap((row, down) => row.map((value, across) => ({ value, place: placed((down + 0.5) / values.length, (across + 0.5) / row.length) })));
  const most = all.reduce((one, other) => (other.value > one.value ? other : one));
  const least = all.reduce((one, other) => (other.value < one.value ? other : one));
  const against = least.value < 0 ? `, most against it the ${least.place} (${signed(least.value)})` : ", nothing against it";
  return most.value > 0 ? `Most speaks for ${label} at the ${most.place} (${signed(most.value)})${against}.` : `Nothing speaks for ${label}${against}.`;
}

/** A value for each pixel: the mean of the squares that hide it. */
function spread({ values, patch }, height, width) {
  const sums = new Float64Array(height * width);
  const counts = new Uint16Array(height * width);
  const from = (index, places, side) => Math.round((index * (side - patch)) / Math.max(1, places - 1));
  values.forEach((row, down) => row.forEach((value, across) => {
    const top = from(down, values.length, height);
    const left = from(across, row.length, width);
    for (let y = top; y < top + patch; y += 1) {
      for (let x = left; x < left + patch; x += 1) {
        sums[y * width + x] += value;
        counts[y * width + x] += 1;
      }
    }
  }));
  return sums.map((sum, index) => (counts[index] ? sum / counts[index] : 0));
}

const FOR = [64, 140, 255];
const AGAINST = [255, 140, 32];

/** Blue where the picture speaks for the label, orange where against, over the picture as the network saw it. */
function Overlay({ explanation, seen, opacity }) {
  const canvas = useRef(null);
  useEffect(() => {
    const pixels = spread(explanation, seen.height, seen.width);
    const highest = Math.max(1e-9, ...pixels.map(Math.abs));
    const context = canvas.current.getContext("2d");
    const data = context.createImageData(seen.width, seen.height);
    pixels.forEach((value, index) => data.data.set([...(value > 0 ? FOR : AGAINST), 255 * Math.sqrt(Math.abs(value) / highest)], 4 * index));
    context.putImageData(data, 0, 0);
  }, [explanation, seen]);
  return html`<canvas ref=${canvas} width=${seen.width} height=${seen.height} style=${`opacity: ${opacity}`} aria-hidden="true"></canvas>`;
}

function Seen({ prediction, version }) {
  const [opacity, setOpacity] = useState(0.7);
  const { seen, explanation } = prediction;
  const highest = explanation && Math.max(...explanation.values.flat().map(Math.abs)).toFixed(1);
  const about = `The picture as the network saw it, ${seen.width} × ${seen.height} pixels.`;
  return html`<figure class="seen">
    <div><div class="layered" role="img" aria-label=${explanation ? `${about} ${sentence(explanation)}` : about}>
      <img class="picture" src=${png(seen.image)} alt="" />
      ${explanation && html`<${Overlay} explanation=${explanation} seen=${seen} opacity=${opacity} />`}
    </div></div>
    <figcaption><p>${about}</p>
      ${explanation && html`<p>${sentence(explanation)}</p>
        <div class="legend"><span>against<br />−${highest}</span><i></i><span>for ${explanation.label}<br />+${highest}</span></div>
        <p>How much the label's log-odds fall when a square of ${explanation.patch} × ${explanation.patch} pixels there is hidden.</p>
        <${Slider} id=${`opacity-${version}`} label="Opacity of the colours" value=${opacity} min=${0} max=${1} step=${0.05} onInput=${setOpacity} />
        <${Numbers} caption=${explanation.method} head=${["", ...explanation.values[0].map((_, index) => `column ${index + 1}`)]}
          rows=${explanation.values.map((row, index) => [`row ${index + 1}`, ...row.map(signed)])} />`}</figcaption>
  </figure>`;
}

const sized = (layer) => `${words(layer.name)}: ${layer.channels} maps of ${layer.height} × ${layer.width}`;

function Layers({ layers }) {
  const [large, setLarge] = useState(null);
  const dialog = useRef(null);
  const open = (layer) => {
    setLarge(layer);
    dialog.current.showModal();
  };
  return html`<div class="layers">${layers.map((layer) => html`<figure key=${layer.name}>
      <button type="button" onClick=${() => open(layer)}><img class="picture" src=${png(layer.image)} alt="" /><span class="unseen">Enlarge ${words(layer.name)}</span></button>
      <figcaption>${sized(layer)}</figcaption></figure>`)}</div>
    <dialog ref=${dialog} aria-label=${large ? sized(large) : "A layer"} onClick=${(event) => event.target === dialog.current && dialog.current.close()}>
      ${large && html`<div class="row spread"><h2>${sized(large)}</h2><button type="button" onClick=${() => dialog.current.close()}>Close</button></div>
        <img class="picture" src=${png(large.image)} alt=${`The ${large.channels} maps of ${words(large.name)}, the brighter the stronger`} />`}
    </dialog>`;
}

/** What each switch adds, by its name in the query of the page and of the request. */
const SWITCHES = {
  seen: "the picture as the network saw it",
  explain: "what speaks for the answer",
  layers: "what each convolution makes of it",
};

function Inside({ model, body, versions, state, setState }) {
  const on = (name) => Boolean(state[name]);
  const ask = (query) => body && { path: "/v1/classify", query: { model: model.name, top: 1, ...query }, body };
  const seen = useAnswers(on("seen") || on("explain") ? ask({ seen: true, explain: on("explain") }) : null, versions);
  const layers = useAnswers(on("layers") ? ask({ layers: true }) : null, versions);
  const flip = (name) => (event) => setState({ [name]: event.target.checked ? "1" : null });
  return html`<section class="card" aria-labelledby="inside"><h2 id="inside">Look inside</h2>
    <fieldset class="switches"><legend class="unseen">Show</legend>
      ${Object.entries(SWITCHES).map(([name, text]) => html`<label class="check" key=${name}><input type="checkbox" checked=${on(name)} onChange=${flip(name)}
        aria-describedby=${`inside-${name}`} /> ${text} <code>?${name}=true</code></label>`)}
    </fieldset>
    ${(on("seen") || on("explain")) && html`<div id=${on("explain") ? "inside-explain" : "inside-seen"}><${Answers} answers=${seen} empty=${body ? "…" : "There is no picture yet."}
      show=${({ predictions: [prediction] }, { version }) => html`<${Seen} prediction=${prediction} version=${version} />`} /></div>`}
    ${on("layers") && html`<div id="inside-layers"><h3>Layers</h3><${Answers} answers=${layers} empty=${body ? "…" : "There is no picture yet."}
      show=${({ predictions: [prediction] }) => html`<${Layers} layers=${prediction.layers} />`} /></div>`}
  </section>`;
}

const brief = ({ data: { predictions: [one] } }) => html`${one.label} <small>${percent(one.probability)}${unsure(one)}</small>`;

/** One sentence for all versions that answered. */
function said(answers) {
  const good = answers.filter((one) => one.data && !one.stale);
  return good.map(({ version, data: { predictions: [one] } }) => `${good.length > 1 ? `Version ${version}: ` : ""}${one.label}, ${percent(one.probability)}${unsure(one)}.`).join(" ");
}

export default function Play({ model, samples, note, versions, state, setState }) {
  const { preparation, labels } = model.manifest;
  const digits = preparation.mode === "digit";
  const thing = digits ? "digit" : "picture";
  const source = usePicture({ samples, state, setState });
  const finished = useRef(null);
  const body = source.sent && { images: [source.sent] };
  if (source.finished) finished.current = body;
  const request = body && { path: "/v1/classify", query: { model: model.name, top: labels.length > MOST && MOST }, body };
  const answers = useAnswers(request, versions, 0);
  const busy = answers.some((one) => one.stale && !one.problem);
  const current = answers.every((one) => one.problem || (one.request && one.request.body.images[0] === source.sent));
  const truthOf = (answer) => (source.sample && answer.request.body.images[0] === source.sent ? source.sample.truth : null);
  const empty = request ? "…" : digits ? "Draw a digit, or choose a sample." : "Open a picture, or choose a sample.";
  return html`<div class="play">
      <section class="card" aria-labelledby="picture"><h2 id="picture">Picture</h2>
        <${Source} source=${source} samples=${samples} note=${note} thing=${thing} drawable=${digits} busy=${busy}
          told=${answers[0].data ? brief(answers[0]) : "\u00a0"} /></section>
      <section class="card" aria-labelledby="answer"><h2 id="answer">Answer</h2>
        <div class="verdicts" aria-busy=${String(Boolean(request) && !current)}><${Answers} answers=${answers} empty=${empty}
          show=${({ predictions: [prediction] }, answer) => html`<${Verdict} model=${model} prediction=${prediction} truth=${truthOf(answer)} />`} /></div>
        <${Said} text=${request ? source.finished && said(answers) : empty} /></section>
    </div>
    <${Inside} model=${model} body=${finished.current} versions=${versions} state=${state} setState=${setState} />
    <${Request} request=${(answers[0].data && answers[0].request) || request} />`;
}
