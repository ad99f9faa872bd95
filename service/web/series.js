// Arithmetic of series: columns, windows, times of steps, simple forecasts and how far a forecast was off. Knows no page and no network.

const UNITS = { s: 1, min: 60, h: 3600, d: 86400, w: 604800 };
const MONTHS = { mo: 1, y: 12 };

/** "15min" -> {seconds: 900, months: 0}; null where it is none. */
export function frequency(written) {
  const found = /^([1-9]\d{0,4})?(s|min|h|d|w|mo|y)$/.exec(written || "");
  if (!found) return null;
  const count = Number(found[1] || 1);
  return found[2] in MONTHS ? { seconds: 0, months: count * MONTHS[found[2]] } : { seconds: count * UNITS[found[2]], months: 0 };
}

const DATE = /^(\d{4})[-/](\d{1,2})(?:[-/](\d{1,2}))?(?:[ T](\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?)?(Z|[+-]\d{2}:?\d{2})?$/;

/** Seconds since 1970 of a date, year first; one without a zone is taken as UTC, so that no clock is changed. NaN where it is none. */
export function seconds(text) {
  const found = DATE.exec(text.trim());
  if (!found) return NaN;
  const [year, month, day = 1, hour = 0, minute = 0, second = 0] = found.slice(1, 7).map((one) => (one === undefined ? undefined : Number(one)));
  if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23) return NaN;
  const zone = /([+-])(\d{2}):?(\d{2})/.exec(found[7] || "");
  const ahead = zone ? (zone[1] === "-" ? -1 : 1) * (Number(zone[2]) * 3600 + Number(zone[3]) * 60) : 0;
  return Date.UTC(year, month - 1, day, hour, minute, second) / 1000 - ahead;
}

/** The time `steps` after `start`, in seconds; of a month that is too short, its last day. */
export function after(start, step, steps) {
  if (!step.months) return start + step.seconds * steps;
  const day = new Date(start * 1000);
  const months = day.getUTCFullYear() * 12 + day.getUTCMonth() + step.months * steps;
  const [year, month] = [Math.floor(months / 12), ((months % 12) + 12) % 12];
  const last = new Date(Date.UTC(year, month + 1, 0)).getUTCDate();
  return Date.UTC(year, month, Math.min(day.getUTCDate(), last), day.getUTCHours(), day.getUTCMinutes(), day.getUTCSeconds()) / 1000;
}

/** Seconds -> "2018-03-01T00:00:00", as the service writes it. */
export const iso = (time) => new Date(time * 1000).toISOString().slice(0, 19);

/** Seconds -> words: the day alone where steps are days or longer. */
export function moment(time, step) {
  const text = iso(time).replace("T", " ");
  return step.months || step.seconds >= 86400 ? text.slice(0, 10) : text.slice(0, 16);
}

/** A body's series, in whichever form -> {name: numbers}. */
export function columnsOf(series, { columns, target }) {
  if (!Array.isArray(series)) return series;
  if (!Array.isArray(series[0])) return { [target]: series };
  return Object.fromEntries(columns.map((name, place) => [name, series.map((row) => row[place])]));
}

/** The last value, again and again. */
export const repeatLast = (history, horizon) => Array(horizon).fill(history[history.length - 1]);

/** The last season, again and again; null where the history is shorter than one. */
export function repeatSeason(history, horizon, season) {
  if (history.length < season) return null;
  const last = history.slice(-season);
  return Array.from({ length: horizon }, (_, step) => last[step % season]);
}

const mean = (values) => (values.length ? values.reduce((sum, one) => sum + one, 0) / values.length : null);

/** Mean absolute error where the truth is known; null where none is. */
export const meanError = (forecast, truth) => mean(truth.map((one, step) => Math.abs(one - forecast[step])));

/** Mean absolute difference of values a season apart: what MASE is measured in. null where there is none. */
export function seasonalError(history, season) {
  const found = mean(history.slice(season).map((one, place) => Math.abs(one - history[place])));
  return found || null;
}

/** The share of the truth from `lower` to `upper`. */
export const coverage = (lower, upper, truth) => mean(truth.map((one, step) => Number(one >= lower[step] && one <= upper[step])));

/** Bands of a forecast, the widest first: pairs of quantiles that are the same distance from the middle. -> [[0.1, 0.9], ...] */
export function pairs(quantiles) {
  const sorted = quantiles.map(Number).sort((one, other) => one - other);
  return sorted.filter((low) => low < 0.5 && sorted.some((high) => Math.abs(low + high - 1) < 1e-9)).map((low) => [low, sorted.find((high) => Math.abs(low + high - 1) < 1e-9)]);
}

/** Places of a series worth looking at: evenly spread, then where repeating the season did best and worst. -> [{origin, title}] */
export function windows(values, { least, horizon, season }, context, count = 6) {
  const first = Math.min(Math.max(least, context), values.length - horizon);
  const last = values.length - horizon;
  if (first < least || last < first) return [];
  const even = Array.from({ length: count }, (_, place) => Math.round(first + ((last - first) * place) / (count - 1)));
  const found = [...new Set(even)].map((origin, place) => ({ origin, title: `window ${place + 1}` }));
  const scored = [];
  for (let origin = first; origin <= last; origin += Math.max(1, Math.floor(season / 4))) {
    const repeated = repeatSeason(values.slice(0, origin), horizon, season);
    if (repeated) scored.push({ origin, error: meanError(repeated, values.slice(origin, origin + horizon)) });
  }
  scored.sort((one, other) => one.error - other.error);
  if (scored.length > 2) found.push({ origin: scored[0].origin, title: "most regular" }, { origin: scored[scored.length - 1].origin, title: "least regular" });
  return found;
}
