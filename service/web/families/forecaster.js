// The page of a forecaster: a series, what the model says of its future, and what came. Knows the forecast verb's form and `preparation`.
import { html, useEffect, useMemo, useRef, useState } from "/web/vendor/htm-3.1.1/standalone.module.js";
import { ask, useAnswers } from "/web/api.js";
import { Answers, Numbers, Problem, Request, Said, Slider, number } from "/web/parts.js";
import { Legend, Plot } from "/web/plot.js";
import { after, columnsOf, iso, moment, windows } from "/web/series.js";
import { SEASON, bandName, baselines, body, csv, errors, fault, fromSample, fromTable, lines, read, readOut, scoreRows, stepRows } from "/web/families/forecaster-lines.js";
import { Own } from "/web/families/forecaster-own.js";

const clamp = (value, least, most) => Math.max(least, Math.min(most, Math.round(value)));
const chosen = (text, fallback) => (text !== undefined && Number.isFinite(Number(text)) ? Number(text) : fallback);

/** The scores of each asked version: of the second it is asked for. */
function useCards(model, versions) {
  const [cards, setCards] = useState({});
  const other = versions[1];
  useEffect(() => {
    if (!other) return;
    ask({ path: `/v1/models/${model.name}`, query: { version: other } }).then(({ data }) => setCards({ [other]: data.scores }), () => setCards({}));
  }, [other]);
  return { ...cards, [versions[0]]: model.scores };
}

/** The model's target where it is there, else the first column of numbers. */
function firstColumn({ columns, faults }, { target }) {
  const good = Object.keys(columns).filter((name) => !faults[name]);
  return good.includes(target) ? target : good[0] || Object.keys(columns)[0];
}

/** Which series, column, origin and horizon the address asks for, brought into what there is. */
function useView({ samples, preparation, state, own }) {
  const place = clamp(chosen(state.sample, 0), 0, samples.length - 1);
  const source = useMemo(() => own || fromSample(samples[place], place, preparation), [own, place]);
  const names = Object.keys(source.columns);
  const column = names.includes(state.column) ? state.column : firstColumn(source, preparation);
  const values = source.columns[column];
  const horizon = clamp(chosen(state.horizon, preparation.horizon), 1, preparation.horizon);
  const presets = useMemo(() => windows(values, preparation, preparation.context), [values]);
  const whole = values.length - preparation.horizon;
  const begin = source.own || whole < preparation.least ? values.length : whole;
  const least = Math.min(preparation.least, values.length);
  return { place, source, names, column, values, horizon, presets, least, origin: clamp(chosen(state.origin, begin), least, values.length) };
}

function when(source, place, origin) {
  if (source.start !== null) return moment(after(source.start, source.step, place), source.step);
  return place < origin ? `${origin - place} before the origin` : `step ${place - origin + 1}`;
}

function describe({ source, column, origin, horizon, preparation, values }, forecasts, simple) {
  if (!forecasts.length) return "";
  const last = forecasts[0];
  const begin = `Forecast of ${column} for ${last.mean.length} steps from ${when(source, last.origin, last.origin)}: ${number(last.mean[last.mean.length - 1], 4)} at the end`;
  const found = errors(last, values, preparation.context, preparation.season);
  if (found.mae === null) return `${begin}; what followed is not known.`;
  const beside = simple[SEASON] ? errors({ origin, mean: simple[SEASON] }, values, preparation.context, preparation.season).mae : null;
  const against = beside === null || origin !== last.origin || horizon !== last.mean.length ? "" : `; repeating the last season is ${number(beside, 3)} off`;
  return `${begin}, on average ${number(found.mae, 3)} off${against}.`;
}

