// From a series and its forecasts to what is drawn and tabled: lines, bands, errors, rows. Pure; knows the forecast's form, not the page.
import { after, columnsOf, coverage, frequency, iso, meanError, pairs, repeatLast, repeatSeason, seasonalError, seconds } from "/web/series.js";
import { number, percent } from "/web/parts.js";

export const LAST = "repeat the last value";
export const SEASON = "repeat the last season";

/** A sample as a source: {id, title, columns: {name: values}, faults, start, step, frequency, own}. */
export function fromSample(sample, place, preparation) {
  const { series, start, frequency: written } = sample.body;
  const step = frequency(written || preparation.frequency);
  const begin = start && step ? seconds(start) : NaN;
  return {
    id: `sample ${place}`, title: sample.title || `sample ${place + 1}`, columns: columnsOf(series, preparation), faults: {}, own: false, named: true,
    note: "", start: Number.isFinite(begin) ? begin : null, step, frequency: written || preparation.frequency,
  };
}

/** A table that was read as a source. */
export function fromTable(table, title, id) {
  const step = frequency(table.frequency);
  return {
    id, title, columns: Object.fromEntries(table.columns.map((one) => [one.name, one.values])), own: true, named: table.named, note: table.note,
    faults: Object.fromEntries(table.columns.filter((one) => one.fault).map((one) => [one.name, one.fault])),
    start: step ? seconds(table.start) : null, step, frequency: table.frequency,
  };
}

/** Why this column cannot be forecast, in a sentence; "" where it can. */
export function fault(source, column, preparation) {
  const wanted = preparation.independent ? [column] : needed(source, preparation);
  if (!wanted) return `This model forecasts its columns from each other and needs all of them: ${preparation.columns.join(", ")}. Here are ${Object.keys(source.columns).join(", ")}.`;
  const bad = wanted.find((name) => source.faults[name]);
  if (bad) return source.faults[bad];
  const steps = source.columns[column].length;
  return steps < preparation.least ? `The series has ${steps} steps; this model takes at least ${preparation.least}.` : "";
}

/** The source's columns in the model's order, by name or, where it has no names, by place; null where some are missing. */
function needed({ columns, named }, preparation) {
  if (preparation.columns.every((name) => name in columns)) return preparation.columns;
  const names = Object.keys(columns);
  return !named && names.length === preparation.columns.length ? names : null;
}

/** The steps before `origin`, as the API takes them. */
export function body(source, column, origin, horizon, preparation) {
  const first = Math.max(0, origin - preparation.context);
  const cut = (name) => source.columns[name].slice(first, origin);
  const known = (name) => preparation.columns.includes(name);
  let series;
  if (preparation.independent) series = known(column) ? { [column]: cut(column) } : cut(column);
  else if (preparation.columns.every((name) => name in source.columns)) series = Object.fromEntries(preparation.columns.map((name) => [name, cut(name)]));
  else {
    const lists = needed(source, preparation).map(cut);
    series = lists[0].map((_, step) => lists.map((list) => list[step]));
  }
  const times = source.start === null ? {} : { start: iso(after(source.start, source.step, first)), frequency: source.frequency };
  return { series, horizon, ...times };
}

/** One column of what came in the form of the request's series. */
function pick(values, column, place) {
  if (!Array.isArray(values)) return values[column];
  return Array.isArray(values[0]) ? values.map((row) => row[place]) : values;
}

/** An answer as numbers: {version, origin, stale, mean, bands: [{low, high, lower, upper}]}; null where it is not about this column. */
export function read(answer, source, column, preparation) {
  const view = answer.data && answer.request.view;
  if (!view || view.source !== source.id || view.column !== column) return null;
  const [prediction] = answer.data.predictions;
  const place = Object.keys(source.columns).indexOf(column);
  const level = (share) => pick(prediction.quantiles[String(share)], column, place);
  return {
    version: answer.version, origin: view.origin, stale: answer.stale, used: prediction.used, filled: prediction.filled, mean: pick(prediction.mean, column, place),
    bands: pairs(Object.keys(prediction.quantiles)).map(([low, high]) => ({ low, high, lower: level(low), upper: level(high) })),
  };
}

/** The two simple forecasts of this window, by the names that manifests give them. */
export function baselines(history, horizon, season) {
  const repeated = repeatSeason(history, horizon, season);
  return { [LAST]: repeatLast(history, horizon), ...(repeated ? { [SEASON]: repeated } : {}) };
}

export const bandName = ({ low, high }) => `${Math.round(100 * low)}–${Math.round(100 * high)} %`;

const SECOND = { stroke: "--against", dash: [8, 4] };

