// The service at work, for who runs it: requests, times, queues, batches, versions and drift, live from /metrics.
// Knows the names of the metrics; knows no model and no family.
import { html, useEffect, useRef, useState } from "/web/vendor/htm-3.1.1/standalone.module.js";
import { ask } from "/web/api.js";
import { buckets, parse, quantile, since, sum, values } from "/web/metrics.js";
import { Numbers, Problem, Said, number } from "/web/parts.js";

const EVERY_MS = 2000;
const KEPT = 60; // readings: two minutes
const MODELS_EVERY = 5; // readings
const LATER_MS = 10_000; // between two tries while the service is away
const OWN = ["/metrics", "/v1/models", "/v2/repository/index", "/web", "/", "/status", "/play/{name}", "/docs", "unmatched"]; // what this page itself asks, and pages
const others = { route: (route) => !OWN.includes(route) };
const DRIFTS = [[0.1, "stable"], [0.25, "shifted"], [Infinity, "drifted"]];

const ms = (seconds) => (seconds === null ? "–" : `${number(1e3 * seconds, 2)} ms`);
const rate = (value) => (value >= 100 ? Math.round(value).toLocaleString("en") : number(value, 2));

/** Readings of /metrics, the newest last: {at, metrics}; what the service serves; what went wrong. */
function useReadings(paused) {
  const [state, setState] = useState({ readings: [], models: null, index: [], problem: null });
  const count = useRef(0);
  useEffect(() => {
    if (paused) return undefined;
    const control = new AbortController();
    let timer = null;
    const read = async () => {
      let wait = EVERY_MS;
      try {
        const { data } = await ask({ path: "/metrics" }, control.signal);
        const reading = { at: performance.now() / 1e3, metrics: parse(data) };
        const told = count.current++ % MODELS_EVERY === 0 ? await served(control.signal) : {};
        setState((old) => ({ ...old, ...told, problem: null, readings: [...old.readings, reading].slice(-KEPT) }));
      } catch (problem) {
        if (problem.name === "AbortError") return;
        count.current = 0;
        wait = LATER_MS;
        setState((old) => ({ ...old, readings: [], problem: problem.status ? problem : { message: "The service does not answer. This page goes on by itself when it does." } }));
      }
      timer = setTimeout(read, wait);
    };
    read();
    return () => {
      control.abort();
      clearTimeout(timer);
    };
  }, [paused]);
  return state;
}

async function served(signal) {
  const [models, index] = await Promise.all([ask({ path: "/v1/models" }, signal), ask({ path: "/v2/repository/index", body: {} }, signal)]);
  return { models: models.data.models, index: index.data };
}

/** Each reading beside the one before: count(later, earlier, seconds). */
const steps = (readings, count) => readings.slice(1).map((one, place) => count(one.metrics, readings[place].metrics, one.at - readings[place].at));

/** A line for each series: [[name, values, class]]; nothing is drawn where a value is null. */
function Lines({ series, label, unit }) {
  const highest = Math.max(1e-9, ...series.flatMap(([, line]) => line.filter((value) => value !== null)));
  const place = (age) => (100 * (KEPT - 2 - age)) / (KEPT - 2); // the newest at the right
  const path = (line) => {
    let pen = "M";
    return line.map((value, index) => {
      const drawn = value === null ? "" : `${pen}${place(line.length - 1 - index).toFixed(2)} ${(38 - (36 * value) / highest).toFixed(2)}`;
      pen = value === null ? "M" : "L";
      return drawn;
    }).join(" ");
  };
  return html`<div class="sparkline"><svg viewBox="0 0 100 40" preserveAspectRatio="none" role="img" aria-label=${label}>
      <path class="floor" d="M0 38H100" />
      ${series.map(([name, line, kind]) => html`<path key=${name} class=${`line ${kind || ""}`} d=${path(line)} />`)}
    </svg><span class="most">${highest > 1e-9 ? `${number(highest, 2)} ${unit}` : ""}</span></div>`;
}

