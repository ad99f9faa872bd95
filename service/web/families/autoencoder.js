// The page of a model that makes pictures again: without their noise, from their codes, between two of them, from points on a
// plane, from random numbers. Shows what the model's verbs offer; knows the answers of those verbs, and nothing of what is pictured.
import { html, useEffect, useMemo, useRef, useState } from "/web/vendor/htm-3.1.1/standalone.module.js";
import { useAnswers, useGet } from "/web/api.js";
import { Answers, Numbers, Problem, Request, Said, Slider, colour, number, png, useColours } from "/web/parts.js";
import { Source, Strip, usePicture } from "/web/pad.js";
import { noised, pixelsOf, prepared, psnr, urlOf } from "/web/pixels.js";

const NOISE = 0.5; // standard deviation, of the range, that the page of a denoiser starts with
const STEPS = 16; // pictures of a walk
const MADE_UP = 16;
const FRAME_MS = 160;

const base64 = (url) => url.slice(url.indexOf(",") + 1);
const decibels = (value) => (value === null || value === undefined ? "…" : value === Infinity ? "the same picture" : `${value.toFixed(1)} dB`);
const can = (model, verb) => model.verbs.includes(`/v1/${verb}`);
const asking = (model, verb, body, more = {}) => body && { path: `/v1/${verb}`, query: { model: model.name, ...more }, body };

export function Thumbnail({ model, request, data, sample }) {
  const pictures = data.predictions.map((one) => png(one.image));
  if (can(model, "generate")) return html`${pictures.map((one) => html`<img class="picture" src=${one} alt="" />`)}<span class="unseen">Pictures that are made up</span>`;
  return html`<img class="picture" src=${png(request ? request.body.images[0] : sample.body.images[0])} alt=${can(model, "denoise") ? "With noise" : "A sample"} />
    <span aria-hidden="true">→</span><img class="picture" src=${pictures[0]} alt=${can(model, "denoise") ? "and without" : "and made again"} />`;
}

Thumbnail.request = async (model, sample) => {
  if (can(model, "generate")) return asking(model, "generate", { count: 3, seed: 1, temperature: 1 });
  if (!can(model, "denoise")) return asking(model, "reconstruct", sample.body);
  const pixels = noised(await prepared(png(sample.body.images[0]), model.manifest.preparation), NOISE, 0, 1);
  return asking(model, "denoise", { images: [base64(urlOf(pixels))] });
};

/** The picture at `url` as pixels of the model's size; those of the last one until the new ones are there. */
function usePrepared(url, preparation) {
  const [found, setFound] = useState(null);
  useEffect(() => {
    let gone = false;
    if (url) prepared(url, preparation).then((pixels) => !gone && setFound(pixels));
    return () => {
      gone = true;
    };
  }, [url]);
  return url && found;
}

/** How near the picture at `url` is to `pixels`; null until it is known. */
function useNearness(url, pixels, stale) {
  const [nearness, setNearness] = useState(null);
  useEffect(() => {
    if (stale) return undefined;
    let gone = false;
    pixelsOf(url).then((found) => !gone && setNearness(psnr(pixels, found)));
    return () => {
      gone = true;
    };
  }, [url, stale]);
  return nearness;
}

const Framed = ({ url, title, children }) => html`<figure class="framed"><figcaption>${title}</figcaption>
  <img class="picture" src=${url} alt=${title} /><p>${children}</p></figure>`;

function Seed({ id, label, value, onInput }) {
  const put = (event) => event.target.value !== "" && onInput(Math.min(2 ** 31 - 1, Math.max(0, Math.trunc(Number(event.target.value)))));
  return html`<div class="row"><label for=${id}>${label}</label>
    <input type="number" class="seed" id=${id} min="0" step="1" value=${value} onChange=${put} />
    <button type="button" onClick=${() => onInput(value + 1)}>Another</button></div>`;
}

/** A number of the page's state; `otherwise` where it holds none. */
const held = (text, otherwise, lowest, highest) => (text === undefined || Number.isNaN(Number(text)) ? otherwise : Math.min(highest, Math.max(lowest, Number(text))));

const unusual = (percentile) => `More unusual than ${percentile >= 100 ? "all" : `${Math.floor(percentile)} of 100`} training pictures.`;

/** The request that made what is on the screen. */
const Sent = ({ answers, request }) => html`<${Request} request=${(answers[0].data && answers[0].request) || request} />`;

