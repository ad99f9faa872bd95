// The API's page, made from /openapi.json alone: every operation with its fields, its example and a way to try it. Knows no model.
import { html, useEffect, useRef, useState } from "/web/vendor/htm-3.1.1/standalone.module.js";
import { Refused, address, authorised, serverMs, useGet, useUrl, wanted } from "/web/api.js";
import { Problem, Request, Upload, milliseconds } from "/web/parts.js";
import { Fields, kind, written } from "/web/schema.js";

const SHOWN = 4000; // characters of an answer
const ASKS_TWICE = /\/(load|unload)$/; // what changes what is served
const JSON_TYPE = "application/json";

const anchor = (method, path) => `${method}${path.replaceAll(/[^a-z0-9]+/gi, "-").replace(/-$/, "")}`;

/** A data: URL as a file. */
function fileOf(url, name) {
  const [head, data] = url.split(",");
  return new File([Uint8Array.from(atob(data), (one) => one.charCodeAt(0))], name, { type: head.slice("data:".length).split(";")[0] });
}

/** Send anything; -> what came back, as text or as a picture's address. */
async function send({ method, path, query, body, file, accept }) {
  const begun = performance.now();
  let answer;
  try {
    answer = await fetch(address({ path, query }), {
      method: method.toUpperCase(),
      headers: authorised({ ...(accept && { Accept: accept }), ...(file ? { "Content-Type": file.type } : body !== undefined && { "Content-Type": JSON_TYPE }) }),
      body: file || (body === undefined ? undefined : JSON.stringify(body)),
    });
  } catch {
    throw new Refused("The service does not answer.");
  }
  wanted(answer.status);
  const type = (answer.headers.get("content-type") || "").split(";")[0];
  const picture = type.startsWith("image/") ? URL.createObjectURL(await answer.blob()) : null;
  const text = picture ? "" : await answer.text();
  let shown = text;
  if (type === JSON_TYPE) shown = written(JSON.parse(text));
  return { status: answer.status, type, picture, text: shown, roundMs: performance.now() - begun, serverMs: serverMs(answer.headers.get("server-timing")), requestId: answer.headers.get("x-request-id") };
}

function Answer({ answer }) {
  const [whole, setWhole] = useState(false);
  const { status, type, picture, text } = answer;
  const cut = text.length > SHOWN && !whole;
  return html`<div class="answered"><p><strong>${status}</strong> ${type} <span class="timing"><span>${milliseconds(answer.serverMs)} in the server</span><span>${milliseconds(answer.roundMs)} round trip</span><span>request ${answer.requestId}</span></span></p>
    ${picture ? html`<img class="picture" src=${picture} alt="The picture that the service answered with" width="168" />`
      : html`<div class="scroll code" tabindex="0" role="region" aria-label="Answer"><pre>${cut ? text.slice(0, SHOWN) : text.slice(0, 200_000)}</pre></div>`}
    ${cut && html`<button type="button" class="small" onClick=${() => setWhole(true)}>Show all ${text.length.toLocaleString("en")} characters</button>`}</div>`;
}

function Parameter({ one, value, onInput, document, id }) {
  const example = one.schema?.examples?.[0] ?? one.schema?.anyOf?.[0]?.examples?.[0] ?? "";
  return html`<tr><th scope="row"><label for=${id}><code>${one.name}</code></label></th>
    <td>${kind(one.schema, document)}${one.required ? "" : ", may be left out"}. ${one.description || one.schema?.description || ""}</td>
    <td><input type="text" id=${id} value=${value ?? ""} placeholder=${one.required ? "" : example} required=${one.required} onInput=${(event) => onInput(event.target.value)} /></td></tr>`;
}

