// Plays with a model that labels texts: its verdict as one types, each word's part of it, and what a changed word does.
// Knows the answers of /v1/sentiment; knows no language, no label and no model.
import { html, useRef, useState } from "/web/vendor/htm-3.1.1/standalone.module.js";
import { useAnswers } from "/web/api.js";
import { Answers, Bars, Numbers, Problem, Request, Said, percent } from "/web/parts.js";

const UNSURE = 0.6; // below it the page says so
const MARKED = 0.12; // of the strongest word's part: from there on a word has its sign beside it
const LONGEST_IN_URL = 1500; // characters
const CHANGES = { out: "leave it out", before: "put a word before it", instead: "put a word in its place" };

// Texts. Offsets of the API count Unicode code points, JavaScript's strings count UTF-16 units.

/** The part of `text` from code point `start` up to `end`. */
const part = (points, start, end) => points.slice(start, end).join("");

/** What a text becomes when the word at {start, end} is changed. */
export function changed(text, { start, end }, change, other) {
  const points = Array.from(text);
  const [before, word, after] = [part(points, 0, start), part(points, start, end), part(points, end)];
  if (change === "before") return `${before}${other} ${word}${after}`;
  if (change === "instead") return `${before}${other}${after}`;
  return before + (/\s$/.test(before) || !before ? after.replace(/^\s+/, "") : after);
}

/** Words, what stands between them and what was not read, in the text's order: [{text, word?, index?, cut?}]. */
export function pieces(text, { words, cut }) {
  const points = Array.from(text);
  const marks = words.map((word, index) => ({ start: word.start, end: word.end, word, index }));
  if (cut) marks.push({ start: cut.start, end: cut.end, cut });
  marks.sort((one, other) => one.start - other.start);
  const found = [];
  let at = 0;
  for (const mark of marks) {
    if (mark.start > at) found.push({ text: part(points, at, mark.start) });
    found.push({ ...mark, text: part(points, mark.start, mark.end) });
    at = mark.end;
  }
  if (at < points.length) found.push({ text: part(points, at) });
  return found;
}

// Numbers

const signed = (value, digits = 2) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;
const plain = (value) => (value < 0 ? `−${Math.abs(value).toFixed(2)}` : value.toFixed(2));
const sureness = (one) => (one.probability < UNSURE ? "unsure, rather " : "");

/**
 * A prediction as it is drawn. Of two labels everything is told of the second one, whichever is likelier, so that the colours
 * do not change sides while one types; of more labels it is told of the likeliest.
 */
export function towards(prediction) {
  const names = Object.keys(prediction.probabilities);
  const label = names.length === 2 ? names[1] : prediction.label;
  const side = label === prediction.label ? 1 : -1;
  const { explanation, after } = prediction;
  return {
    label,
    logOdds: side * explanation.log_odds,
    base: side * explanation.base,
    words: explanation.words.map((word) => ({ ...word, part: side * word.contribution })),
    cut: explanation.cut || null,
    after: (after || []).map((one) => ({ ...one, probability: side > 0 ? one.probability : 1 - one.probability })),
  };
}

const strongestOf = (words) => Math.max(1e-9, ...words.map((word) => Math.abs(word.part)));
const tint = (word, strongest) => `--strength:${Math.round(45 * Math.min(1, Math.abs(word.part) / strongest))}%`;
const kind = (word) => `${word.part < 0 ? "against" : "for"}${!word.known ? " unknown" : ""}`;

function Sign({ word, strongest }) {
  const strong = Math.abs(word.part) >= MARKED * strongest;
  return html`<sup aria-hidden="true">${!word.known ? "?" : ""}${strong ? (word.part < 0 ? "−" : "+") : ""}</sup>`;
}

// The text with its words coloured: no <button>s, which lines break around even where a comma follows. One stop of the Tab key; the arrow keys go from word to word.

function step(event, index, last) {
  const moves = { ArrowRight: index + 1, ArrowDown: index + 1, ArrowLeft: index - 1, ArrowUp: index - 1, Home: 0, End: last };
  return event.key in moves ? Math.max(0, Math.min(last, moves[event.key])) : null;
}

