// A field for a word with a list of words to choose from: by mouse, by touch, by arrow keys, Enter and Escape.
// Knows how a list of suggestions is asked for only by the function it is given; knows no model.
import { html, useEffect, useRef, useState } from "/web/vendor/htm-3.1.1/standalone.module.js";
import { ask } from "/web/api.js";
import { Problem } from "/web/parts.js";

const WAIT_MS = 100;

/** The suggestions for what is typed while the list is wanted: {data, text}; `request(text)` says how to ask for them. */
function useSuggestions(request, text, wanted) {
  const [found, setFound] = useState({ data: { words: [] }, text: null });
  useEffect(() => {
    if (!wanted) return undefined;
    const control = new AbortController();
    const timer = setTimeout(() => {
      ask(request(text), control.signal).then(
        ({ data }) => setFound({ data, text }),
        () => setFound({ data: { words: [] }, text }), // the field works without a list
      );
    }, WAIT_MS);
    return () => {
      clearTimeout(timer);
      control.abort();
    };
  }, [text, wanted]);
  return found;
}

function List({ id, words, active, onChoose }) {
  return html`<ul class="listbox" role="listbox" id=${id} aria-label="Words">
    ${words.map(({ word, count }, index) => html`<li role="option" id=${`${id}-${index}`} key=${word} aria-selected=${String(index === active)} onClick=${() => onChoose(word)}>
      <span>${word}</span><span class="number">${count.toLocaleString("en")}<span class="unseen"> times in training</span></span></li>`)}
  </ul>`;
}

/** Spellings that a model knows, to be taken by a click. */
function Near({ words, onChoose }) {
  if (!words.length) return null;
  return html`<div class="row near" role="group" aria-label="Near spellings"><span>Spelt like it:</span>
    ${words.map((word) => html`<button type="button" class="small" onClick=${() => onChoose(word)}>${word}</button>`)}</div>`;
}

/**
 * `value` is the word that holds; onChoose(word) gets another: what is chosen, what stands there on Enter or when the field is
 * left, and at once what is typed where it is a word of the list. `unknown`: {error, near} where the word has no vector.
 */
export function Combobox({ id, label, value, onChoose, request, unknown }) {
  const [text, setText] = useState(value);
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const box = useRef(null);
  const found = useSuggestions(request, text, open);
  const words = open ? found.data.words : [];
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    setActive(-1);
    const exact = found.text === text && found.data.words.find(({ word }) => word === text || word === text.toLowerCase());
    if (open && exact && text !== value) onChoose(text);
  }, [found]);
  useEffect(() => {
    if (active >= 0) document.getElementById(`${id}-list-${active}`)?.scrollIntoView({ block: "nearest" });
  }, [active]);
  const take = (word) => {
    setOpen(false);
    setText(word);
    if (word !== value) onChoose(word);
  };
  const keys = {
    ArrowDown: () => (open ? setActive(Math.min(words.length - 1, active + 1)) : setOpen(true)),
    ArrowUp: () => setActive(Math.max(-1, active - 1)),
    Enter: () => take(active >= 0 ? words[active].word : text.trim()),
    Escape: () => (open ? setOpen(false) : setText(value)),
  };
  const pressed = (event) => {
    if (!(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  };
  const typed = (event) => {
    setText(event.target.value);
    setOpen(true);
  };
  const problem = text.trim() ? text.trim() === value && unknown && { message: unknown.error } : !open && { message: "Write a word." };
  return html`<div class="combobox">
    <label for=${id}>${label}</label>
    <div class="field"><input type="text" id=${id} ref=${box} role="combobox" aria-autocomplete="list" aria-expanded=${String(words.length > 0)} aria-controls=${`${id}-list`}
      aria-activedescendant=${active >= 0 && words.length ? `${id}-list-${active}` : undefined} autocomplete="off" autocapitalize="off" spellcheck="false" maxlength="200"
      aria-describedby=${`${id}-problem`} aria-invalid=${String(Boolean(problem))} value=${text} onInput=${typed} onKeyDown=${pressed} onClick=${() => setOpen(true)}
      onBlur=${() => { if (open) take(text.trim()); }} />
    ${words.length > 0 && html`<div class="list" onMouseDown=${(event) => event.preventDefault()}><${List} id=${`${id}-list`} words=${words} active=${active} onChoose=${(word) => { take(word); box.current.focus(); }} />
      <p class="note">${found.data.matching > words.length ? `${words.length} of ${found.data.matching.toLocaleString("en")} words, the commonest` : `${words.length} ${words.length === 1 ? "word" : "words"}`}</p></div>`}</div>
    <${Problem} id=${`${id}-problem`} problem=${problem} />
    ${problem && unknown && !open && html`<${Near} words=${unknown.near} onChoose=${take} />`}
  </div>`;
}