function Controls({ view, samples, preparation, setState, wrong }) {
  const { source, names, column, values, horizon, origin, presets, place, least } = view;
  const slide = (value) => setState({ origin: String(value) });
  return html`
    <div class="row controls">
      ${!source.own && samples.length > 1 && html`<label>Series <select value=${String(place)} onChange=${(event) => setState({ sample: event.target.value, origin: null })}>
        ${samples.map((one, index) => html`<option value=${String(index)}>${one.title || `sample ${index + 1}`}</option>`)}</select></label>`}
      <label>Column <select id="column" value=${column} aria-invalid=${wrong ? "true" : undefined} aria-describedby="column-problem" onChange=${(event) => setState({ column: event.target.value })}>
        ${names.map((name) => html`<option value=${name}>${name}</option>`)}</select></label>
      ${presets.length > 0 && html`<div class="row" role="group" aria-label="Windows to look at">
        ${presets.map((one) => html`<button type="button" class="small" key=${one.title} aria-pressed=${String(one.origin === origin)} onClick=${() => slide(one.origin)}>${one.title}</button>`)}</div>`}
    </div>
    <div class="pair">
      <${Slider} id="origin" label=${`Origin: the forecast begins at ${when(source, origin, origin)}`} value=${origin} min=${least} max=${values.length} onInput=${slide} />
      <${Slider} id="horizon" label=${`Horizon: steps ahead, at most ${preparation.horizon}`} value=${horizon} min=${1} max=${preparation.horizon} onInput=${(value) => setState({ horizon: String(value) })} />
    </div>`;
}

/** The crosshair's place by pointer or keys, and its numbers. */
function Reading({ drawn, at, setAt, view, forecasts, simple }) {
  const place = drawn.first + at;
  const facts = readOut({ ...view, forecasts, simple }, place);
  const time = when(view.source, place, view.origin);
  const text = `${time}: ${facts.filter(([, value]) => value !== "–").map(([name, value]) => `${name} ${value}`).join(", ")}`;
  return html`<div class="reading">
    <input type="range" aria-label="Crosshair" min="0" max=${drawn.data[0].length - 1} value=${at} aria-valuetext=${text} onInput=${(event) => setAt(Number(event.target.value))} />
    <dl class="facts"><div><dt>at the crosshair</dt><dd>${time}</dd></div>${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
  </div>`;
}

function Picture({ view, forecasts, simple, label, state, setState, preparation }) {
  const { source, column, origin, horizon, values } = view;
  const near = Math.min(preparation.context, Math.max(3 * preparation.season, 2 * horizon));
  const all = state.history === "all";
  const stamp = JSON.stringify([source.id, column, origin, horizon, all, forecasts.map((one) => [one.version, one.origin, one.mean[0], one.mean.length]), Object.keys(simple)]);
  const drawn = useMemo(() => lines({ source, column, origin, horizon, shown: all ? preparation.context : near, forecasts, simple }), [stamp]);
  const [moved, setAt] = useState(null);
  const at = Math.min(moved ?? drawn.data[0].length - 1, drawn.data[0].length - 1);
  const mark = { x: drawn.data[0][origin - drawn.first] ?? drawn.data[0][drawn.data[0].length - 1], name: "history" };
  const flip = (key, word) => (event) => setState({ [key]: event.target.checked ? word : null });
  return html`<figure class=${forecasts.some((one) => one.stale) ? "stale" : ""}>
    <${Plot} label=${label || `${column}, ${values.length} steps`} height=${340} data=${drawn.data} series=${drawn.series} bands=${drawn.bands} time=${source.start === null ? "" : "utc"} mark=${mark} at=${at} onMove=${setAt} />
    <${Reading} drawn=${drawn} at=${at} setAt=${setAt} view=${view} forecasts=${forecasts} simple=${simple} />
    <figcaption><${Legend} series=${drawn.series} bands=${drawn.bands} />
      <span>${column}, ${source.start === null ? "by steps from the origin" : "times as in the data"}. Of one window; arrow keys move the crosshair.</span></figcaption>
    <div class="row"><label><input type="checkbox" checked=${all} onChange=${flip("history", "all")} /> all the history that the model reads (${preparation.context})</label>
      <label><input type="checkbox" checked=${state.simple !== "no"} onChange=${(event) => setState({ simple: event.target.checked ? null : "no" })} /> simple forecasts</label></div>
  </figure>`;
}