/** Parameters and body to change, a button to send them, and what came back. */
function Try({ method, path, operation, document, id }) {
  const parameters = operation.parameters || [];
  const content = operation.requestBody?.content || {};
  const media = Object.keys(content).filter((type) => type !== JSON_TYPE && !type.startsWith("multipart/"));
  const pictured = Boolean(operation.responses?.[200]?.content?.["image/png"]);
  const [values, setValues] = useState(Object.fromEntries(parameters.filter((one) => one.in === "path").map((one) => [one.name, String(one.schema?.examples?.[0] ?? "")])));
  const [text, setText] = useState(content[JSON_TYPE] ? written(content[JSON_TYPE].example ?? {}) : "");
  const [file, setFile] = useState(null);
  const [asked, setAsked] = useState(null);
  const [answer, setAnswer] = useState(null);
  const [problem, setProblem] = useState(null);
  const [sure, setSure] = useState(false);
  const [busy, setBusy] = useState(false);

  const request = () => {
    const missing = parameters.find((one) => one.in === "path" && !values[one.name]);
    if (missing) throw new Refused(`Parameter ${missing.name} is empty; it is part of the address.`, 422);
    const filled = path.replaceAll(/\{(\w+)\}/g, (_, name) => encodeURIComponent(values[name]));
    const query = Object.fromEntries(parameters.filter((one) => one.in === "query").map((one) => [one.name, values[one.name]]));
    if (file || !content[JSON_TYPE] || (!text.trim() && !operation.requestBody.required)) return { path: filled, query, body: undefined };
    try {
      return { path: filled, query, body: JSON.parse(text) };
    } catch (error) {
      throw new Refused(`The body is no JSON: ${error.message}.`, 422);
    }
  };
  const go = async (accept) => {
    try {
      const made = request();
      if (ASKS_TWICE.test(path) && !sure) {
        setSure(true);
        return;
      }
      setSure(false);
      setProblem(null);
      setBusy(true);
      setAnswer(await send({ ...made, method, file, accept }));
      setAsked(file ? null : { ...made, method: method.toUpperCase() });
    } catch (found) {
      setProblem(found);
    } finally {
      setBusy(false);
    }
  };
  return html`<div class="try">
    ${parameters.length > 0 && html`<div class="scroll" tabindex="0" role="region" aria-label="Parameters"><table class="parameters"><caption>Parameters</caption><tbody>
      ${parameters.map((one) => html`<${Parameter} key=${one.name} one=${one} id=${`${id}-${one.name}`} document=${document} value=${values[one.name]} onInput=${(value) => setValues({ ...values, [one.name]: value })} />`)}
    </tbody></table></div>`}
    ${content[JSON_TYPE] && html`<label for=${`${id}-body`}>Body${operation.requestBody.required ? "" : ", may be left out"}</label>
      <textarea class="code" id=${`${id}-body`} rows=${Math.min(14, text.split("\n").length + 1)} spellcheck="false" value=${text} aria-describedby=${`${id}-problem`} aria-invalid=${String(Boolean(problem))} onInput=${(event) => setText(event.target.value)}></textarea>
      <${Fields} schema=${content[JSON_TYPE].schema} document=${document} />`}
    ${media.length > 0 && html`<p class="row"><${Upload} label="Send a file instead" accept=${media.join(",")} onProblem=${setProblem}
        onFile=${(url, name) => { setFile(fileOf(url, name)); setProblem(null); }} />
      <span class="note">${file ? html`${file.name}, ${file.type}. <button type="button" class="small" onClick=${() => setFile(null)}>Take it away</button>` : media.join(", ")}</span></p>`}
    <${Problem} problem=${problem} id=${`${id}-problem`} />
    <p class="row"><button type="button" class="main" disabled=${busy} onClick=${() => go(null)}>${sure ? "Really? This changes what is served" : "Send"}</button>
      ${pictured && html`<button type="button" disabled=${busy} onClick=${() => go("image/png")}>Send, and have a picture back</button>`}
      ${sure && html`<button type="button" onClick=${() => setSure(false)}>No</button>`}</p>
    ${answer && html`<${Answer} key=${answer.requestId} answer=${answer} />`}
    ${asked && html`<${Request} request=${asked} />`}
  </div>`;
}

function Operation({ method, path, operation, document, open, onOpen }) {
  const id = anchor(method, path);
  const here = useRef(null);
  useEffect(() => {
    if (open && location.hash === `#${id}`) here.current.scrollIntoView({ block: "start" });
  }, []);
  const answers = Object.entries(operation.responses || {});
  return html`<section class="card operation" id=${id} ref=${here} aria-labelledby=${`${id}-title`}>
    <div class="title"><h3><button type="button" class="opener" id=${`${id}-title`} aria-expanded=${String(open)} onClick=${() => onOpen(open ? null : id)}>
      <span class="method">${method.toUpperCase()}</span> <code>${path}</code></button></h3><span>${operation.summary}</span></div>
    ${open && operation.description && html`<p>${operation.description}</p>`}
    ${open && html`<${Try} method=${method} path=${path} operation=${operation} document=${document} id=${id} />
      <h4>Answers</h4><ul class="listed">${answers.map(([status, { description, content }]) => html`<li key=${status}><code>${status}</code> ${description}
        ${status === "200" && html`<${Fields} schema=${content?.[JSON_TYPE]?.schema} document=${document} />`}</li>`)}</ul>`}
  </section>`;
}

const fits = ({ method, path, operation }, words) => words.every((word) => `${method} ${path} ${operation.summary} ${operation.tags?.join(" ")}`.toLowerCase().includes(word));

export default function Docs() {
  const { data: document_, problem } = useGet("/openapi.json");
  const [state, setState] = useUrl();
  const [open, setOpen] = useState(location.hash.slice(1) || "post-v1-classify");
  useEffect(() => {
    document.title = "API · Modelyard";
    const follow = () => setOpen(location.hash.slice(1));
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  const choose = (id) => {
    setOpen(id);
    history.replaceState(null, "", location.pathname + location.search + (id ? `#${id}` : ""));
  };
  const words = (state.filter || "").toLowerCase().split(/\s+/).filter(Boolean);
  const all = Object.entries(document_?.paths || {}).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ method, path, operation })));
  const found = all.filter((one) => fits(one, words));
  const tags = [...new Set(found.map(({ operation }) => operation.tags?.[0] || "more"))];
  const within = (tag) => found.filter(({ operation }) => (operation.tags?.[0] || "more") === tag);
  return html`<h1>API</h1>
    <p class="lead">Everything that this service answers. Each model's <a href="/">page</a> shows its requests, too; the document is <a href="/openapi.json">/openapi.json</a>.</p>
    <${Problem} problem=${problem} />
    ${document_ && html`<div class="reference">
      <nav class="contents" aria-label="Operations">
        <label for="filter">Filter</label>
        <input type="search" id="filter" value=${state.filter || ""} onInput=${(event) => setState({ filter: event.target.value })} />
        <p class="note" role="status">${found.length} of ${all.length} operations</p>
        ${tags.map((tag) => html`<h2 key=${tag}>${tag}</h2><ul>${within(tag).map(({ method, path }) => html`<li key=${method + path}><a href=${`#${anchor(method, path)}`} aria-current=${open === anchor(method, path) ? "true" : undefined}>${path}</a></li>`)}</ul>`)}
      </nav>
      <div>${tags.map((tag) => html`<section key=${tag} aria-label=${tag}><h2>${tag}</h2>
        ${within(tag).map((one) => html`<${Operation} key=${one.method + one.path} ...${one} document=${document_} open=${open === anchor(one.method, one.path)} onOpen=${choose} />`)}</section>`)}
        ${!found.length && html`<p>No operation has these words.</p>`}</div>
    </div>`}`;
}
