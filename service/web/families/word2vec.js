// Plays with a model of words: neighbours, analogies, similarities, the odd one out, and a map of the commonest words.
// Knows the answers of /v1/neighbors, /v1/analogy, /v1/similarity, /v1/vocabulary and /v1/map. Knows no language: its examples
// are shown where the model has their words; a model of a table's values starts with its commonest ones.
import { html, useEffect, useMemo, useState } from "/web/vendor/htm-3.1.1/standalone.module.js";
import { ask, useAnswers, useGet } from "/web/api.js";
import { Combobox } from "/web/combobox.js";
import { PointMap } from "/web/map.js";
import { Answers, Bars, Choice, Numbers, Request, Said, Slider } from "/web/parts.js";

const MOST = 50; // neighbours that are shown
const SUGGESTED = 8;
const cosine = (value) => value.toFixed(3).replace("-", "−");

const pairsOf = (words) => words.flatMap((one, index) => words.slice(index + 1).map((other) => [one, other]));

/** What can be asked: its fields with their labels, its examples, its request, and which words of the answer the map shows. */
const TOOLS = {
  neighbors: {
    name: "Neighbours",
    fields: { word: "Word" },
    examples: [],
    request: ({ word }, k) => ({ path: "/v1/neighbors", body: { word, k } }),
    show: Neighbors,
    marks: ([one]) => ({ chosen: one.excluded.slice(0, 1), found: one.neighbors.map(({ word }) => word) }),
    say: ([one]) => one.neighbors.length && `Nearest to ${one.excluded[0]}: ${one.neighbors.slice(0, 3).map(({ word }) => word).join(", ")}.`,
  },
  analogy: {
    name: "Analogy",
    fields: { a: "Word", b: "less", c: "plus" },
    examples: [["king", "man", "woman"], ["actor", "man", "woman"], ["better", "good", "bad"], ["walking", "walk", "run"], ["paris", "france", "italy"]],
    written: ([a, b, c]) => `${a} − ${b} + ${c}`,
    request: ({ a, b, c }, k) => ({ path: "/v1/analogy", body: { positive: [a, c], negative: [b], k } }),
    show: Analogy,
    marks: ([one]) => ({ chosen: one.neighbors.slice(0, 1).map(({ word }) => word), found: one.neighbors.slice(1).map(({ word }) => word), marked: one.excluded }),
    say: ([one]) => one.neighbors.length && `The nearest is ${one.neighbors[0].word}, cosine ${cosine(one.neighbors[0].similarity)}.`,
  },
  similarity: {
    name: "Similarity",
    fields: { one: "Word", other: "and word" },
    examples: [["film", "movie"], ["good", "bad"], ["actor", "actress"], ["film", "lawnmower"]],
    written: ([one, other]) => `${one}, ${other}`,
    request: ({ one, other }) => ({ path: "/v1/similarity", body: { pairs: [[one, other]] } }),
    show: Similarity,
    marks: ([one]) => ({ marked: one.pair }),
    say: ([one]) => one.similarity !== null && `${one.pair[0]} and ${one.pair[1]}: cosine ${cosine(one.similarity)}.`,
  },
  odd: {
    name: "Odd one out",
    fields: { w1: "First word", w2: "second", w3: "third", w4: "fourth" },
    examples: [["breakfast", "dinner", "zombie", "lunch"], ["paris", "london", "funny", "berlin"]],
    written: (words) => words.join(", "),
    request: (values) => ({ path: "/v1/similarity", body: { pairs: pairsOf(Object.values(values)) } }),
    show: Odd,
    marks: (all) => ({ chosen: means(all).slice(-1).map(([word]) => word), marked: means(all).slice(0, -1).map(([word]) => word) }),
    say: (all) => means(all).length && `The odd one out is ${means(all).at(-1)[0]}.`,
  },
};
const WITH_K = ["neighbors", "analogy"];

// Answers

function WordBars({ entries, caption, onChoose }) {
  return html`<table class="bars"><caption class="unseen">${caption}</caption>
    <tbody>${entries.map(({ word, similarity }, index) => html`<tr key=${word} class=${index ? "" : "strong"}>
      <th scope="row"><button type="button" class="link" onClick=${() => onChoose(word)} title=${`Neighbours of ${word}`}>${word}</button></th>
      <td class="bar" aria-hidden="true"><meter-bar style=${`--share:${Math.max(0, similarity)}`}></meter-bar></td>
      <td class="number">${cosine(similarity)}</td></tr>`)}</tbody></table>`;
}

