// The frame around every page, and which module makes which address. Knows no model and no family.
import { html, render, useState, useEffect } from "/web/vendor/htm-3.1.1/standalone.module.js";
import { key, keepKey } from "/web/api.js";
import { Problem } from "/web/parts.js";

const PAGES = [
  [/^\/$/, () => import("/web/start.js")],
  [/^\/play\/([^/]+)$/, () => import("/web/play.js")],
  [/^\/status$/, () => import("/web/status.js")],
  [/^\/docs$/, () => import("/web/docs.js")],
];
const THEMES = { "": "system", light: "light", dark: "dark" };

function Theme() {
  const [theme, setTheme] = useState(document.documentElement.dataset.theme || "");
  const choose = (event) => {
    const chosen = event.target.value;
    if (chosen) localStorage.setItem("theme", chosen);
    else localStorage.removeItem("theme");
    if (chosen) document.documentElement.dataset.theme = chosen;
    else delete document.documentElement.dataset.theme;
    setTheme(chosen);
    dispatchEvent(new Event("themechange"));
  };
  return html`<label class="theme"><span class="unseen">Colours</span>
    <select value=${theme} onChange=${choose}>
      ${Object.entries(THEMES).map(([value, name]) => html`<option value=${value}>${name}</option>`)}
    </select></label>`;
}

/** Asks for the API key where the service wants one, and forgets it again. */
function Key() {
  const [asks, setAsks] = useState(false);
  const [text, setText] = useState("");
  useEffect(() => {
    const ask = () => setAsks(true);
    addEventListener("keywanted", ask);
    return () => removeEventListener("keywanted", ask);
  }, []);
  if (!asks) return key() ? html`<p class="wide key"><span class="note">Asking with an API key.</span> <button type="button" class="small" onClick=${() => keepKey("")}>Forget it</button></p>` : null;
  const send = (event) => {
    event.preventDefault();
    keepKey(text.trim());
  };
  return html`<form class="wide key" onSubmit=${send}>
    <label for="key">${key() ? "This API key is not taken. Another one" : "This service asks for an API key"}</label>
    <input type="password" id="key" autocomplete="off" spellcheck="false" placeholder="mk_…" required value=${text} onInput=${(event) => setText(event.target.value)} />
    <button class="main">Use it</button> <span class="note">This tab alone keeps it, until it is closed.</span>
  </form>`;
}

function Frame({ children }) {
  const here = (path) => (location.pathname === path ? "page" : undefined);
  return html`
    <a class="skip" href="#main">Skip to content</a>
    <header class="top"><div class="wide">
      <a class="brand" href="/"><img src="/web/icon.svg" alt="" width="26" height="26" />Modelyard</a>
      <nav aria-label="Pages">
        <a href="/" aria-current=${here("/")}>Models</a>
        <a href="/status" aria-current=${here("/status")}>Status</a>
        <a href="/docs" aria-current=${here("/docs")}>API</a>
      </nav>
      <${Theme} />
    </div></header>
    <${Key} />
    <main id="main" class="wide" tabindex="-1">${children}</main>`;
}

function App() {
  const [page, setPage] = useState(null);
  const [error, setError] = useState(null);
  useEffect(() => {
    const [pattern, load] = PAGES.find(([one]) => one.test(location.pathname)) || [];
    if (!load) {
      setError({ message: `There is no page at ${location.pathname}.` });
      return;
    }
    const parts = location.pathname.match(pattern).slice(1).map(decodeURIComponent);
    load().then(
      (found) => setPage({ Page: found.default, parts }),
      () => setError({ message: "A part of the page could not be loaded; is the service still running? Load the page again." }),
    );
  }, []);
  return html`<${Frame}>
    ${error && html`<h1>Nothing here</h1><${Problem} problem=${error} /><p><a href="/">All models</a></p>`}
    ${page && html`<${page.Page} parts=${page.parts} />`}
  </${Frame}>`;
}

render(html`<${App} />`, document.getElementById("app"));