/** How unusual a picture is, as each version says. */
const Unusual = ({ answers }) => html`<div class="unusual">${answers.filter((one) => one.data).map(({ version, stale, data: { predictions: [one] } }) => html`<p key=${version} class=${`answer${stale ? " stale" : ""}`}>
    <strong>${answers.length > 1 ? `Version ${version}: ` : ""}${unusual(one.percentile)}</strong> <span class="note">Mean squared error of a pixel: ${number(one.error, 2)}.</span></p>`)}</div>`;

function Restored({ prediction, stale, pixels, verb, onNearness }) {
  const nearness = useNearness(png(prediction.image), pixels, stale);
  useEffect(() => onNearness(nearness), [nearness]);
  return html`<${Framed} url=${png(prediction.image)} title=${verb === "denoise" ? "Restored" : "Made again"}>${decibels(nearness)}</${Framed}>`;
}

const NONE = "Draw something, or choose a sample.";

/** A picture, noise on it, and what the model makes of that: by `verb`, denoise or reconstruct. */
function Restore({ verb, model, source, picture, versions, state, setState }) {
  const { preparation } = model.manifest;
  const level = held(state.noise, verb === "denoise" ? NOISE : 0, 0, 1);
  const seed = held(state.noise_seed, 0, 0, 2 ** 31 - 1);
  const pixels = usePrepared(source.url, preparation);
  const noisy = useMemo(() => pixels && (level ? noised(pixels, level, seed, preparation.channels) : pixels), [pixels, level, seed]);
  const [original, sent, before] = useMemo(() => (pixels ? [urlOf(pixels), urlOf(noisy), psnr(pixels, noisy)] : []), [noisy]);
  const request = asking(model, verb, sent && { images: [base64(sent)] });
  const answers = useAnswers(request, versions, 0);
  const [nearness, setNearness] = useState(null);
  const [{ data, stale }] = answers;
  const said = data && !stale && `${level ? `With noise ${decibels(before)}, ` : ""}made again ${decibels(nearness)}. ${verb === "reconstruct" ? unusual(data.predictions[0].percentile) : ""}`;
  return html`<div class="play"><section class="card" aria-labelledby="picture"><h2 id="picture">Picture</h2>${picture(answers)}</section>
    <section class="card" aria-labelledby="result"><h2 id="result">${verb === "denoise" ? "Without its noise" : "Made again from its code"}</h2>
      <div class="frames">${pixels ? html`
        <${Framed} url=${original} title="Original">${preparation.width} × ${preparation.height} pixels</${Framed}>
        <${Framed} url=${sent} title="With noise">${level ? decibels(before) : "none"}</${Framed}>
        <${Answers} answers=${answers} show=${({ predictions: [prediction] }, answer) => html`<${Restored} prediction=${prediction} stale=${answer.stale}
          pixels=${pixels} verb=${verb} onNearness=${(value) => answer.version === versions[0] && setNearness(value)} />`} />`
        : html`<p class="note">${NONE}</p>`}</div>
      ${verb === "reconstruct" && html`<${Unusual} answers=${answers} />`}
      <p class="note">Decibels: signal-to-noise ratio (PSNR) beside the original; more is nearer.</p>
      <${Slider} id="noise" label="Noise: standard deviation, of the range from black to white" value=${level} min=${0} max=${1} step=${0.05} onInput=${(value) => setState({ noise: String(value) })} />
      <${Seed} id="noise-seed" label="Seed of the noise" value=${seed} onInput=${(value) => setState({ noise_seed: String(value) })} />
      <${Said} text=${pixels ? said : NONE} /></section></div>
    <${Sent} answers=${answers} request=${request} />`;
}

