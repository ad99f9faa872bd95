// What several pages show: problems, bars, requests to copy, answers side by side. Knows the API's forms; knows no family.
import { html, useState, useEffect, useRef } from "/web/vendor/htm-3.1.1/standalone.module.js";
import { snippets } from "/web/api.js";

/** "0.9966" -> "99.7 %"; never a 100 that is none, never a 0 that is none. */
export function percent(share) {
  if (share > 0.999 && share < 1) return "> 99.9 %";
  if (share < 0.001 && share > 0) return "< 0.1 %";
  return `${(100 * share).toFixed(1)} %`;
}

export const milliseconds = (value) => (value === null || value === undefined ? "–" : value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`);
export const bytes = (value) => (value < 1e6 ? `${Math.max(1, Math.round(value / 1e3))} kB` : `${(value / 1e6).toFixed(1)} MB`);
export const number = (value, digits = 3) => Number(value).toLocaleString("en", { maximumSignificantDigits: digits });
export const words = (text) => text.replaceAll("_", " ");
export const png = (base64) => `data:image/png;base64,${base64}`;

/** A CSS variable's value now, for what is drawn on a canvas. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A number that changes whenever the colours do: draw canvases anew when it does. */
export function useColours() {
  const [count, setCount] = useState(0);
  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const changed = () => setCount((old) => old + 1);
    dark.addEventListener("change", changed);
    addEventListener("themechange", changed);
    return () => {
      dark.removeEventListener("change", changed);
      removeEventListener("themechange", changed);
    };
  }, []);
  return count;
}

/** What went wrong, in words, beside the field whose `id` names it by aria-describedby. */
export function Problem({ problem, id }) {
  if (!problem) return null;
  const again = problem.retryAfter ? ` Ask again in ${problem.retryAfter} s.` : "";
  return html`<p class="problem" role="alert" id=${id}><strong>${problem.status ? "Not taken: " : ""}</strong>${problem.message}${again}</p>`;
}

/** A short sentence for screen readers, said when it has stood still for a moment. */
export function Said({ text }) {
  const [said, setSaid] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setSaid(text || ""), 600);
    return () => clearTimeout(timer);
  }, [text]);
  return html`<p class="unseen" role="status">${said}</p>`;
}

/** Bars with names and numbers: entries [[name, share 0..1]], one of them strong. */
export function Bars({ entries, strong, show = percent, caption, highest = 1 }) {
  return html`<table class="bars">
    <caption class="unseen">${caption}</caption>
    <tbody>${entries.map(([name, share]) => html`<tr key=${name} class=${name === strong ? "strong" : ""}>
      <th scope="row">${name}</th>
      <td class="bar" aria-hidden="true"><meter-bar style=${`--share:${Math.max(0, Math.min(1, share / highest))}`}></meter-bar></td>
      <td class="number">${show(share)}</td>
    </tr>`)}</tbody>
  </table>`;
}

/** The numbers behind a figure, for who wants them or cannot see it. */
export function Numbers({ caption, head, rows }) {
  return html`<details class="numbers"><summary>Show the numbers</summary>
    <div class="scroll" tabindex="0" role="region" aria-label=${caption}><table>
      <caption>${caption}</caption>
      <thead><tr>${head.map((one) => html`<th scope="col">${one}</th>`)}</tr></thead>
      <tbody>${rows.map((row) => html`<tr>${row.map((cell, index) => (index ? html`<td>${cell}</td>` : html`<th scope="row">${cell}</th>`))}</tr>`)}</tbody>
    </table></div></details>`;
}

const WAYS = { curl: "curl", python: "Python", json: "JSON" };

/** The exact request that made what is on the screen, to be copied. */
export function Request({ request, note }) {
  const [way, setWay] = useState("curl");
  const [copied, setCopied] = useState("");
  if (!request) return null;
  const texts = snippets(request);
  const ways = Object.keys(WAYS).filter((one) => texts[one]);
  const shown = texts[way] || texts.curl;
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(shown);
      setCopied("Copied.");
    } catch {
      const range = document.createRange();
      range.selectNodeContents(document.getElementById("request-text"));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      setCopied("Selected: press Ctrl+C.");
    }
    setTimeout(() => setCopied(""), 3000);
  };
  const cut = shown.length > 6000;
  return html`<section class="card request" aria-labelledby="request-title">
    <div class="row spread"><h2 id="request-title">The request</h2>
      <div class="row" role="group" aria-label="Form of the request">
        ${ways.map((one) => html`<button type="button" class="small" aria-pressed=${String(one === way)} onClick=${() => setWay(one)}>${WAYS[one]}</button>`)}
        <button type="button" class="small copy" onClick=${copy}>Copy</button>
      </div></div>
    <p class="note" role="status">${copied || note || "What this page just sent. Any client can send the same."}</p>
    <div class="scroll code" tabindex="0" role="region" aria-label="Request"><pre id="request-text" data-whole=${way}>${cut ? `${shown.slice(0, 3000)}\n… ${(shown.length - 6000).toLocaleString("en")} more characters are copied …\n${shown.slice(-3000)}` : shown}</pre></div>
  </section>`;
}

/** Server and round trip of an answer. */
export function Timing({ answer }) {
  if (!answer || answer.roundMs === undefined) return html`<p class="timing"> </p>`;
  return html`<p class="timing"><span>${milliseconds(answer.serverMs)} in the server</span><span>${milliseconds(answer.roundMs)} round trip</span></p>`;
}

/** The answers of one version, or of two side by side; show(data, answer) draws one. */
export function Answers({ answers, show, empty = "…" }) {
  const several = answers.length > 1;
  return html`<div class=${several ? "beside" : "alone"}>
    ${answers.map((answer) => html`<section key=${answer.version} class=${`answer${answer.stale ? " stale" : ""}`} aria-busy=${String(answer.stale)} aria-label=${several ? `Version ${answer.version}` : "Result"}>
      ${several && html`<h3>Version ${answer.version}</h3>`}
      <${Problem} problem=${answer.problem} />
      ${answer.data ? show(answer.data, answer) : !answer.problem && html`<p class="note">${empty}</p>`}
      <${Timing} answer=${answer} />
    </section>`)}
  </div>`;
}

/** A range with a number box: label, value, onInput(number), min, max, step, unit. */
export function Slider({ label, value, onInput, min, max, step = 1, unit = "", id, disabled = false }) {
  const put = (event) => event.target.value !== "" && onInput(Math.min(max, Math.max(min, Number(event.target.value))));
  return html`<div class="slider"><label for=${id}>${label}</label>
    <input type="range" id=${id} min=${min} max=${max} step=${step} value=${value} disabled=${disabled} onInput=${put} />
    <input type="number" aria-label=${`${label}, number`} min=${min} max=${max} step=${step} value=${value} disabled=${disabled} onChange=${put} />
    ${unit && html`<span class="unit">${unit}</span>`}</div>`;
}

/** Choices of which one holds: options [[value, name]]. */
export function Choice({ label, value, options, onChoose }) {
  return html`<div class="row choice" role="group" aria-label=${label}>
    ${options.map(([one, name]) => html`<button type="button" aria-pressed=${String(one === value)} onClick=${() => onChoose(one)}>${name}</button>`)}
  </div>`;
}

/** A file from the user's disk, read as a data: URL or as text; by choosing, by dropping, by pasting a picture. */
export function Upload({ label, accept, asText = false, onFile, limit = 10_000_000, onProblem, describedBy }) {
  const input = useRef(null);
  const take = (file) => {
    if (!file) return;
    if (file.size > limit) {
      onProblem({ message: `${file.name} has ${bytes(file.size)}; at most ${bytes(limit)} are taken.`, status: 413 });
      return;
    }
    const reader = new FileReader();
    reader.onload = () => onFile(reader.result, file.name);
    reader.onerror = () => onProblem({ message: `${file.name} cannot be read.`, status: 0 });
    if (asText) reader.readAsText(file);
    else reader.readAsDataURL(file);
  };
  const drop = (event) => {
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  };
  return html`<label class="button upload" onDragOver=${(event) => event.preventDefault()} onDrop=${drop}>${label}
    <input type="file" class="unseen" accept=${accept} aria-describedby=${describedBy} ref=${input} onChange=${(event) => { take(event.target.files[0]); event.target.value = ""; }} /></label>`;
}