function Chart({ title, series, unit, now, ago }) {
  const rows = series[0][1].map((_, index) => [`${ago(index)} s ago`, ...series.map(([, line]) => (line[index] === null ? "–" : number(line[index], 3)))]);
  return html`<figure class="card"><h2>${title}</h2>
    <${Lines} series=${series} unit=${unit} label=${`${title}: ${now}`} />
    <figcaption>${series.length > 1 && html`<span class="keys">${series.map(([name, , kind]) => html`<span class=${`key ${kind || ""}`}>${name}</span> `)}</span>`}${now}</figcaption>
    <${Numbers} caption=${`${title}, ${unit}`} head=${["when", ...series.map(([name]) => name)]} rows=${rows} /></figure>`;
}

function Charts({ readings }) {
  const last = readings[readings.length - 1];
  const before = readings[readings.length - 2];
  const perSecond = (status) => steps(readings, (later, earlier, s) => since(later, earlier, "modelyard_requests_total", { ...others, status }) / s);
  const timed = (name, where, share) => steps(readings, (later, earlier) => quantile(buckets(later, earlier, name, where), share)).map((s) => (s === null ? null : 1e3 * s));
  const good = perSecond((status) => status < "400");
  const wrong = perSecond((status) => status >= "400" && status < "500");
  const failed = perSecond((status) => status >= "500");
  const half = timed("modelyard_request_seconds", others, 0.5);
  const most = timed("modelyard_request_seconds", others, 0.99);
  const waits = timed("modelyard_queue_seconds", {}, 0.99);
  const rows = steps(readings, (later, earlier) => since(later, earlier, "modelyard_batch_rows_sum") / since(later, earlier, "modelyard_batch_rows_count") || null);
  const end = (line, unit) => (line.length && line[line.length - 1] !== null ? `${number(line[line.length - 1], 2)} ${unit}` : "nothing just now");
  const ago = (index) => Math.round(last.at - readings[index + 1].at);
  const flight = readings.slice(1).map((one) => Math.max(0, sum(one.metrics, "modelyard_in_flight") - 1));
  return html`<div class="charts">
    <${Chart} title="Requests" unit="a second" ago=${ago} series=${[["answered", good], ["4xx", wrong, "second"], ["5xx", failed, "third"]]}
      now=${before ? `${rate(good[good.length - 1])} answered, ${rate(wrong[wrong.length - 1])} refused, ${rate(failed[failed.length - 1])} failed a second` : "reading"} />
    <${Chart} title="Time of a request" unit="ms" ago=${ago} series=${[["p50", half], ["p99", most, "second"]]} now=${`p50 ${end(half, "ms")}, p99 ${end(most, "ms")}`} />
    <${Chart} title="Wait for a batch" unit="ms" ago=${ago} series=${[["p99", waits]]} now=${`p99 ${end(waits, "ms")}`} />
    <${Chart} title="Rows of a batch" unit="rows" ago=${ago} series=${[["mean", rows]]} now=${`mean ${end(rows, "rows")}`} />
    <${Chart} title="In flight" unit="requests" ago=${ago} series=${[["requests", flight]]} now=${`${flight.length ? flight[flight.length - 1] : 0} being answered, this page's own left out`} />
  </div>`;
}

const drift = (value) => `${number(value, 2)}, ${DRIFTS.find(([bound]) => value < bound)[1]}`;

function Models({ models, index, later, earlier, seconds }) {
  const row = ({ name, version }) => {
    const where = { model: name };
    const spent = buckets(later, earlier, "modelyard_compute_seconds", where);
    const rows = since(later, earlier, "modelyard_batch_rows_sum", where);
    const batches = since(later, earlier, "modelyard_batch_rows_count", where);
    return [
      html`<a href=${`/play/${name}`}>${name}</a>`, version, earlier ? rate(rows / seconds) : rate(rows), batches ? number(rows / batches, 2) : "–",
      ms(quantile(spent, 0.5)), ms(quantile(spent, 0.99)), ms(quantile(buckets(later, earlier, "modelyard_queue_seconds", where), 0.99)),
      drift(sum(later, "modelyard_drift", where)),
    ];
  };
  const head = ["model", "answers", earlier ? "rows a second" : "rows", "rows a batch", "batch p50", "batch p99", "wait p99", "drift (PSI)"];
  const aside = index.filter((one) => one.state !== "READY");
  return html`<section class="card"><h2>Models</h2>
    <p class="note">${earlier ? `Of the last ${Math.round(seconds)} s.` : "Since the service began."} Drift: below 0.1 stable, above 0.25 drifted; details at /v1/models/NAME/drift.</p>
    <div class="scroll" tabindex="0" role="region" aria-label="Models"><table class="wide-table"><thead><tr>${head.map((one) => html`<th scope="col">${one}</th>`)}</tr></thead>
      <tbody>${models.map((one) => html`<tr key=${one.name}>${row(one).map((cell, place) => (place ? html`<td class="number">${cell}</td>` : html`<th scope="row">${cell}</th>`))}</tr>`)}</tbody></table></div>
    ${aside.length > 0 && html`<h3>Not served</h3><ul class="aside">${aside.map((one) => html`<li><strong>${one.name} ${one.version}</strong> ${one.state.toLowerCase()}: ${one.reason}</li>`)}</ul>`}
  </section>`;
}

function Counts({ later, earlier, seconds }) {
  const routes = values(later, "modelyard_requests_total", "route").filter((route) => !OWN.includes(route));
  const rows = routes.map((route) => {
    const spent = buckets(later, earlier, "modelyard_request_seconds", { route });
    const count = (status) => since(later, earlier, "modelyard_requests_total", { route, status });
    return [route, count((status) => status < "400"), count((status) => status >= "400" && status < "500"), count((status) => status >= "500"), ms(quantile(spent, 0.5)), ms(quantile(spent, 0.99))];
  });
  const refused = values(later, "modelyard_rejects_total", "code").map((code) => [code, since(later, earlier, "modelyard_rejects_total", { code })]).filter(([, count]) => count);
  const head = ["route", "answered", "4xx", "5xx", "p50", "p99"];
  return html`<section class="card"><h2>Routes</h2>
    <p class="note">${earlier ? `Of the last ${Math.round(seconds)} s` : "Since the service began"}; pages and what this one asks (/metrics, /v1/models, the index) left out.</p>
    ${rows.every((row) => !row[1] && !row[2] && !row[3]) && html`<p>No request${earlier ? ` in the last ${Math.round(seconds)} s` : ""}.</p>`}
    <div class="scroll" tabindex="0" role="region" aria-label="Routes"><table class="wide-table"><thead><tr>${head.map((one) => html`<th scope="col">${one}</th>`)}</tr></thead>
      <tbody>${rows.map((row) => html`<tr key=${row[0]}>${row.map((cell, place) => (place ? html`<td class="number">${cell}</td>` : html`<th scope="row"><code>${cell}</code></th>`))}</tr>`)}</tbody></table></div>
    ${refused.length > 0 && html`<h3>Refused, by code</h3><ul class="aside">${refused.map(([code, count]) => html`<li><code>${code}</code> ${Math.round(count)}</li>`)}</ul>`}
  </section>`;
}

export default function Status() {
  const [paused, setPaused] = useState(false);
  const [whole, setWhole] = useState(true);
  const { readings, models, index, problem } = useReadings(paused);
  useEffect(() => {
    document.title = "Status · Modelyard";
  }, []);
  const last = readings[readings.length - 1];
  const first = readings.length > 1 && !whole ? readings[0] : null;
  const span = { later: last?.metrics, earlier: first?.metrics, seconds: first ? last.at - first.at : 0 };
  const provider = last && values(last.metrics, "modelyard_provider", "provider").find((one) => sum(last.metrics, "modelyard_provider", { provider: one }) > 0);
  return html`<div class="row spread"><div><h1>Status</h1>
      <p class="lead">${last ? `Runs on ${provider}. Read from /metrics every 2 s${paused ? "; paused" : ""}.` : "Reading /metrics."}</p></div>
      <div class="row">
        <button type="button" aria-pressed=${String(!whole)} onClick=${() => setWhole(!whole)}>Last two minutes only</button>
        <button type="button" aria-pressed=${String(paused)} onClick=${() => setPaused(!paused)}>Pause</button>
      </div></div>
    <${Problem} problem=${problem} />
    <${Said} text=${problem ? "" : paused ? "Paused." : ""} />
    ${last && html`<${Charts} readings=${readings} />`}
    ${last && models && html`<${Models} models=${models} index=${index} ...${span} />`}
    ${last && html`<${Counts} ...${span} />`}`;
}