function Nearest({ one, caption, onChoose }) {
  if (!one.neighbors.length) return html`<p class="note">Nothing is near a word that has no vector.</p>`;
  return html`<${WordBars} entries=${one.neighbors} caption=${caption} onChoose=${onChoose} />
    <p class="note">Numbers are cosines: 1 is the same direction, 0 none in common. Not listed: ${one.excluded.join(", ")}; ${one.excluded.length > 1 ? "words that were asked for are" : "a word is"} always near ${one.excluded.length > 1 ? "the answer" : "itself"}.</p>
    <${Numbers} caption=${caption} head=${["word", "cosine", "times in training"]} rows=${one.neighbors.map(({ word, similarity, count }) => [word, similarity.toFixed(4), count.toLocaleString("en")])} />`;
}

function Neighbors({ predictions: [one], onChoose }) {
  return html`<${Nearest} one=${one} caption=${`Words nearest to ${one.excluded[0]}`} onChoose=${onChoose} />`;
}

function Analogy({ predictions: [one], values, onChoose }) {
  const [first] = one.neighbors;
  const sum = TOOLS.analogy.written([values.a, values.b, values.c]);
  return html`<p class="sum">${sum} ≈ <strong>${first ? first.word : "?"}</strong></p>
    <${Nearest} one=${one} caption=${`Words nearest to ${sum}`} onChoose=${onChoose} />`;
}

function Similarity({ predictions: [one] }) {
  if (one.similarity === null) return html`<p class="note">There is no similarity to a word that has no vector.</p>`;
  return html`<p class="verdict">${cosine(one.similarity)} <small>cosine of “${one.pair[0]}” and “${one.pair[1]}”</small></p>
    <${Bars} entries=${[["cosine", one.similarity]]} strong="cosine" show=${cosine} caption="Cosine" />
    <p class="note">1 is the same direction, 0 none in common, −1 the opposite one. Words that stand in like sentences are near each other, opposites too.</p>`;
}

/** Of all pairs, each word's mean cosine with the others, the most at home first; empty where a word has no vector. */
function means(pairs) {
  if (pairs.some(({ similarity }) => similarity === null)) return [];
  const sums = new Map();
  for (const { pair, similarity } of pairs) for (const word of pair) sums.set(word, [...(sums.get(word) || []), similarity]);
  return [...sums].map(([word, all]) => [word, all.reduce((sum, one) => sum + one, 0) / all.length]).sort((one, other) => other[1] - one[1]);
}

function Odd({ predictions }) {
  const found = means(predictions);
  if (!found.length) return html`<p class="note">One of the words has no vector.</p>`;
  return html`<p class="verdict">${found.at(-1)[0]} <small>is the odd one out</small></p>
    <${Bars} entries=${found} strong=${found.at(-1)[0]} show=${cosine} caption="Mean cosine of each word with the others" />
    <p class="note">Each word's mean cosine with the others; the lowest is the odd one.</p>`;
}

// What stands in the fields

/** Which example words the model has, and its commonest words. null until both are known. */
function useWords(model, version) {
  const [found, setFound] = useState(null);
  useEffect(() => {
    const words = [...new Set(Object.values(TOOLS).flatMap((tool) => tool.examples.flat()))];
    const control = new AbortController();
    const query = { model: model.name, version };
    Promise.all([
      ask({ path: "/v1/similarity", query, body: { pairs: words.map((word) => [word, word]) } }, control.signal),
      ask({ path: "/v1/vocabulary", query: { ...query, limit: 4 } }, control.signal),
    ]).then(
      ([known, commonest]) => setFound({
        known: new Set(known.data.predictions.filter((one) => !one.unknown.length).map((one) => one.pair[0])),
        commonest: commonest.data.words.map(({ word }) => word),
      }),
      () => undefined, // the fields are then empty, and say so
    );
    return () => control.abort();
  }, [version]);
  return found;
}

const examplesOf = (tool, found) => (found ? tool.examples.filter((words) => words.every((word) => found.known.has(word))) : []);

/** The tool's first example, or the commonest words; by field. */
function defaults(tool, found) {
  const names = Object.keys(tool.fields);
  const [example] = examplesOf(tool, found);
  const words = example || (found && names.map((_, index) => found.commonest[index % found.commonest.length]));
  return words ? Object.fromEntries(names.map((name, index) => [name, words[index]])) : {};
}

const unknownOf = (answers, word) => answers.flatMap((one) => one.data?.predictions || []).flatMap((one) => one.unknown).find((one) => one.word === word);

// Parts of the page

function Fields({ tool, values, answers, suggest, onChange }) {
  return html`<div class="fields">${Object.entries(tool.fields).map(([field, label]) => html`<${Combobox} key=${field} id=${`field-${field}`} label=${label} value=${values[field] ?? ""}
    request=${suggest} unknown=${unknownOf(answers, values[field])} onChoose=${(word) => onChange({ [field]: word })} />`)}</div>`;
}