function Words({ text, told, here, chosen, onChoose }) {
  const [focus, setFocus] = useState(0);
  const [hover, setHover] = useState(null);
  const box = useRef(null);
  const { words, label } = told;
  const strongest = strongestOf(words);
  const stop = Math.min(focus, words.length - 1);
  const shown = words[hover ?? stop];
  const take = (index) => {
    setFocus(index);
    onChoose(words[index]);
  };
  const move = (event, index) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      take(index);
    }
    const next = step(event, index, words.length - 1);
    if (next === null) return;
    event.preventDefault();
    setFocus(next);
    setHover(null);
    box.current.querySelector(`[data-index="${next}"]`).focus();
  };
  const button = ({ word, index }) => html`<span role="button" key=${`w${index}`} data-index=${index} tabindex=${index === stop ? 0 : -1}
    class=${`word ${kind(word)}${here === word.end ? " here" : ""}`} style=${tint(word, strongest)}
    aria-pressed=${String(Boolean(chosen) && chosen.start === word.start)}
    aria-label=${`${word.text}: ${signed(word.part)}${!word.known ? ", unknown" : ""}`}
    onClick=${() => take(index)} onFocus=${() => setFocus(index)} onKeyDown=${(event) => move(event, index)}
    onMouseEnter=${() => setHover(index)} onMouseLeave=${() => setHover(null)}>${word.text}<${Sign} word=${word} strongest=${strongest} /></span>`;
  const piece = (one, place) => {
    if (one.word) return button(one);
    if (one.cut) return html`<span class="cut" key=${`c${place}`}><span class="unseen">Not read: </span>${one.text}<span class="unseen"> End of what was not read. </span></span>`;
    return html`<span key=${`g${place}`}>${one.text}</span>`;
  };
  return html`<div class="words scroll" ref=${box} role="group" aria-label=${`Words and their parts of the log-odds of ${label}; arrow keys go from word to word, Enter changes one`}>
      ${pieces(text, told).map(piece)}</div>
    <p class="note readout">${shown ? html`<strong>${shown.text}</strong> ${signed(shown.part, 3)}, ${shown.part < 0 ? "against" : "for"} “${label}”${!shown.known ? "; not in its vocabulary" : ""}` : " "}</p>`;
}

function Legend({ told }) {
  const unknown = told.words.some((word) => !word.known);
  return html`<ul class="marks" aria-label="Legend">
    <li><span class="word for" style="--strength:45%">word<sup>+</sup></span> speaks for “${told.label}”</li>
    <li><span class="word against" style="--strength:45%">word<sup>−</sup></span> speaks against it</li>
    ${unknown && html`<li><span class="word unknown" style="--strength:0%">word<sup>?</sup></span> not in its vocabulary</li>`}
    ${told.cut && html`<li><span class="cut">words</span> not read: ${told.cut.tokens.toLocaleString("en")} of them are more than it takes</li>`}
  </ul>`;
}

function Sum({ told }) {
  const parts = told.logOdds - told.base;
  return html`<p class="note">Log-odds of “${told.label}”: ${plain(told.base)} to begin with, ${signed(parts)} by ${told.words.length} ${told.words.length === 1 ? "word" : "words"}, ${plain(told.logOdds)} in all.</p>`;
}

function Strongest({ told }) {
  const sorted = [...told.words].sort((one, other) => other.part - one.part);
  const list = (words) => words.map((word) => `${word.text} ${signed(word.part)}`).join(", ") || "none";
  return html`<dl class="strongest">
    <dt>Most for “${told.label}”</dt><dd>${list(sorted.filter((word) => word.part > 0).slice(0, 4))}</dd>
    <dt>Most against it</dt><dd>${list(sorted.filter((word) => word.part < 0).slice(-4).reverse())}</dd>
  </dl>`;
}

// The probability after each word