/** What is drawn: {data, series, bands, first, origin}: `first` is the step at the left. */
export function lines({ source, column, origin, horizon, shown, forecasts, simple }) {
  const values = source.columns[column];
  const first = Math.max(0, Math.min(origin - shown, ...forecasts.map((one) => one.origin - 1)));
  const end = Math.max(origin + horizon, ...forecasts.map((one) => one.origin + one.mean.length));
  const places = Array.from({ length: end - first }, (_, index) => first + index);
  const x = places.map((place) => (source.start === null ? place - origin + 1 : after(source.start, source.step, place)));
  const from = (list, begin) => places.map((place) => list[place - begin] ?? null);
  const data = [x, places.map((place) => (place < origin ? (values[place] ?? null) : null)), places.map((place) => (place >= origin - 1 ? (values[place] ?? null) : null))];
  const series = [{ name: "history", stroke: "--ink", width: 1.6 }, { name: "what followed", stroke: "--ink", width: 2, dash: [2, 4] }];
  const bands = [];
  const put = (list, one) => {
    data.push(list);
    series.push(one);
  };
  forecasts.forEach((one, index) => {
    const title = forecasts.length > 1 ? `forecast, version ${one.version}` : "forecast";
    one.bands.forEach((band, depth) => {
      if (index && depth) return; // of a second version the outermost band's edges alone
      const edge = index ? { ...SECOND, width: 1 } : { width: 0 };
      put(from(band.upper, one.origin), { name: "", ...edge });
      put(from(band.lower, one.origin), { name: "", ...edge });
      if (!index) bands.push({ upper: series.length - 2, lower: series.length - 1, fill: `--band / ${0.16 + 0.14 * depth}`, name: bandName(band) });
    });
    put(from(one.mean, one.origin), { name: title, width: 2.5, ...(index ? SECOND : { stroke: "--accent" }) });
  });
  Object.entries(simple).forEach(([name, list], index) => put(from(list, origin), { name, stroke: "--quiet", width: 1.5, dash: index ? [9, 4, 2, 4] : [1, 4] }));
  return { data, series, bands, first, origin };
}

const written = (value) => (value === undefined ? "–" : number(value, 4));

/** Every line's number at a place of the plot: [[name, words], ...], always the same names, so that nothing jumps. */
export function readOut({ source, column, origin, forecasts, simple }, place) {
  const mark = (one) => (forecasts.length > 1 ? `, version ${one.version}` : "");
  const ranged = (band, step) => (band.lower[step] === undefined ? "–" : `${written(band.lower[step])} to ${written(band.upper[step])}`);
  return [
    ["observed", written(source.columns[column][place])],
    ...forecasts.flatMap((one) => [
      [`forecast${mark(one)}`, written(one.mean[place - one.origin])],
      ...one.bands.map((band) => [`${bandName(band)}${mark(one)}`, ranged(band, place - one.origin)]),
    ]),
    ...Object.entries(simple).map(([name, list]) => [name, written(list[place - origin])]),
  ];
}

/** Errors of a forecast in this window: {mae, mase, held: [[name, share, nominal], ...]}; null where no truth is known. */
export function errors(one, values, context, season) {
  const truth = values.slice(one.origin, one.origin + one.mean.length);
  const unrest = seasonalError(values.slice(Math.max(0, one.origin - context), one.origin), season);
  const mae = meanError(one.mean, truth);
  return {
    steps: truth.length, mae, mase: mae !== null && unrest ? mae / unrest : null,
    held: (one.bands || []).map((band) => ({ name: bandName(band), nominal: band.high - band.low, share: coverage(band.lower, band.upper, truth) })),
  };
}

const short = (value) => (value === null || value === undefined ? "–" : number(value, 3));

/** Rows of the table of errors; `cards`: scores by version. */
export function scoreRows({ values, origin, forecasts, simple, preparation, cards, published }) {
  const { context, season } = preparation;
  const levels = forecasts.length ? forecasts[0].bands : [];
  const row = (name, found, scores, isModel) => [
    name, short(found && found.mae), short(found && found.mase),
    ...levels.map((band, place) => (found && found.held[place] && found.held[place].share !== null ? percent(found.held[place].share) : "–")),
    short(scores && scores.mase), short(scores && scores.mae),
    scores && isModel ? coverageOf(scores, levels) : "–",
  ];
  const rows = forecasts.map((one) => row(forecasts.length > 1 ? `version ${one.version}` : "this model", errors(one, values, context, season), cards[one.version], true));
  for (const [name, list] of Object.entries(simple)) rows.push(row(name, errors({ origin, mean: list }, values, context, season), published[name]));
  for (const [name, scores] of Object.entries(published)) if (!(name in simple)) rows.push(row(name, null, scores));
  const head = ["", "MAE here", "MASE here", ...levels.map((band) => `in ${bandName(band)} here`), "MASE, test set", "MAE, test set", levels.length ? `in ${bandName(levels[0])}, test set` : "band, test set"];
  return { head, rows };
}

function coverageOf(scores, levels) {
  const key = levels.length ? `coverage_${Math.round(100 * (levels[0].high - levels[0].low))}` : "";
  return scores[key] === undefined ? "–" : percent(scores[key]);
}

/** Every step ahead with every number: {head, rows}. */
export function stepRows({ source, column, origin, horizon, forecasts, simple }) {
  const several = forecasts.length > 1;
  const mark = (one) => (several ? `, version ${one.version}` : "");
  const head = ["step", ...(source.start === null ? [] : ["time"]), "what followed", ...forecasts.flatMap((one) => [`forecast${mark(one)}`, ...one.bands.flatMap((band) => [`${band.low}${mark(one)}`, `${band.high}${mark(one)}`])]), ...Object.keys(simple)];
  const rows = Array.from({ length: horizon }, (_, step) => [
    step + 1, ...(source.start === null ? [] : [iso(after(source.start, source.step, origin + step))]), source.columns[column][origin + step] ?? "",
    ...forecasts.flatMap((one) => {
      const at = origin + step - one.origin;
      return [one.mean[at] ?? "", ...one.bands.flatMap((band) => [band.lower[at] ?? "", band.upper[at] ?? ""])];
    }),
    ...Object.values(simple).map((list) => list[step] ?? ""),
  ]);
  return { head, rows };
}

/** A table as CSV. */
export const csv = ({ head, rows }) => [head, ...rows].map((row) => row.map((cell) => (/[",\n]/.test(String(cell)) ? `"${String(cell).replaceAll('"', '""')}"` : cell)).join(",")).join("\n");