function MadeUp({ model, versions, state, setState }) {
  const seed = held(state.seed, 0, 0, 2 ** 31 - 1);
  const temperature = held(state.temperature, 1, 0, 2);
  const request = asking(model, "generate", { count: MADE_UP, seed, temperature });
  const answers = useAnswers(request, versions);
  const about = `${MADE_UP} pictures made up with seed ${seed} at temperature ${temperature}`;
  return html`<section class="card" aria-labelledby="made"><h2 id="made">Made up from random numbers</h2>
      <div class="play"><div>
        <${Slider} id="temperature" label="Temperature: 0 gives the mean picture, more gives more different ones" value=${temperature} min=${0} max=${2} step=${0.05} onInput=${(value) => setState({ temperature: String(value) })} />
        <${Seed} id="seed" label="Seed" value=${seed} onInput=${(value) => setState({ seed: String(value) })} />
        <p class="note">The same seed gives the same pictures. Each is what the decoder makes of a code drawn from a normal distribution.</p></div>
        <${Answers} answers=${answers} show=${({ predictions }) => html`<div class="gallery" role="img" aria-label=${about}>
          ${predictions.map((one) => html`<img class="picture" src=${png(one.image)} alt="" />`)}</div>`} /></div>
      <${Said} text=${answers[0].data && !answers[0].stale ? `${about}.` : ""} /></section>
    <${Sent} answers=${answers} request=${request} />`;
}

const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** The step of a walk, and whether it goes on by itself: there and back. */
function usePlay(start, onStop) {
  const [step, setStep] = useState(start);
  const [playing, setPlaying] = useState(false);
  const way = useRef(1);
  useEffect(() => {
    if (!playing) return undefined;
    const timer = setInterval(() => setStep((old) => {
      if (old + way.current < 1 || old + way.current > STEPS) way.current = -way.current;
      return old + way.current;
    }), FRAME_MS);
    return () => clearInterval(timer);
  }, [playing]);
  const stop = (at) => {
    setPlaying(false);
    setStep(at);
    onStop(at);
  };
  return { step, playing, stop, toggle: () => (playing ? stop(step) : setPlaying(true)) };
}

function Walk({ model, source, picture, samples, versions, state, setState }) {
  const { preparation } = model.manifest;
  const other = samples.findIndex((one) => one.truth !== samples[0].truth);
  const to = held(state.to, Math.max(0, other), 0, samples.length - 1);
  const ends = [usePrepared(source.url, preparation), usePrepared(png(samples[to].body.images[0]), preparation)];
  const images = useMemo(() => (ends.every(Boolean) ? ends.map((one) => base64(urlOf(one))) : null), ends);
  const request = asking(model, "interpolate", images && { images, steps: STEPS });
  const answers = useAnswers(request, versions);
  const { step, playing, stop, toggle } = usePlay(held(state.step, STEPS / 2, 1, STEPS), (at) => setState({ step: String(at) }));
  const name = `Step ${step} of ${STEPS}`;
  return html`<div class="play"><section class="card" aria-labelledby="picture"><h2 id="picture">From</h2>${picture(answers)}</section>
    <section class="card" aria-labelledby="walk"><h2 id="walk">Walk from code to code</h2>
      <h3>To</h3><${Strip} samples=${samples} chosen=${to} onChoose=${(one) => setState({ to: String(one) })} label="Where the walk ends" />
      <${Answers} answers=${answers} empty=${source.url ? "…" : NONE} show=${({ predictions }) => html`<figure><img class="picture step" src=${png(predictions[step - 1].image)} alt=${name} />
        <div class="film" aria-hidden="true">${predictions.map((one, index) => html`<img class=${`picture${index + 1 === step ? " now" : ""}`} src=${png(one.image)} alt="" />`)}</div></figure>`} />
      <${Slider} id="step" label=${name} value=${step} min=${1} max=${STEPS} onInput=${stop} />
      ${still() ? html`<p class="note">Nothing moves by itself, as your system asks for less motion.</p>` : html`<button type="button" onClick=${toggle}>${playing ? "Pause" : "Play"}</button>`}
      <p class="note">Each picture is decoded from a point on the straight line between both codes.</p>
      <${Said} text=${!playing && answers[0].data ? `${name}.` : ""} /></section></div>
    <${Sent} answers=${answers} request=${request} />`;
}

// The plane of codes

const PAD = 12; // pixels around the outermost points
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Colours of labels: hues apart from each other, dark enough on light ground and light enough on dark. */
function hues(labels) {
  const dark = colour("color-scheme") === "dark" || getComputedStyle(document.documentElement).colorScheme === "dark";
  return Object.fromEntries(labels.map((label, index) => [label, `hsl(${(index * 360) / labels.length} 75% ${dark ? 72 : 34}%)`]));
}