function Errors({ view, forecasts, simple, preparation, cards, model }) {
  const known = Math.max(0, Math.min(view.values.length - view.origin, view.horizon));
  const { head, rows } = scoreRows({ values: view.values, origin: view.origin, forecasts, simple, preparation, cards, published: model.baselines });
  return html`<section class="card" aria-labelledby="errors-title"><h2 id="errors-title">How far off</h2>
    <p class="note">${known ? `Here: of the ${known} ${known === 1 ? "step" : "steps"} whose truth is known, in the column's own units.` : "What follows this origin is not known, so this window has no errors."}
      ${" "}MASE is the absolute error over the mean difference of values ${preparation.season} steps apart: below 1 beats that. Here that is of the history; on the test set, of the training data, and MAE there is of standardised values.</p>
    <div class="scroll" tabindex="0" role="region" aria-label="Errors"><table class="errors"><caption class="unseen">Errors in this window and on the whole test set</caption>
      <thead><tr>${head.map((one, place) => (place ? html`<th scope="col" class="number">${one}</th>` : html`<td></td>`))}</tr></thead>
      <tbody>${rows.map(([name, ...cells]) => html`<tr key=${name}><th scope="row">${name}</th>${cells.map((cell) => html`<td class="number">${cell}</td>`)}</tr>`)}</tbody></table></div>
    ${forecasts.length > 0 && known > 0 && html`<p class="note">${covered(forecasts[0], view.values)}</p>`}
  </section>`;
}

function covered(one, values) {
  return errors(one, values, 0, 1).held.filter((band) => band.share !== null).map((band) => `The band of ${band.name} should hold ${Math.round(100 * band.nominal)} of 100 values; here it held ${Math.round(100 * band.share)}.`).join(" ");
}

function download(table, name) {
  const url = URL.createObjectURL(new Blob([csv(table)], { type: "text/csv" }));
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/** The sample's last steps as CSV, for the box. */
function exampleOf(sample, preparation) {
  const source = fromSample(sample, 0, preparation);
  const names = preparation.independent ? [preparation.target] : preparation.columns;
  const length = source.columns[names[0]].length;
  const first = Math.max(0, length - Math.max(preparation.least, 3 * preparation.season));
  const head = [...(source.start === null ? [] : ["date"]), ...names];
  const rows = Array.from({ length: length - first }, (_, step) => [...(source.start === null ? [] : [iso(after(source.start, source.step, first + step)).replace("T", " ")]), ...names.map((name) => source.columns[name][first + step])]);
  return csv({ head, rows });
}

function says(view, preparation, forecasts) {
  return (data, answer) => {
    const one = forecasts.find((found) => found.version === answer.version);
    if (!one) return html`<p>…</p>`;
    const [outer] = one.bands;
    const end = one.mean.length - 1;
    return html`<p><strong>${view.column} ${one.mean.length} ${end ? "steps" : "step"} ahead: ${number(one.mean[end], 4)}</strong>${outer ? `, ${bandName(outer)}: ${number(outer.lower[end], 4)} to ${number(outer.upper[end], 4)}` : ""}.</p>
      <p class="note">It read the last ${one.used} steps${one.filled ? `; ${one.filled} before them were missing and filled with the series' own seasons` : ""}.${foreign(view.source, preparation)}</p>`;
  };
}

function foreign(source, preparation) {
  if (!source.own) return "";
  const other = source.frequency && preparation.frequency && source.frequency !== preparation.frequency;
  return other ? ` It was trained on steps of ${preparation.frequency}, a season being ${preparation.season} of them; these are ${source.frequency}.` : " It was trained on other data than this.";
}

export default function Play({ model, samples, note, versions, state, setState }) {
  const { preparation } = model.manifest;
  const [own, setOwn] = useState(null);
  const count = useRef(0);
  const cards = useCards(model, versions);
  const view = { ...useView({ samples, preparation, state, own }), preparation };
  const { source, column, origin, horizon, values } = view;
  const wrong = fault(source, column, preparation);
  const sent = useMemo(() => (wrong ? null : body(source, column, origin, horizon, preparation)), [source, column, origin, horizon, wrong]);
  const request = sent && { path: model.verbs[0], query: { model: model.name }, body: sent, view: { source: source.id, column, origin } };
  const answers = useAnswers(request, versions);
  const forecasts = wrong ? [] : answers.map((one) => read(one, source, column, preparation)).filter(Boolean);
  const simple = wrong || state.simple === "no" ? {} : baselines(values.slice(0, origin), horizon, preparation.season);
  const label = describe(view, forecasts, wrong ? {} : baselines(values.slice(0, origin), horizon, preparation.season));
  const steps = stepRows({ source, column, origin, horizon, forecasts, simple });
  const take = (table, title) => {
    const taken = fromTable(table, title, `own ${count.current + 1}`);
    const refused = fault(taken, firstColumn(taken, preparation), preparation);
    if (refused) return refused;
    count.current += 1;
    setOwn(taken);
    setState({ column: null, origin: null, sample: null });
    return "";
  };
  const back = () => {
    setOwn(null);
    setState({ column: null, origin: null });
  };
  const queried = request && { ...request, query: { ...request.query, version: versions[0] } };
  return html`
    <section class="card" aria-labelledby="forecast-title"><h2 id="forecast-title">${source.own ? `Your series: ${source.title}` : "The series and its forecast"}</h2>
      <${Controls} view=${view} samples=${samples} preparation=${preparation} setState=${setState} wrong=${wrong} />
      ${wrong ? html`<${Problem} problem=${{ message: wrong }} id="column-problem" />` : html`<${Picture} view=${view} forecasts=${forecasts} simple=${simple} label=${label} state=${state} setState=${setState} preparation=${preparation} />`}
      <${Answers} answers=${wrong ? [] : answers} show=${says(view, preparation, forecasts)} />
      <${Said} text=${label} />
      ${note && !source.own && html`<p class="note">${note}</p>`}
      ${!wrong && html`<div class="row spread"><${Numbers} caption=${`${column}, step by step`} head=${steps.head} rows=${steps.rows.map((row) => row.map((cell) => (typeof cell === "number" && !Number.isInteger(cell) ? number(cell, 5) : cell)))} />
        <button type="button" class="small" onClick=${() => download(steps, `${model.name}-${column}.csv`)}>Download as CSV</button></div>`}
    </section>
    ${!wrong && html`<${Errors} view=${view} forecasts=${forecasts} simple=${simple} preparation=${preparation} cards=${cards} model=${model} />`}
    <${Own} active=${Boolean(own)} onTable=${take} onBack=${back} example=${() => exampleOf(samples[0], preparation)} />
    <${Request} request=${queried} />`;
}

/** A tenth of the sample is held back, so that what followed can be drawn. */
function held(sample) {
  const series = columnsOf(sample.body.series, { columns: (sample.body.series[0]?.map ? sample.body.series[0] : []).map((_, place) => String(place)), target: "value" });
  const names = Object.keys(series);
  const length = series[names[0]].length;
  return { series, name: names[names.length - 1], origin: length >= 400 ? length - Math.floor(length / 10) : length };
}

export function Thumbnail({ sample, data }) {
  const { series, name, origin } = held(sample);
  const [prediction] = data.predictions;
  const pick = (list) => (Array.isArray(list) ? (Array.isArray(list[0]) ? list.map((row) => row[row.length - 1]) : list) : list[name]);
  const mean = pick(prediction.mean);
  const levels = Object.keys(prediction.quantiles).sort((one, other) => one - other);
  const [lower, upper] = [pick(prediction.quantiles[levels[0]]), pick(prediction.quantiles[levels[levels.length - 1]])];
  const before = series[name].slice(Math.max(0, origin - 2 * mean.length), origin);
  const truth = series[name].slice(origin, origin + mean.length);
  const [low, high] = [Math.min(...before, ...truth, ...lower), Math.max(...before, ...truth, ...upper)];
  const point = (value, place) => `${((300 * place) / (before.length + mean.length - 1)).toFixed(1)},${(96 - (92 * (value - low)) / (high - low || 1)).toFixed(1)}`;
  const line = (list, begin) => list.map((value, step) => point(value, begin + step)).join(" ");
  const band = [...upper.map((value, step) => point(value, before.length + step)), ...lower.map((value, step) => point(value, before.length + step)).reverse()].join(" ");
  const text = `${name}: ${number(mean[0], 3)} next, ${number(mean[mean.length - 1], 3)} after ${mean.length} steps`;
  return html`<svg class="spark" viewBox="0 0 300 100" preserveAspectRatio="none" role="img" aria-label=${text}>
    <polygon class="band" points=${band} /><polyline class="past" points=${line(before, 0)} /><polyline class="truth" points=${line(truth, before.length)} /><polyline class="next" points=${line(mean, before.length)} /></svg>`;
}

Thumbnail.request = (model, sample) => {
  const { origin } = held(sample);
  const cut = (list) => list.slice(0, origin);
  const { series } = sample.body;
  return { path: model.verbs[0], query: { model: model.name }, body: { ...sample.body, series: Array.isArray(series) ? cut(series) : Object.fromEntries(Object.entries(series).map(([name, list]) => [name, cut(list)])) } };
};
