// A picture from the user's hand: drawn on a pad by mouse, touch, pen or keys, taken from a file, or chosen among samples.
// Knows strokes, canvases and PNGs; knows no model, asks nothing, and does not know what a picture shows.
import { html, useEffect, useMemo, useRef, useState } from "/web/vendor/htm-3.1.1/standalone.module.js";
import { Problem, Upload, bytes, colour, png, useColours } from "/web/parts.js";

export const SIDE = 280; // pixels of a drawing, as it is kept and as it is sent
const CELLS = 14; // of the keyboard's grid, along each side
const PEN = SIDE / 12;
const STEP = 3; // pixels from one point of a stroke to the next
const PACE_MS = 120; // from one look at an unfinished stroke to the next
const LONGEST = 3000; // characters of a drawing that an address holds
const LARGEST = 7_500_000; // bytes of a file: in base64 a request has a third more
const CLEAR = null;

// A drawing is a list of what was done, so that each can be undone: a stroke [[x, y], ...], a cell's number where it was inked or
// emptied by keyboard, CLEAR. In the address: strokes of four characters a point, cells of two.

const two = (number) => number.toString(36).padStart(2, "0");
const done = (items) => items.slice(items.lastIndexOf(CLEAR) + 1);

/** A drawing as text, "" where it is too long for an address. */
export function written(items) {
  const text = done(items)
    .map((one) => (Array.isArray(one) ? one.map(([x, y]) => two(x) + two(y)).join("") : two(one)))
    .join(".");
  return text.length <= LONGEST ? text : "";
}

/** Text as `written` makes it to a drawing; what is no such text is left out. */
export function read(text) {
  const good = (text || "").split(".").filter((one) => /^([0-9a-z]{2}|([0-9a-z]{4})+)$/.test(one));
  return good.map((one) => {
    const numbers = one.match(/../g).map((pair) => parseInt(pair, 36));
    if (numbers.length === 1) return Math.min(numbers[0], CELLS * CELLS - 1);
    return numbers.filter((_, index) => index % 2 === 0).map((x, index) => [Math.min(x, SIDE), Math.min(numbers[2 * index + 1], SIDE)]);
  });
}

/** The cells that were inked by keyboard. */
function inked(items) {
  const cells = new Set();
  for (const one of done(items)) if (!Array.isArray(one) && !cells.delete(one)) cells.add(one);
  return cells;
}

export const isEmpty = (items) => !done(items).some(Array.isArray) && !inked(items).size;

/** Draw `items` on a canvas of any size. */
function paint(canvas, items, ink, ground) {
  const context = canvas.getContext("2d", { alpha: false });
  const cell = SIDE / CELLS;
  context.setTransform(canvas.width / SIDE, 0, 0, canvas.height / SIDE, 0, 0);
  context.fillStyle = ground;
  context.fillRect(0, 0, SIDE, SIDE);
  Object.assign(context, { fillStyle: ink, strokeStyle: ink, lineWidth: PEN, lineCap: "round", lineJoin: "round" });
  for (const one of inked(items)) context.fillRect((one % CELLS) * cell, Math.floor(one / CELLS) * cell, cell, cell);
  for (const points of done(items).filter(Array.isArray)) {
    context.beginPath();
    context.moveTo(points[0][0] + 0.01, points[0][1]);
    for (const [x, y] of points) context.lineTo(x, y);
    context.stroke();
  }
}

/** A drawing as a canvas of SIDE pixels: black ink on white paper, whatever the page's colours. */
export function drawn(items) {
  const canvas = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
  paint(canvas, items, "#000", "#fff");
  return canvas;
}

const unprefixed = (url) => url.slice(url.indexOf(",") + 1);

/** Where the arrow keys lead from a cell. */
const MOVES = {
  ArrowLeft: (at) => (at % CELLS ? at - 1 : at),
  ArrowRight: (at) => ((at + 1) % CELLS ? at + 1 : at),
  ArrowUp: (at) => (at >= CELLS ? at - CELLS : at),
  ArrowDown: (at) => (at < CELLS * (CELLS - 1) ? at + CELLS : at),
  Home: (at) => at - (at % CELLS),
  End: (at) => at - (at % CELLS) + CELLS - 1,
};

/** The pad as cells that the keyboard inks; a pointer still draws on the pad behind them. */
function Grid({ items, onItems }) {
  const [at, setAt] = useState(2 * CELLS + 6);
  const grid = useRef(null);
  const cells = inked(items);
  const press = (event) => {
    const toggles = event.key === " " || event.key === "Enter";
    if (event.ctrlKey || event.altKey || event.metaKey || !(toggles || MOVES[event.key])) return;
    event.preventDefault();
    if (toggles) onItems([...items, at], true);
    else {
      const next = MOVES[event.key](at);
      setAt(next);
      grid.current.querySelector(`[data-cell="${next}"]`).focus();
      if (event.shiftKey && next !== at && !cells.has(next)) onItems([...items, next], true);
    }
  };
  const rows = [...Array(CELLS).keys()];
  return html`<div class="cells" role="grid" aria-label="Drawing by keyboard" aria-describedby="cells-help" ref=${grid} onKeyDown=${press}>
    ${rows.map((row) => html`<div role="row" key=${row}>${rows.map((column) => {
      const cell = row * CELLS + column;
      return html`<span role="gridcell" key=${column} data-cell=${cell} tabindex=${cell === at ? 0 : -1} aria-selected=${String(cells.has(cell))}
        aria-label=${`row ${row + 1}, column ${column + 1}, ${cells.has(cell) ? "inked" : "empty"}`} onFocus=${() => setAt(cell)}></span>`;
    })}</div>`)}
  </div>`;
}

