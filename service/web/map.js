// A map of named points on a canvas: drag, wheel, pinch, buttons and keys move it; labels are as many as there is room for.
// Knows names and places; knows nothing of what they stand for, and asks for nothing.
import { html, useEffect, useMemo, useRef, useState } from "/web/vendor/htm-3.1.1/standalone.module.js";
import { colour, useColours } from "/web/parts.js";

const FURTHEST = 1;
const NEAREST = 40;
const STEP = 1.6; // one press of + or −
const CLOSE = 2.5; // how near a name that was sought is shown
const CLOSEST = 16;
const SPREAD = 0.7; // of half the map: how far from the middle most of the names to fit are brought
const MOSTLY = 0.75;
const EDGE = 24; // pixels around the points
const REACH = 18; // pixels from a point within which it is meant
const CLICK = 5; // pixels that a click may move
const FONT = "system-ui, sans-serif";
const HOME = { scale: 1, x: 0, y: 0 }; // x and y: what stands in the middle

const within = (value, least, most) => Math.min(most, Math.max(least, value));
const bounded = ({ scale, x, y }) => {
  const s = within(scale, FURTHEST, NEAREST);
  const room = 1 - 0.5 / s;
  return { scale: s, x: within(x, -room, room), y: within(y, -room, room) };
};

/** Places scaled to -1..1 about their middle, in the order of the names. */
export function scaled({ x, y }) {
  const spread = (values) => [Math.min(...values), Math.max(...values)];
  const [[left, right], [low, high]] = [spread(x), spread(y)];
  const half = Math.max(right - left, high - low, 1e-9) / 2;
  return { x: x.map((value) => (value - (left + right) / 2) / half), y: y.map((value) => (value - (low + high) / 2) / half) };
}

/** Pixels of a place, and of how a place is found from pixels, for a view of width x height pixels. */
export function projection(view, width, height) {
  const unit = (Math.min(width, height) / 2 - EDGE) * view.scale;
  return {
    unit,
    pixel: (x, y) => [width / 2 + (x - view.x) * unit, height / 2 - (y - view.y) * unit],
    place: (px, py) => [(px - width / 2) / unit + view.x, (height / 2 - py) / unit + view.y],
  };
}

/** The same view, `factor` times as near; what stands at the pixel px, py stays there. */
export function zoomed(view, factor, width, height, px = width / 2, py = height / 2) {
  const scale = within(view.scale * factor, FURTHEST, NEAREST);
  const [x, y] = projection(view, width, height).place(px, py);
  const unit = projection({ ...view, scale }, width, height).unit;
  return bounded({ scale, x: x - (px - width / 2) / unit, y: y + (py - height / 2) / unit });
}

/** The point nearest to a pixel, if there is one within reach; `towards` [dx, dy] looks only that way, however far. */
export function nearest(points, project, px, py, towards = null, but = -1) {
  let [best, least] = [-1, towards ? Infinity : REACH ** 2];
  for (let index = 0; index < points.x.length; index += 1) {
    const [x, y] = project(points.x[index], points.y[index]);
    const [dx, dy] = [x - px, y - py];
    const along = towards ? dx * towards[0] + dy * towards[1] : 0;
    const across = towards ? dx * towards[1] - dy * towards[0] : 0;
    const far = towards ? along ** 2 + 4 * across ** 2 : dx ** 2 + dy ** 2;
    if (index !== but && (!towards || along > 0) && far < least) [best, least] = [index, far];
  }
  return best;
}

/** How near the map must be for most of the names to `fit` about `name` to be on it. */
export function fitting(points, names, name, fit) {
  const middle = names.indexOf(name);
  const far = fit.map((one) => names.indexOf(one)).filter((index) => index >= 0 && index !== middle)
    .map((index) => Math.hypot(points.x[index] - points.x[middle], points.y[index] - points.y[middle])).sort((one, other) => one - other);
  return far.length ? within(SPREAD / Math.max(1e-9, far[Math.floor(far.length * MOSTLY)]), FURTHEST, CLOSEST) : CLOSE;
}

// Drawing

/** Whether a box on the screen is still free; if so it is taken. Boxes are kept in cells, so that few are compared. */
function claims(cell = 64) {
  const taken = new Map();
  return (left, top, right, bottom, always = false) => {
    const cells = [];
    for (let column = Math.floor(left / cell); column <= Math.floor(right / cell); column += 1) {
      for (let row = Math.floor(top / cell); row <= Math.floor(bottom / cell); row += 1) cells.push(`${column},${row}`);
    }
    const clash = cells.some((key) => (taken.get(key) || []).some(([l, t, r, b]) => left < r && right > l && top < b && bottom > t));
    if (clash && !always) return false;
    for (const key of cells) taken.set(key, [...(taken.get(key) || []), [left, top, right, bottom]]);
    return true;
  };
}

const STYLES = {
  chosen: { radius: 7, ring: true, paint: "--accent", bold: true },
  found: { radius: 5, ring: true, paint: "--against", bold: false },
  marked: { radius: 5, ring: false, paint: "--against", bold: true },
  plain: { radius: 2, ring: false, paint: "--edge", bold: false },
};