function Examples({ label, entries, onChoose }) {
  if (!entries.length) return null;
  return html`<div class="row samples" role="group" aria-label=${label}>
    ${entries.map(([name, values, pressed]) => html`<button type="button" class="small" aria-pressed=${String(pressed)} onClick=${() => onChoose(values)}>${name}</button>`)}</div>`;
}

/** The names on the map that a text stands for: the very word, else those that start with it or have it within, the commonest first. */
function found(names, text) {
  const form = text.trim().toLowerCase();
  if (!form) return [];
  const has = names.filter((name) => name.toLowerCase().includes(form));
  const rank = (name) => (name.toLowerCase() === form ? 0 : name.toLowerCase().startsWith(form) ? 1 : 2);
  return has.sort((one, other) => rank(one) - rank(other)); // stable: the commonest stay first
}

function Search({ names, text, matches, onText }) {
  const count = names.length.toLocaleString("en");
  const many = matches.length === 1 ? "1 word" : `${matches.length.toLocaleString("en")} words`;
  const says = !text.trim() ? " " : matches.length ? `${many} of the map's ${count}; “${matches[0]}” is in the middle.` : `None of the map's ${count} words has “${text.trim()}” in it.`;
  return html`<div class="row"><label for="find">Find on the map</label>
    <input type="search" id="find" value=${text} autocomplete="off" aria-describedby="find-note" onInput=${(event) => onText(event.target.value)} /></div>
    <p class="note" id="find-note" role="status">${says}</p>`;
}

/** Sets of names by kind -> Map of name -> kind, of those that are on the map, however they were written. */
function marksOn(names, { chosen = [], found: near = [], marked = [] }, matches) {
  const all = new Set(names);
  const spelt = (word) => (all.has(word) ? word : word.toLowerCase());
  const listed = [[matches, "marked"], [near, "found"], [marked, "marked"], [chosen, "chosen"]];
  return new Map(listed.flatMap(([words, kind]) => words.map(spelt).filter((word) => all.has(word)).map((word) => [word, kind])));
}

function Legend({ chosen, near, others }) {
  const first = (words) => (words.length > 3 ? `${words.slice(0, 3).join(", ")} and ${words.length - 3} more` : words.join(", "));
  const entries = [["chosen", chosen], ["found", near], ["marked", others]].filter(([, words]) => words.length);
  return html`<ul class="marks" aria-label="Marked words">${entries.map(([kind, words]) => html`<li><span class=${`dot ${kind}`}></span>${first(words)}</li>`)}</ul>`;
}

function MapCard({ map, marks, state, setState, onChoose }) {
  const names = map.words;
  const text = state.find ?? "";
  const matches = useMemo(() => found(names, text), [names, text]);
  const key = JSON.stringify([marks, text]);
  const marked = useMemo(() => marksOn(names, marks, matches), [names, key]);
  const [chosen] = marks.chosen || marks.marked || [];
  const of = (kind) => [...marked].filter(([, one]) => one === kind).map(([name]) => name);
  const centred = [...matches, ...of("chosen"), ...of("found"), ...of("marked"), null][0];
  const shown = [...marked.keys()].filter((name) => !matches.includes(name));
  const sent = Object.values(marks).flat().length;
  const says = sent ? `Of the ${sent} words of this answer ${shown.length || "none"} ${shown.length === 1 ? "is" : "are"} among the ${names.length.toLocaleString("en")} on the map.` : `The ${names.length.toLocaleString("en")} commonest words.`;
  return html`<section class="card" aria-labelledby="map-title"><h2 id="map-title">Map</h2>
    <${Search} names=${names} text=${text} matches=${matches} onText=${(value) => setState({ find: value })} />
    <figure><${PointMap} names=${names} x=${map.x} y=${map.y} marked=${marked} centre=${{ name: centred, fit: matches.length ? [] : [...of("marked"), ...(marks.marked ? [] : of("found"))], key: `${centred} ${chosen}` }} onChoose=${onChoose}
        noun="words" says=${`Map of words; marked are ${shown.join(", ") || "none"}`} />
      <${Legend} chosen=${of("chosen")} near=${of("found")} others=${of("marked")} />
      <figcaption>Like words stand near each other (${map.method}). ${says} Drag to move, wheel to zoom, click a word for its neighbours.</figcaption>
      <${Numbers} caption="Places of the marked words" head=${["word", "across", "up"]} rows=${[...marked.keys()].slice(0, 100).map((name) => [name, ...[map.x, map.y].map((all) => all[names.indexOf(name)].toFixed(3))])} />
    </figure></section>`;
}