/**
 * Handlers of a canvas that is drawn on. `onItems(items, finished)` hears of the end of each stroke and, while it goes on, at a
 * pace and never while `busy`.
 */
function usePen({ canvas, items, onItems, busy }) {
  const [stroke, setStroke] = useState(null); // {before, points}: what there was, and the stroke that goes on
  const told = useRef(0);
  const spot = (event) => {
    const box = canvas.current.getBoundingClientRect();
    const along = (from, size) => Math.min(SIDE, Math.max(0, Math.round((from / size) * SIDE)));
    return [along(event.clientX - box.left, box.width), along(event.clientY - box.top, box.height)];
  };
  const down = (event) => {
    if (!event.isPrimary || event.button !== 0) return;
    event.preventDefault(); // nothing is selected by drawing
    canvas.current.setPointerCapture(event.pointerId);
    told.current = performance.now();
    setStroke({ before: items, points: [spot(event)] });
  };
  const move = (event) => {
    if (!stroke || !event.isPrimary) return;
    for (const one of event.getCoalescedEvents?.() || [event]) {
      const [x, y] = spot(one);
      const [a, b] = stroke.points[stroke.points.length - 1];
      if (Math.hypot(x - a, y - b) >= STEP) stroke.points.push([x, y]);
    }
    const now = [...stroke.before, stroke.points.slice()];
    setStroke({ ...stroke });
    if (busy || performance.now() - told.current < PACE_MS) return;
    told.current = performance.now();
    onItems(now, false);
  };
  const up = (event) => {
    if (!stroke || !event.isPrimary) return;
    setStroke(null);
    onItems([...stroke.before, stroke.points], true);
  };
  return { now: stroke && [...stroke.before, stroke.points], on: { onPointerDown: down, onPointerMove: move, onPointerUp: up, onPointerCancel: up } };
}

/** The pad. `over` is a picture that lies on it until something is drawn; `onFile` takes one that is dropped on it. */
function Pad({ items, onItems, over, label, busy, keyboard, onFile }) {
  const canvas = useRef(null);
  const colours = useColours();
  const { now, on } = usePen({ canvas, items, onItems, busy });
  useEffect(() => paint(canvas.current, now || items, colour("--ink"), colour("--code")));
  const drop = (event) => {
    event.preventDefault();
    onFile(event.dataTransfer.files[0]);
  };
  return html`<div class="pad" data-colours=${colours} onDragOver=${(event) => event.preventDefault()} onDrop=${drop}>
    <canvas ref=${canvas} width=${2 * SIDE} height=${2 * SIDE} role="img" aria-label=${label} ...${on}></canvas>
    ${over && !now && html`<img class="picture" src=${over} alt="" />`}
    ${keyboard && html`<${Grid} items=${items} onItems=${onItems} />`}
  </div>`;
}

/** Whether a data: URL is a picture that the service takes. Throws an Error whose message is for people. */
async function check(url, name) {
  const known = /^data:image\/(png|jpeg);/.test(url);
  if (!known) throw new Error(`${name} is no PNG or JPEG.`);
  await pictureOf(url).catch(() => {
    throw new Error(`${name} cannot be opened: it is broken, or no PNG or JPEG.`);
  });
}

/** An <img> of a data: URL, ready to be drawn. */
export async function pictureOf(url) {
  const picture = new Image();
  picture.src = url;
  await picture.decode();
  return picture;
}

/**
 * Which picture is in use, and its state in the address: `sample` (a number) or `drawing`.
 * -> {kind: "sample" | "drawing" | "file", url (null: nothing is drawn), sent (as a body takes it), finished, sample, items,
 * choose(number), draw(items, finished), take(url, name), drop(file), problem}.
 */