function After({ told, place, onPlace }) {
  const { after, words, label } = told;
  const ending = Object.fromEntries(words.map((word) => [word.end, word.text]));
  const last = after.length - 1;
  const at = Math.min(place ?? last, last);
  const most = Math.max(2, after[last].words);
  const x = (one) => (100 * (one.words - 1)) / (most - 1);
  const path = after.map((one) => `${x(one).toFixed(2)},${(100 * (1 - one.probability)).toFixed(2)}`).join(" ");
  const say = (one) => `after ${one.words} ${one.words === 1 ? "word" : "words"}, “${ending[one.end] || "…"}”: ${label} ${percent(one.probability)}`;
  const point = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const share = (100 * (event.clientX - box.left)) / box.width;
    onPlace(after.reduce((best, one, index) => (Math.abs(x(one) - share) < Math.abs(x(after[best]) - share) ? index : best), 0));
  };
  return html`<figure class="after">
    <div class="frame"><span class="scale" aria-hidden="true"><span>100 %</span><span>50 %</span><span>0 %</span></span>
      <svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" onPointerMove=${point}
        aria-label=${`Probability of ${label} as the text goes on: from ${percent(after[0].probability)} to ${percent(after[last].probability)}`}>
        <line class="half" x1="0" x2="100" y1="50" y2="50" /><polyline points=${path} />
        <line class="now" x1=${x(after[at])} x2=${x(after[at])} y1="0" y2="100" /></svg></div>
    <label class="along"><span class="unseen">Up to which word</span>
      <input type="range" min="0" max=${last} value=${at} aria-valuetext=${say(after[at])} onInput=${(event) => onPlace(Number(event.target.value))} /></label>
    <p class="note readout" aria-hidden="true">${say(after[at])}</p>
    <figcaption>Probability of “${label}” were the text to end after each word.</figcaption>
    <${Numbers} caption=${`Probability of ${label} after each word`} head=${["words", "up to", "probability"]}
      rows=${after.map((one) => [one.words, ending[one.end] || "…", one.probability.toFixed(4)])} />
  </figure>`;
}

// A result

function Verdict({ prediction, truth }) {
  const unsure = prediction.probability < UNSURE;
  const right = truth === prediction.label;
  const entries = Object.entries(prediction.probabilities);
  return html`<p class="verdict">${unsure && html`<small>unsure, rather </small>`}${prediction.label} <small>${percent(prediction.probability)}</small></p>
    <p class="meant">${truth ? html`True label: <strong>${truth}</strong>; the model is ${right ? "right" : "wrong"}.` : " "}</p>
    <${Bars} entries=${entries} strong=${prediction.label} caption="Probability of each label" />`;
}

function Reservations({ prediction }) {
  const { cut } = prediction.explanation;
  const share = prediction.unknown_share;
  return html`<p class="note">${prediction.tokens.toLocaleString("en")} ${prediction.tokens === 1 ? "word" : "words"} read${prediction.truncated && cut ? `, ${cut.tokens.toLocaleString("en")} in the middle left out: the text is longer than it takes` : ""};
    ${" "}${share ? `${percent(share)} of them unknown to it.` : "all of them known to it."}${share >= 0.3 ? html` <strong>So many unknown words make its verdict doubtful.</strong>` : ""}</p>`;
}