/** Places in pixels of a canvas `width` wide, and its height. */
function laidOut({ x, y }, width) {
  const [left, right, low, high] = [Math.min(...x), Math.max(...x), Math.min(...y), Math.max(...y)];
  const height = Math.round(Math.min(width, Math.max(width * 0.45, (width * (high - low)) / (right - left))));
  const place = (value, from, to, size) => PAD + ((value - from) / (to - from || 1)) * (size - 2 * PAD);
  return { height, points: x.map((one, index) => [place(one, left, right, width), place(-y[index], -high, -low, height)]) };
}

function drawPlane(canvas, { points, height }, width, labels, colours, chosen) {
  const context = canvas.getContext("2d");
  const sharp = devicePixelRatio;
  Object.assign(canvas, { width: width * sharp, height: height * sharp });
  context.scale(sharp, sharp);
  Object.assign(context, { font: "600 11px system-ui, sans-serif", textAlign: "center", textBaseline: "middle", lineWidth: 2.5, strokeStyle: colour("--ink") });
  points.forEach(([x, y], index) => {
    context.fillStyle = colours[labels[index]];
    context.fillText(labels[index], x, y);
  });
  context.beginPath();
  context.arc(...points[chosen], 9, 0, 2 * Math.PI);
  context.stroke();
}

/** The nearest point to a place, or from a point the nearest one in a direction. */
function nearest(points, [x, y], direction) {
  let best = { index: -1, far: Infinity };
  points.forEach(([a, b], index) => {
    const [right, down] = [a - x, b - y];
    const along = direction ? right * direction[0] + down * direction[1] : 1;
    const far = direction ? Math.hypot(right, down) + 2 * Math.abs(right * direction[1] + down * direction[0]) : Math.hypot(right, down);
    if (along > 0 && far < best.far) best = { index, far };
  });
  return best.index;
}

function useWidth(element) {
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const watcher = new ResizeObserver(([{ contentRect }]) => setWidth(Math.floor(contentRect.width)));
    watcher.observe(element.current);
    return () => watcher.disconnect();
  }, []);
  return width;
}