export function usePicture({ samples, state, setState }) {
  const [source, setSource] = useState(() =>
    state.drawing
      ? { kind: "drawing", items: read(state.drawing), finished: true }
      : { kind: "sample", number: Math.min(samples.length - 1, Math.max(0, Math.trunc(Number(state.sample)) || 0)), finished: true },
  );
  const [problem, setProblem] = useState(null);
  const put = (next, changes) => {
    setProblem(null);
    setSource(next);
    if (changes) setState({ sample: null, drawing: null, ...changes });
  };
  const take = async (url, name) => {
    try {
      await check(url, name);
      put({ kind: "file", url, name, finished: true }, {});
    } catch (error) {
      setProblem({ message: error.message, status: 422 });
    }
  };
  const drop = (file) => {
    if (!file) return;
    if (file.size > LARGEST) {
      setProblem({ message: `${file.name} has ${bytes(file.size)}; at most ${bytes(LARGEST)} are taken.`, status: 413 });
      return;
    }
    const reader = new FileReader();
    reader.onload = () => take(reader.result, file.name);
    reader.readAsDataURL(file);
  };
  useEffect(() => {
    const paste = (event) => drop(event.clipboardData.files[0]);
    document.addEventListener("paste", paste);
    return () => document.removeEventListener("paste", paste);
  }, []);
  const items = source.kind === "drawing" ? source.items : [];
  const url = useMemo(() => {
    if (source.kind === "file") return source.url;
    if (source.kind === "drawing") return isEmpty(items) ? null : drawn(items).toDataURL("image/png");
    const sent = samples[source.number].body.images[0];
    return sent.startsWith("data:") ? sent : png(sent);
  }, [source]);
  return {
    ...source, url, items, problem, setProblem, take, drop,
    sent: url && (source.kind === "file" ? url : unprefixed(url)),
    sample: source.kind === "sample" ? samples[source.number] : null,
    choose: (number) => put({ kind: "sample", number, finished: true }, { sample: String(number) }),
    draw: (next, finished) => put({ kind: "drawing", items: next, finished }, finished ? { drawing: written(next) } : null),
  };
}

export const nameOf = (sample, number) =>
  [`Sample ${number + 1}`, sample.title, sample.truth !== null && `true label ${sample.truth}`].filter(Boolean).join(", ");

/** The samples as a strip of pictures with their true labels. */
export function Strip({ samples, chosen, onChoose, label }) {
  return html`<ul class="strip" aria-label=${label}>${samples.map((one, number) => html`<li key=${number}>
    <button type="button" aria-pressed=${String(number === chosen)} aria-label=${nameOf(one, number)} title=${one.title || undefined} onClick=${() => onChoose(number)}>
      <img class="picture" src=${png(one.body.images[0])} alt="" /><span>${one.truth ?? number + 1}</span></button></li>`)}</ul>`;
}

const Tools = ({ source, keyboard, setKeyboard }) => html`<div class="row tools">
    <button type="button" onClick=${() => source.kind === "drawing" && source.draw(source.items.slice(0, -1), true)}>Undo</button>
    <button type="button" onClick=${() => source.draw(isEmpty(source.items) ? [] : [...source.items, CLEAR], true)}>Clear</button>
    <label class="check"><input type="checkbox" checked=${keyboard} onChange=${(event) => setKeyboard(event.target.checked)} /> Draw by keyboard</label>
  </div>
  ${keyboard && html`<p class="note" id="cells-help">A grid of ${CELLS} by ${CELLS} cells. Arrow keys go from cell to cell, Space inks or empties one, Shift with an arrow inks the next.</p>`}`;

/**
 * Where a picture comes from: pad, file, samples. `source` is `usePicture`'s, `thing` what is drawn ("digit"). Where pictures are
 * no drawings, the pad waits behind a button. `told` is the answer in a word, where the window is too narrow to show it beside.
 */
export function Source({ source, samples, note, thing, drawable = true, busy = false, told = "" }) {
  const [asked, setAsked] = useState(false);
  const [keyboard, setKeyboard] = useState(false);
  const pad = drawable || asked || source.kind === "drawing";
  const shown = source.kind === "sample" ? nameOf(source.sample, source.number) : source.kind === "file" ? source.name || "Pasted picture" : "";
  const label = shown ? `Drawing pad, with this on it: ${shown}` : isEmpty(source.items) ? "Drawing pad, empty" : "Drawing pad, with your drawing";
  const problem = (found) => source.setProblem(found);
  return html`
    ${pad
      ? html`<${Pad} items=${source.items} onItems=${source.draw} over=${source.kind === "drawing" ? null : source.url} label=${label}
          busy=${busy} keyboard=${keyboard} onFile=${source.drop} />
        <p class="note under">${shown ? `${shown}. Draw over it to begin your own.` : `Draw one ${thing}, large.`}</p>
        ${told && html`<p class="verdict told" aria-hidden="true">${told}</p>`}
        <${Tools} source=${source} keyboard=${keyboard} setKeyboard=${setKeyboard} />`
      : html`<img class="picture whole" src=${source.url} alt=${shown} />
        <p class="note under">${shown}</p>
        <button type="button" onClick=${() => setAsked(true)}>Draw one</button>`}
    <div class="row tools">
      <${Upload} label="Open a picture" accept="image/png,image/jpeg" describedBy="source-problem" onProblem=${problem} onFile=${source.take} limit=${LARGEST} />
      <span class="note">PNG or JPEG; or drop or paste one.</span>
    </div>
    <${Problem} problem=${source.problem} id="source-problem" />
    <h3>Samples</h3>
    <${Strip} samples=${samples} chosen=${source.number} onChoose=${source.choose} label="Samples" />
    ${note && html`<p class="note">${note}</p>`}`;
}