function Result({ text, prediction, truth, chosen, onChoose }) {
  const [place, setPlace] = useState(null);
  if (!prediction.tokens) return html`<p class="note">There is no word in this text, so nothing is said of it.</p>`;
  const told = towards(prediction);
  const here = place === null || !told.after[place] ? null : told.after[place].end;
  return html`<div class="found">
    <div><${Verdict} prediction=${prediction} truth=${truth} /><${Reservations} prediction=${prediction} /></div>
    <h3>What each word contributes</h3>
    <${Words} text=${text} told=${told} here=${here} chosen=${chosen} onChoose=${onChoose} />
    <${Legend} told=${told} /><${Sum} told=${told} /><${Strongest} told=${told} />
    <${Numbers} caption=${`Each word's part of the log-odds of ${told.label}; ${prediction.explanation.method}`} head=${["word", "part", "known"]}
      rows=${told.words.map((word) => [word.text, signed(word.part, 4), word.known ? "yes" : "no"])} />
    ${told.after.length > 0 && html`<h3>As the text goes on</h3><${After} told=${told} place=${place} onPlace=${setPlace} />`}</div>`;
}

// What a changed word does

function Difference({ was, is }) {
  const label = was ? towards(was).label : is.label;
  const [before, after] = [was && was.probabilities[label], is.probabilities[label]];
  const points = 100 * (after - before);
  const verdict = was && was.label !== is.label ? `The verdict changes from ${was.label} to ${sureness(is)}${is.label}.` : `The verdict stays ${sureness(is)}${is.label}.`;
  if (!was) return null;
  return html`<p class="difference"><strong>${label}</strong> ${percent(before)} → <strong>${percent(after)}</strong>
      <span class="number"> (${signed(points, 1)} points)</span><br />${verdict}</p>`;
}

function Change({ text, chosen, change, other, answers, versions, model, onSet, onTake }) {
  const next = chosen && (change === "out" || other.trim()) ? changed(text, chosen, change, other.trim()) : null;
  const body = next !== null && next.trim() ? { texts: [next] } : null;
  const again = useAnswers(body && { path: "/v1/sentiment", query: { model: model.name, explain: true }, body }, versions);
  const word = chosen && part(Array.from(text), chosen.start, chosen.end);
  const was = (version) => answers.find((one) => one.version === version)?.data?.predictions[0];
  return html`<section class="card change" aria-labelledby="change-title"><h2 id="change-title">Change a word</h2>
    ${!chosen && html`<p class="note">Choose a word in the result: it is left out, and what that does stands here.</p>`}
    ${chosen && html`<div class="row" role="group" aria-label=${`What to do with ${word}`}>
        <span class="quoted">“${word}”</span>
        ${Object.entries(CHANGES).map(([key, name]) => html`<button type="button" class="small" aria-pressed=${String(key === change)} onClick=${() => onSet({ change: key })}>${name}</button>`)}
      </div>
      <div class="row"><label>Word to put <input type="text" class="other" value=${other} maxlength="60" disabled=${change === "out"} aria-describedby="other-problem" aria-invalid=${String(!next)}
        onInput=${(event) => onSet({ other: event.target.value })} /></label>
        <button type="button" class="small" disabled=${!body} onClick=${() => onTake(next)}>Take the changed text</button>
        <button type="button" class="small" onClick=${() => onSet({ at: null })}>Undo</button></div>
      ${next === null && html`<${Problem} id="other-problem" problem=${{ message: "Write the word to put." }} />`}
      ${next !== null && !body && html`<p class="note">Nothing is left of the text.</p>`}
      ${body && html`<${Answers} answers=${again} show=${(data, answer) => html`<${Difference} was=${was(answer.version)} is=${data.predictions[0]} />`} />`}
      <p class="note">A word's part and what leaving it out does are not the same: the words around it are read anew, too.</p>`}
  </section>`;
}

// The page

const same = (one, other) => one !== null && other !== undefined && one === other.body.texts[0];

/** What of the text goes into the address: a sample's number, or the text where it is short. */
function inUrl(text, samples) {
  const index = samples.findIndex((sample) => same(text, sample));
  if (index >= 0) return { sample: String(index), text: null };
  return { sample: null, text: text.length <= LONGEST_IN_URL ? text : null };
}

/** The word that the address names, {start, end}, where the answer to this very text has it. */
function chosenOf(state, text, answer) {
  const place = /^(\d+)-(\d+)$/.exec(state.at || "");
  if (!place || !answer.data || answer.request.body.texts[0] !== text) return null;
  const [start, end] = [Number(place[1]), Number(place[2])];
  return answer.data.predictions[0].explanation.words.some((word) => word.start === start && word.end === end) ? { start, end } : null;
}

const titled = ({ title, body }) => title || `${Array.from(body.texts[0]).slice(0, 24).join("")}…`;

function Input({ text, samples, note, problem, onText }) {
  const box = useRef(null);
  const own = () => {
    onText("");
    box.current.focus();
  };
  return html`<section class="card"><h2><label for="text">Text</label></h2>
    <textarea id="text" ref=${box} rows="7" placeholder="Write a text of your own." aria-describedby="text-problem text-note" aria-invalid=${String(Boolean(problem))}
      value=${text} onInput=${(event) => onText(event.target.value)}></textarea>
    <${Problem} problem=${problem} id="text-problem" />
    <div class="row samples" role="group" aria-label="Samples">
      ${samples.map((sample) => html`<button type="button" class="small" aria-pressed=${String(same(text, sample))} onClick=${() => onText(sample.body.texts[0])}>${titled(sample)}</button>`)}
      <button type="button" class="small" onClick=${own}>Write your own</button></div>
    <p class="note" id="text-note">${note}</p></section>`;
}

/** The problem of the input that stands beside it, and the answers without it. */
function parted(text, answers) {
  if (!text.trim()) return [{ message: "Write something: an empty text has no verdict." }, answers];
  const refused = answers.find((one) => one.problem && one.problem.status >= 400 && one.problem.status < 500 && one.problem.status !== 429);
  return refused ? [refused.problem, answers.map((one) => (one.problem === refused.problem || one.problem?.message === refused.problem.message ? { ...one, problem: null } : one))] : [null, answers];
}

function said(prediction) {
  if (!prediction || !prediction.tokens) return "";
  const told = towards(prediction);
  const [first] = [...told.words].sort((one, other) => Math.abs(other.part) - Math.abs(one.part));
  return `${sureness(prediction)}${prediction.label}, ${percent(prediction.probability)}${first ? `; the strongest word is ${first.text}` : ""}.`;
}

export default function Play({ model, samples, note, versions, state, setState }) {
  const [text, setText] = useState(state.text ?? (samples[Number(state.sample) || 0] || samples[0])?.body.texts[0] ?? "");
  const request = text.trim() ? { path: "/v1/sentiment", query: { model: model.name, explain: true, after: true }, body: { texts: [text] } } : null;
  const answers = useAnswers(request, versions);
  const [problem, shown] = parted(text, answers);
  const chosen = chosenOf(state, text, answers[0]);
  const put = (next) => {
    setText(next);
    setState({ ...inUrl(next, samples), at: null });
  };
  const truth = samples.find((sample) => same(text, sample))?.truth;
  const choose = (word) => setState({ at: chosen && chosen.start === word.start ? null : `${word.start}-${word.end}` });
  const show = (data, answer) => {
    const sent = answer.request.body.texts[0];
    return html`<${Result} text=${sent} prediction=${data.predictions[0]} truth=${sent === text ? truth : null}
      chosen=${sent === text ? chosen : null} onChoose=${(word) => sent === text && choose(word)} />`;
  };
  const first = answers[0];
  return html`<div class=${versions.length > 1 ? "play stacked" : "play"}>
      <div><${Input} text=${text} samples=${samples} note=${note} problem=${problem} onText=${put} />
        <${Change} text=${text} chosen=${chosen} change=${state.change in CHANGES ? state.change : "out"} other=${state.other ?? "not"}
          answers=${answers} versions=${versions} model=${model} onSet=${setState} onTake=${put} /></div>
      <section class="card"><h2>Verdict</h2>
        <${Answers} answers=${shown} empty=${request ? "…" : "No text, no verdict."} show=${show} />
        <${Said} text=${first.stale ? "" : said(first.data?.predictions[0])} />
        <p class="note">It knows only its labels and gives one of them to whatever it reads; it was trained on ${model.source.name}.</p></section>
    </div><${Request} request=${request && { ...request, query: { ...request.query, version: versions[0] } }} />`;
}

/** The start card's picture: the first words of the sample, coloured, and the verdict. */
export function Thumbnail({ sample, data }) {
  const [prediction] = data.predictions;
  const told = towards(prediction);
  const strongest = strongestOf(told.words);
  const first = pieces(sample.body.texts[0], told).slice(0, 60);
  return html`<div class="excerpt"><p class="verdict">${sureness(prediction)}${prediction.label} <small>${percent(prediction.probability)}</small></p>
    <p>${first.map((one) => (one.word ? html`<span class=${`word ${kind(one.word)}`} style=${tint(one.word, strongest)}>${one.text}<${Sign} word=${one.word} strongest=${strongest} /></span>` : one.text))}</p></div>`;
}

Thumbnail.request = (model, sample) => ({ path: "/v1/sentiment", query: { model: model.name, explain: true }, body: sample.body });