function dot(pen, style, x, y, paints) {
  pen.beginPath();
  pen.arc(x, y, style.radius, 0, 2 * Math.PI);
  pen.fillStyle = paints[style.paint];
  pen.fill();
  if (!style.ring) return;
  pen.beginPath();
  pen.arc(x, y, style.radius + 3, 0, 2 * Math.PI);
  pen.strokeStyle = paints[style.paint];
  pen.lineWidth = 2;
  pen.stroke();
}

/** Where a label may stand: right of its point, left, below, above. */
function spots(x, y, gap, wide, width) {
  const middle = within(x - wide / 2, 2, Math.max(2, width - wide - 2));
  return [[x + gap, y], [x - gap - wide, y], [middle, y + gap + 8], [middle, y - gap - 8]].filter(([left]) => left >= 2 && left + wide <= width - 2);
}

function label(pen, text, style, x, y, width, paints, free, always) {
  pen.font = `${style.bold ? "700 14px" : "12px"} ${FONT}`;
  const wide = pen.measureText(text).width;
  const all = spots(x, y, style.radius + (style.ring ? 6 : 4), wide, width);
  const some = style === STYLES.plain ? all.slice(0, 1) : all;
  const spot = some.find(([left, top]) => free(left - 2, top - 9, left + wide + 2, top + 9)) || (always && all[0]);
  if (!spot) return;
  pen.lineWidth = 3;
  pen.strokeStyle = paints["--ground"];
  pen.strokeText(text, ...spot);
  pen.fillStyle = style === STYLES.plain ? paints["--quiet"] : paints["--ink"];
  pen.fillText(text, ...spot);
}

/** Draw all points, then labels: those that are marked first, then in the points' own order while there is room. */
function draw(canvas, points, names, view, kinds, pointed) {
  const { width, height } = canvas.getBoundingClientRect();
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.textBaseline = "middle";
  pen.lineJoin = "round";
  const paints = Object.fromEntries(["--ground", "--ink", "--quiet", "--edge", "--accent", "--against"].map((name) => [name, colour(name)]));
  const { pixel } = projection(view, width, height);
  const rank = { plain: 0, marked: 1, found: 2, chosen: 3 };
  const seen = names
    .map((name, index) => ({ name, index, at: pixel(points.x[index], points.y[index]), kind: kinds.get(name) || "plain" }))
    .filter(({ at: [x, y] }) => x > -20 && y > -20 && x < width + 20 && y < height + 20)
    .sort((one, other) => rank[one.kind] - rank[other.kind] || one.index - other.index);
  for (const one of seen) dot(pen, STYLES[one.kind], ...one.at, paints);
  const free = claims();
  const under = seen.find((one) => one.index === pointed);
  if (under) {
    if (under.kind === "plain") dot(pen, { ...STYLES.marked, paint: "--ink" }, ...under.at, paints);
    label(pen, under.name, { ...STYLES.marked, ring: true }, ...under.at, width, paints, free, true);
  }
  const strong = seen.filter((one) => one.kind !== "plain" && one !== under).reverse();
  for (const { at: [x, y] } of strong) free(x - 7, y - 7, x + 7, y + 7, true); // no label covers them
  for (const one of strong) label(pen, one.name, STYLES[one.kind], ...one.at, width, paints, free, one.kind === "chosen");
  for (const one of seen) if (one.kind === "plain" && one !== under) label(pen, one.name, STYLES.plain, ...one.at, width, paints, free, false);
}

// Moving

/** Pointers: one drags, two pinch, one that hardly moved is a click. Listens on the canvas itself, so that the wheel can be taken. */
function usePointers(canvas, { view, setView, onPoint, onClick }) {
  const now = useRef({});
  now.current = { view, setView, onPoint, onClick };
  useEffect(() => {
    const element = canvas.current;
    const down = new Map();
    let moved = 0;
    const local = (event) => {
      const box = element.getBoundingClientRect();
      return { px: event.clientX - box.left, py: event.clientY - box.top, width: box.width, height: box.height };
    };
    const apart = () => {
      const [one, other] = [...down.values()];
      return Math.hypot(one.px - other.px, one.py - other.py);
    };
    const wheel = (event) => {
      const factor = Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002));
      const { px, py, width, height } = local(event);
      if (factor < 1 && now.current.view.scale <= FURTHEST) return; // the page scrolls on
      event.preventDefault();
      now.current.setView((old) => zoomed(old, factor, width, height, px, py));
    };
    const press = (event) => {
      element.setPointerCapture(event.pointerId);
      down.set(event.pointerId, local(event));
      moved = down.size > 1 ? CLICK + 1 : 0;
    };
    const move = (event) => {
      const at = local(event);
      const before = down.get(event.pointerId);
      if (!before) {
        now.current.onPoint(at);
        return;
      }
      const wide = down.size === 2 && apart();
      down.set(event.pointerId, at);
      moved += Math.hypot(at.px - before.px, at.py - before.py);
      if (down.size === 2) {
        const middle = [...down.values()].reduce((sum, one) => [sum[0] + one.px / 2, sum[1] + one.py / 2], [0, 0]);
        now.current.setView((old) => zoomed(old, apart() / Math.max(1, wide), at.width, at.height, ...middle));
      } else if (moved > CLICK) {
        now.current.setView((old) => {
          const { unit } = projection(old, at.width, at.height);
          return bounded({ ...old, x: old.x - (at.px - before.px) / unit, y: old.y + (at.py - before.py) / unit });
        });
      }
    };
    const lift = (event) => {
      const held = down.delete(event.pointerId);
      if (held && event.type === "pointerup" && moved <= CLICK && !down.size) now.current.onClick(local(event));
    };
    const leave = () => !down.size && now.current.onPoint(null);
    const listened = { pointerdown: press, pointermove: move, pointerup: lift, pointercancel: lift, pointerleave: leave, wheel };
    for (const [name, listener] of Object.entries(listened)) element.addEventListener(name, listener, { passive: false });
    return () => {
      for (const [name, listener] of Object.entries(listened)) element.removeEventListener(name, listener);
    };
  }, []);
}

