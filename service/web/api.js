// Asks the public API as any client would, and says how: as curl, as Python, as JSON. Knows no family.
import { useState, useEffect, useRef } from "/web/vendor/htm-3.1.1/standalone.module.js";

const WAIT_MS = 150; // from the last change of an input to the request

// The API key, where the service wants one: kept by this tab alone, sent as a header, never part of an address.
const KEPT_KEY = "modelyard-key";
export const key = () => sessionStorage.getItem(KEPT_KEY);
export function keepKey(text) {
  if (text) sessionStorage.setItem(KEPT_KEY, text);
  else sessionStorage.removeItem(KEPT_KEY);
  location.reload();
}
/** `headers` with the key, where there is one. */
export const authorised = (headers) => (key() ? { ...headers, Authorization: `Bearer ${key()}` } : headers);
/** Tell the frame of the page that an answer was 401. */
export const wanted = (status) => status === 401 && dispatchEvent(new Event("keywanted"));

/** What went wrong, in a sentence; `status` 0 where no answer came. */
export class Refused extends Error {
  constructor(message, status = 0, retryAfter = null) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** A request: {method, path, query, body}. -> its path with its query; what is null, undefined or false is left out. */
export function address({ path, query = {} }) {
  const listed = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== false && value !== "");
  const text = new URLSearchParams(listed.map(([key, value]) => [key, String(value)])).toString();
  return text ? `${path}?${text}` : path;
}

/** Ask once. -> {request, data, serverMs, roundMs, requestId}. Throws Refused, or AbortError where `signal` says so. */
export async function ask(request, signal) {
  const begun = performance.now();
  const method = request.method || (request.body === undefined ? "GET" : "POST");
  let answer;
  try {
    answer = await fetch(address(request), {
      method,
      signal,
      headers: authorised(request.body === undefined ? {} : { "Content-Type": "application/json" }),
      body: request.body === undefined ? undefined : JSON.stringify(request.body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The service does not answer. The last result stays; it is asked again with your next change.");
  }
  const roundMs = performance.now() - begun;
  const isJson = (answer.headers.get("content-type") || "").includes("json");
  let data;
  try {
    data = isJson ? await answer.json() : await answer.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The service's answer broke off. The last result stays; it is asked again with your next change.");
  }
  if (!answer.ok) {
    wanted(answer.status);
    const after = answer.headers.get("retry-after");
    throw new Refused((isJson && data.error) || `The service answered ${answer.status}.`, answer.status, after);
  }
  return { request, data, roundMs, serverMs: serverMs(answer.headers.get("server-timing")), requestId: answer.headers.get("x-request-id") };
}

/** The sum of the durations in a Server-Timing header, in milliseconds; null where there is none. */
export function serverMs(header) {
  const found = [...(header || "").matchAll(/dur=([\d.]+)/g)];
  return found.length ? found.reduce((sum, one) => sum + Number(one[1]), 0) : null;
}

/** Fetch once when a component appears. -> {data, problem}. */
export function useGet(path, query) {
  const [found, setFound] = useState({ data: null, problem: null });
  const key = address({ path, query });
  useEffect(() => {
    const control = new AbortController();
    ask({ path, query }, control.signal).then(
      ({ data }) => setFound({ data, problem: null }),
      (problem) => problem.name !== "AbortError" && setFound({ data: null, problem }),
    );
    return () => control.abort();
  }, [key]);
  return found;
}

/**
 * Ask for each of `versions` whenever `request` changes; null asks nothing and shows nothing.
 * -> [{version, request, data, problem, stale, serverMs, roundMs}]; `request` is the one that `data` answers. While a new answer
 * is awaited the old one stays, marked stale; an older question is given up, so that the later one wins. The first question is
 * asked at once, later ones after `waitMs`: 0
 * where the inputs come with a pace of their own.
 */
export function useAnswers(request, versions, waitMs = WAIT_MS) {
  const [answers, setAnswers] = useState({});
  const asked = useRef(false);
  const key = request && JSON.stringify([request, versions]);
  useEffect(() => {
    if (!request) {
      setAnswers({});
      return undefined;
    }
    const control = new AbortController();
    setAnswers((old) => Object.fromEntries(versions.map((one) => [one, { ...old[one], stale: true }])));
    const timer = setTimeout(() => {
      asked.current = true;
      for (const version of versions) {
        const put = (found) => !control.signal.aborted && setAnswers((old) => ({ ...old, [version]: found(old[version] || {}) }));
        ask({ ...request, query: { ...request.query, version } }, control.signal).then(
          (got) => put(() => ({ ...got, request, problem: null, stale: false })),
          (problem) => problem.name !== "AbortError" && put((old) => ({ ...old, problem, stale: Boolean(old.data) })),
        );
      }
    }, asked.current ? waitMs : 0);
    return () => {
      clearTimeout(timer);
      control.abort();
    };
  }, [key]);
  return versions.map((version) => ({ version, data: null, problem: null, stale: false, ...answers[version] }));
}

/** The page's state in its address: strings by name. -> [state, setState(changes)]; null takes a name away. */
export function useUrl() {
  const [state, set] = useState(Object.fromEntries(new URLSearchParams(location.search)));
  const change = (changes) =>
    set((old) => {
      const next = Object.fromEntries(Object.entries({ ...old, ...changes }).filter(([, value]) => value !== null && value !== ""));
      const text = new URLSearchParams(next).toString();
      history.replaceState(null, "", text ? `?${text}` : location.pathname);
      return next;
    });
  return [state, change];
}

// How to ask the same elsewhere

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
const python = (value, indent = "") => {
  const inner = `${indent}    `;
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) {
    const flat = value.every((one) => one === null || typeof one !== "object");
    return flat ? `[${value.map((one) => python(one)).join(", ")}]` : `[\n${value.map((one) => `${inner}${python(one, inner)},\n`).join("")}${indent}]`;
  }
  if (typeof value === "object") {
    return `{\n${Object.entries(value).map(([key, one]) => `${inner}${JSON.stringify(key)}: ${python(one, inner)},\n`).join("")}${indent}}`;
  }
  return JSON.stringify(value);
};

/** -> {curl, python, json}: the exact request as people would send it from a shell, from Python with httpx, and its body. */
export function snippets(request) {
  const url = location.origin + address(request);
  const bearer = key() ? ` -H "Authorization: Bearer $MODELYARD_KEY"` : "";
  const imports = key() ? "import os\n\nimport httpx\n" : "import httpx\n";
  const headers = key() ? `headers={"Authorization": f"Bearer {os.environ['MODELYARD_KEY']}"}` : "";
  if (request.body === undefined) {
    const got = `${JSON.stringify(url)}${headers && `, ${headers}`}`;
    return { curl: `curl ${quoted(url)}${bearer}`, python: `${imports}\nanswer = httpx.get(${got})\nprint(answer.json())`, json: "" };
  }
  const body = JSON.stringify(request.body);
  return {
    curl: `curl ${quoted(url)}${bearer} -H 'Content-Type: application/json' --data-binary @- <<'END'\n${body}\nEND`,
    python: `${imports}\nanswer = httpx.post(\n    ${JSON.stringify(url)},\n${headers && `    ${headers},\n`}    json=${python(request.body, "    ")},\n)\nprint(answer.json())`,
    json: JSON.stringify(request.body, null, 2),
  };
}