function Map({ plane, chosen, onChoose, onSettle, name }) {
  const frame = useRef(null);
  const canvas = useRef(null);
  const width = useWidth(frame);
  const colours = useColours();
  const laid = useMemo(() => width && laidOut(plane, width), [plane, width]);
  const labels = useMemo(() => [...new Set(plane.label)].sort(), [plane]);
  useEffect(() => {
    if (laid) drawPlane(canvas.current, laid, width, plane.label, hues(labels), chosen);
  }, [laid, chosen, colours]);
  const under = (event) => {
    const box = canvas.current.getBoundingClientRect();
    return nearest(laid.points, [event.clientX - box.left, event.clientY - box.top]);
  };
  const press = (event) => {
    if (!ARROWS[event.key] || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const next = nearest(laid.points, laid.points[chosen], ARROWS[event.key]);
    if (next >= 0) onSettle(next);
  };
  return html`<div class="plane" ref=${frame} tabindex="0" role="application" aria-label=${`${name}: arrow keys go from point to point`} onKeyDown=${press}>
    <canvas ref=${canvas} style=${laid ? `height: ${laid.height}px` : ""} role="img" aria-label=${`${name}. Chosen: a ${plane.label[chosen]}`}
      onPointerMove=${(event) => event.pointerType === "mouse" && onChoose(under(event))} onClick=${(event) => onSettle(under(event))}></canvas></div>`;
}

const middling = (values) => (values.reduce((sum, one) => sum + one, 0) / values.length).toFixed(2);

/** A row for each label: how many points it has and where their middle is. */
function summary({ x, y, label }) {
  return [...new Set(label)].sort().map((one) => {
    const rows = label.flatMap((other, index) => (other === one ? [index] : []));
    return [one, rows.length, middling(rows.map((row) => x[row])), middling(rows.map((row) => y[row]))];
  });
}

function Decoded({ model, plane, version, state, setState, onRequest }) {
  const settled = held(state.point, 0, 0, plane.label.length - 1);
  const [over, setOver] = useState(null);
  const chosen = over ?? settled;
  const code = plane.code[chosen];
  const request = asking(model, "decode", { codes: [code] });
  const answers = useAnswers(request, [version], 0);
  useEffect(() => onRequest(answers[0].request || request), [answers[0].request]);
  const settle = (index) => {
    setOver(null);
    setState({ point: String(index) });
  };
  const name = `${plane.label.length.toLocaleString("en")} test pictures' codes on a plane`;
  const numbers = useMemo(() => html`<${Numbers} caption=${`${name}: the middle of each label`} head=${["label", "points", "x", "y"]} rows=${summary(plane)} />`, [plane]);
  return html`<div class="decoded"><figure><${Map} plane=${plane} chosen=${chosen} onChoose=${setOver} onSettle=${settle} name=${name} />
      <figcaption>${name} (${plane.method}), each marked by its true label. Point at one, or use the arrow keys. All of them:${" "}
        <a href=${`/v1/plane?model=${model.name}&version=${version}`}>/v1/plane</a></figcaption>${numbers}</figure>
    <div><${Answers} answers=${answers} show=${({ predictions: [prediction] }) => html`<${Framed} url=${png(prediction.image)} title="Decoded">a ${plane.label[chosen]}</${Framed}>`} />
      <${Numbers} caption="The code" head=${["place", "value"]} rows=${code.map((value, index) => [index + 1, value.toFixed(2)])} /></div>
    <${Said} text=${over === null ? `Point ${chosen + 1}: a ${plane.label[chosen]}.` : ""} /></div>`;
}

function OnePlane({ version, several, ...rest }) {
  const { data, problem } = useGet("/v1/plane", { model: rest.model.name, version });
  return html`${several && html`<h3>Version ${version}</h3>`}<${Problem} problem=${problem} />
    ${data && html`<${Decoded} plane=${data} version=${version} ...${rest} />`}`;
}

function Planes({ model, versions, state, setState }) {
  const [request, setRequest] = useState(null);
  return html`<section class="card" aria-labelledby="plane"><h2 id="plane">The plane of codes</h2><div class="planes">
      ${versions.map((version, index) => html`<${OnePlane} key=${version} model=${model} version=${version} several=${versions.length > 1} state=${state} setState=${setState}
        onRequest=${index ? () => {} : setRequest} />`)}</div></section>
    <${Request} request=${request} />`;
}

// Which of these a model has, the most telling first

const SECTIONS = [
  ["clean", "Without noise", (model) => can(model, "denoise"), (all) => html`<${Restore} verb="denoise" ...${all} />`],
  ["made", "Made up", (model) => can(model, "generate"), (all) => html`<${MadeUp} ...${all} />`],
  ["again", "Made again", (model) => can(model, "reconstruct") && !can(model, "denoise"), (all) => html`<${Restore} verb="reconstruct" ...${all} />`],
  ["plane", "Plane of codes", (model) => can(model, "decode"), (all) => html`<${Planes} ...${all} />`],
  ["walk", "Walk between two", (model) => can(model, "interpolate"), (all) => html`<${Walk} ...${all} />`],
];

function Tabs({ sections, chosen, onChoose }) {
  const list = useRef(null);
  const press = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = (sections.findIndex(([key]) => key === chosen) + step + sections.length) % sections.length;
    onChoose(sections[next][0]);
    list.current.children[next].focus();
  };
  return html`<div class="tabs" role="tablist" aria-label="What to try" ref=${list} onKeyDown=${press}>${sections.map(([key, name]) => html`<button type="button" key=${key} id=${`tab-${key}`}
    role="tab" aria-selected=${String(key === chosen)} aria-controls="panel" tabindex=${key === chosen ? 0 : -1} onClick=${() => onChoose(key)}>${name}</button>`)}</div>`;
}

export default function Play(props) {
  const { model, samples, note, state, setState } = props;
  const sections = SECTIONS.filter(([, , has]) => has(model));
  const [key, , , show] = sections.find(([one]) => one === state.tab) || sections[0];
  const source = usePicture({ samples, state, setState });
  const { mode } = model.manifest.preparation;
  const picture = (answers) => html`<${Source} source=${source} samples=${samples} note=${note} thing=${mode === "digit" ? "digit, or something else," : "picture"} drawable=${mode === "digit"}
    busy=${answers.some((one) => one.stale && !one.problem)} />`;
  const panel = show({ ...props, key, source, picture });
  if (sections.length === 1) return panel;
  return html`<${Tabs} sections=${sections} chosen=${key} onChoose=${(tab) => setState({ tab })} />
    <div id="panel" role="tabpanel" aria-labelledby=${`tab-${key}`}>${panel}</div>`;
}