/** A number that changes whenever the element's size does. */
function useSize(element) {
  const [count, setCount] = useState(0);
  useEffect(() => {
    const watch = new ResizeObserver(() => setCount((old) => old + 1));
    watch.observe(element.current);
    return () => watch.disconnect();
  }, []);
  return count;
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * {names, x, y}: the points. `marked`: Map of name -> "chosen" | "marked" | "found". `centre`: {name, fit, key}: the name to
 * bring to the middle whenever the key changes, and names to be shown about it. onChoose(name). `noun`: what the points
 * are, in the plural; `says`: what is marked, in a sentence.
 */
export function PointMap({ names, x, y, marked, centre, onChoose, noun, says }) {
  const canvas = useRef(null);
  const [view, setView] = useState(HOME);
  const [pointed, setPointed] = useState(-1);
  const points = useMemo(() => scaled({ x, y }), [x, y]);
  const [colours, size] = [useColours(), useSize(canvas)];
  const at = (place = view) => {
    const { width, height } = canvas.current.getBoundingClientRect();
    return { ...projection(place, width, height), width, height };
  };
  const goTo = (index, scale = null) => index >= 0 && setView((old) => bounded({ scale: scale ?? old.scale, x: points.x[index], y: points.y[index] }));
  const pick = (spot) => (spot ? nearest(points, at().pixel, spot.px, spot.py) : -1);
  const choose = (index) => {
    if (index < 0) return;
    goTo(index);
    onChoose(names[index]);
  };
  usePointers(canvas, { view, setView, onPoint: (spot) => setPointed(pick(spot)), onClick: (spot) => choose(pick(spot)) });
  useEffect(() => draw(canvas.current, points, names, view, marked, pointed), [points, view, marked, pointed, colours, size]);
  useEffect(() => {
    if (centre.name !== null) goTo(names.indexOf(centre.name), fitting(points, names, centre.name, centre.fit));
  }, [centre.key]);
  const zoom = (factor) => setView((old) => zoomed(old, factor, at(old).width, at(old).height));
  const walk = (towards) => {
    const { pixel, width, height } = at();
    const from = pointed >= 0 ? pixel(points.x[pointed], points.y[pointed]) : [width / 2, height / 2];
    const next = pointed < 0 ? nearest(points, pixel, ...from, towards) : nearest(points, pixel, ...from, towards, pointed);
    if (next < 0) return;
    setPointed(next);
    const [px, py] = pixel(points.x[next], points.y[next]);
    if (px < EDGE || py < EDGE || px > width - EDGE || py > height - EDGE) goTo(next);
  };
  const keys = { "+": () => zoom(STEP), "=": () => zoom(STEP), "-": () => zoom(1 / STEP), 0: () => setView(HOME), Enter: () => choose(pointed), " ": () => choose(pointed), Escape: () => setPointed(-1) };
  const pressed = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in ARROWS || event.key in keys)) return;
    event.preventDefault();
    if (event.key in ARROWS) walk(ARROWS[event.key]);
    else keys[event.key]();
  };
  const count = names.length.toLocaleString("en");
  return html`<div class="map" role="application" tabindex="0" aria-label=${`Map of ${count} ${noun}. Arrow keys go from one to the next, Enter chooses one, plus and minus zoom, 0 shows all.`} onKeyDown=${pressed} onBlur=${() => setPointed(-1)}>
      <canvas ref=${canvas} role="img" aria-label=${says} style=${`touch-action:${view.scale > 1 ? "none" : "pan-y"}`} data-scale=${view.scale.toFixed(2)} data-x=${view.x.toFixed(3)} data-y=${view.y.toFixed(3)}></canvas></div>
    <div class="row"><button type="button" class="small" aria-label="Zoom in" onClick=${() => zoom(STEP)}>+</button>
      <button type="button" class="small" aria-label="Zoom out" onClick=${() => zoom(1 / STEP)}>−</button>
      <button type="button" class="small" onClick=${() => setView(HOME)}>Show all</button>
      <span class="note pointed" role="status">${pointed >= 0 ? names[pointed] : " "}</span></div>`;
}