const kOf = (state) => (Number(state.k) >= 1 && Number(state.k) <= MOST ? Math.round(Number(state.k)) : 10);

/** The words of every field: chosen ones, else defaults. -> [values of this tool, change(values)]. */
function useValues(key, state, setState, samples, words) {
  const [all, setAll] = useState(() => Object.fromEntries(Object.values(TOOLS).flatMap((tool) => Object.keys(tool.fields)).filter((field) => state[field]).map((field) => [field, state[field]])));
  const fields = Object.keys(TOOLS[key].fields);
  const first = key === "neighbors" ? { word: samples[0]?.body.words?.[0] ?? words?.commonest[0] } : defaults(TOOLS[key], words);
  const change = (some) => {
    setAll((old) => ({ ...old, ...some }));
    setState(Object.fromEntries(Object.entries(some).map(([field, word]) => [field, word || null])));
  };
  return [Object.fromEntries(fields.map((field) => [field, all[field] ?? first[field]])), change];
}

export default function Play({ model, samples, note, versions, state, setState }) {
  const key = state.tool in TOOLS ? state.tool : "neighbors";
  const tool = TOOLS[key];
  const k = kOf(state);
  const words = useWords(model, versions[0]);
  const [values, change] = useValues(key, state, setState, samples, words);
  const ready = Object.values(values).every((word) => word && word.trim());
  const request = ready ? { ...tool.request(values, k), query: { model: model.name }, tool: key, values } : null;
  // an answer to another tool's question has another form
  const answers = useAnswers(request, versions).map((one) => (one.data && one.request.tool !== key ? { ...one, data: null } : one));
  const { data: map, problem: noMap } = useGet("/v1/map", { model: model.name, version: versions[0] });
  const predictions = answers[0].data?.predictions;
  const suggest = (prefix) => ({ path: "/v1/vocabulary", query: { model: model.name, version: versions[0], prefix, limit: SUGGESTED } });
  const look = (word) => {
    setState({ tool: null, find: null });
    change({ word });
  };
  const quick = key === "neighbors"
    ? samples.map(({ title, body }) => [title || body.words[0], { word: body.words[0] }, body.words[0] === values.word])
    : examplesOf(tool, words).map((one) => [tool.written(one), Object.fromEntries(Object.keys(tool.fields).map((field, index) => [field, one[index]])), one.every((word, index) => word === Object.values(values)[index])]);
  const show = (data, answer) => html`<${tool.show} predictions=${data.predictions} values=${answer.request.values} onChoose=${look} />`;
  return html`<div class=${versions.length > 1 ? "play stacked" : "play"}>
      <section class=${`card tool ${key}`} aria-label=${tool.name}>
        <${Choice} label="What to ask" value=${key} options=${Object.entries(TOOLS).map(([one, { name }]) => [one, name])} onChoose=${(one) => setState({ tool: one === "neighbors" ? null : one })} />
        <${Fields} tool=${tool} values=${values} answers=${answers} suggest=${suggest} onChange=${change} key=${key} />
        <${Examples} label="Examples" entries=${quick} onChoose=${change} />
        ${WITH_K.includes(key) && html`<${Slider} id="k" label="How many words" value=${k} min=${1} max=${MOST} onInput=${(value) => setState({ k: String(Math.round(value)) })} />`}
        <${Answers} answers=${answers} show=${show} empty=${ready ? "…" : "Write a word in each field."} />
        <${Said} text=${predictions && !answers[0].stale ? tool.say(predictions) : ""} />
        <p class="note">${note}</p>
      </section>
      ${map && html`<${MapCard} map=${map} marks=${predictions ? tool.marks(predictions) : {}} state=${state} setState=${setState} onChoose=${look} />`}
      ${noMap && html`<section class="card"><h2>Map</h2><p class="note">${noMap.message}</p></section>`}
      ${!map && !noMap && html`<section class="card"><h2>Map</h2><div class="map"></div></section>`}
    </div><${Request} request=${request && { ...request, query: { ...request.query, version: versions[0] } }} />`;
}

/** The start card's picture: the first sample's word and those nearest to it. */
export function Thumbnail({ sample, data }) {
  const [{ neighbors }] = data.predictions;
  return html`<div class="nearest"><p>nearest to <strong>${sample.body.words[0]}</strong></p>
    <${Bars} entries=${neighbors.map(({ word, similarity }) => [word, similarity])} show=${cosine} caption=${`Words nearest to ${sample.body.words[0]}`} /></div>`;
}

Thumbnail.request = (model, sample) => ({ path: "/v1/neighbors", query: { model: model.name }, body: { word: sample.body.words[0], k: 4 } });
