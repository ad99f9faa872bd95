// Lines and bands over time or steps. The one file that knows uPlot; knows no family, no metric and no model.
import { html, useEffect, useRef, useState } from "/web/vendor/htm-3.1.1/standalone.module.js";
import { colour, useColours } from "/web/parts.js";

const HOME = "/web/vendor/uplot-1.6.32";
let loading = null;

/** uPlot's script and style sheet, when the first plot asks for them. -> the constructor. */
function load() {
  loading ||= new Promise((done, failed) => {
    const sheet = Object.assign(document.createElement("link"), { rel: "stylesheet", href: `${HOME}/uPlot.min.css` });
    const script = Object.assign(document.createElement("script"), { src: `${HOME}/uPlot.iife.min.js` });
    script.onload = () => done(window.uPlot);
    script.onerror = () => {
      loading = null;
      failed(new Error("The plot could not be loaded; the numbers stand in the table."));
    };
    document.head.append(sheet, script);
  });
  return loading;
}

/** "--accent" -> its colour now; "--band / 0.2" -> of a variable that holds three numbers. */
function paint(named) {
  const [name, alpha] = named.split(" / ");
  return alpha ? `rgb(${colour(name)} / ${alpha})` : colour(name);
}

const axis = (more) => ({
  stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 },
  font: "12px system-ui, sans-serif", ...more,
});

// Of a step between ticks: the words of each tick, then what the first tick of a new year, month, day, hour and minute adds below it.
const DATES = [
  [31536000, "{YYYY}", null, null, null, null, null, null, 1],
  [2419200, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [86400, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [60, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
];

/** A vertical line at x = `mark()`, with its name. */
function marks(mark) {
  return (plot) => {
    const found = mark();
    if (!found) return;
    const x = Math.round(plot.valToPos(found.x, "x", true));
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = colour("--edge");
    ctx.fillStyle = colour("--quiet");
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.textAlign = "right";
    ctx.textBaseline = "top";
    ctx.fillText(found.name, x - 6 * devicePixelRatio, bbox.top + 4 * devicePixelRatio);
    ctx.restore();
  };
}

function options(uPlot, { series, bands, time, least, format }, width, height, live) {
  const compact = (value) => (value === null ? "" : format ? format(value) : value.toLocaleString("en", { maximumSignificantDigits: 4 }));
  const low = least === undefined ? {} : { range: (_, from, to) => (from === null ? [least, 1] : uPlot.rangeNum(least, Math.max(to, least + 1e-9), 0.1, true)) };
  return {
    width, height, legend: { show: false }, padding: [10, 12, 0, 0],
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1e3), time === "utc" ? "Etc/UTC" : undefined),
    scales: { x: { time: Boolean(time) }, y: low },
    axes: [axis({ space: 70, ...(time ? { values: DATES } : {}) }), axis({ size: 56, values: (_, ticks) => ticks.map(compact) })],
    series: [{}, ...series.map((one) => ({
      label: one.name, stroke: one.stroke ? paint(one.stroke) : "transparent", width: one.width ?? 2, dash: one.dash, points: { show: Boolean(one.points), size: 5 }, spanGaps: false,
    }))],
    bands: (bands || []).map(({ upper, lower, fill }) => ({ series: [upper + 1, lower + 1], fill: paint(fill) })),
    cursor: { y: false, drag: { x: false, y: false, setScale: false }, points: { size: 7 } },
    hooks: {
      draw: [marks(() => live.current.mark)],
      setCursor: [(plot) => {
        const { onMove, at } = live.current;
        if (onMove && plot.cursor.event && plot.cursor.idx !== null && plot.cursor.idx !== at) onMove(plot.cursor.idx);
      }],
    },
  };
}

/**
 * A plot: `data` [[x, ...], [y, ...], ...] (null: nothing there), `series` [{name, stroke: "--accent", dash, width, points}] without x,
 * `bands` [{upper, lower, fill: "--band / 0.2"}] between places of `series`. `label` states the result in words.
 * `time`: "utc" or "local" where x is seconds since 1970. `at`: where the crosshair stands, `onMove(place)`: it was moved by pointer.
 * `mark` {x, name}: a vertical line. `least`: the y axis begins there. `format(y)`: a tick's words.
 */
export function Plot({ label, height = 320, ...shown }) {
  const box = useRef(null);
  const plot = useRef(null);
  const live = useRef(shown);
  live.current = shown;
  const colours = useColours();
  const [uPlot, setUplot] = useState(null);
  const [problem, setProblem] = useState("");
  const { data, at, mark } = shown;
  useEffect(() => {
    load().then((found) => setUplot(() => found), (error) => setProblem(error.message));
  }, []);
  useEffect(() => {
    if (!uPlot) return undefined;
    const width = () => Math.max(40, box.current.clientWidth);
    plot.current = new uPlot(options(uPlot, live.current, width(), height, live), live.current.data, box.current);
    const watcher = new ResizeObserver(() => plot.current.width !== width() && plot.current.setSize({ width: width(), height }));
    watcher.observe(box.current);
    return () => {
      watcher.disconnect();
      plot.current.destroy();
      plot.current = null;
    };
  }, [uPlot, colours, height, JSON.stringify([shown.series, shown.bands, shown.time])]);
  useEffect(() => {
    if (plot.current && plot.current.data !== data) plot.current.setData(data);
  }, [data, mark && mark.x, mark && mark.name]);
  useEffect(() => {
    const one = plot.current;
    if (!one || at === undefined || at === null || at >= data[0].length) return;
    one.setCursor({ left: one.valToPos(data[0][at], "x"), top: one.over.clientHeight / 2 }, false);
  }, [at, data, uPlot, colours]);
  return html`<div class="plot" role="img" aria-label=${label} ref=${box} style=${`min-height:${height}px`}>${problem && html`<p class="note">${problem}</p>`}</div>`;
}

/** What each line of a plot is: the same strokes as SVG, with words. */
export function Legend({ series, bands = [] }) {
  return html`<ul class="legend">
    ${series.filter((one) => one.stroke).map((one) => html`<li key=${one.name}><svg width="28" height="12" aria-hidden="true"><line x1="0" y1="6" x2="28" y2="6" style=${`stroke:var(${one.stroke})`} stroke-width=${one.width ?? 2} stroke-dasharray=${(one.dash || []).join(" ")} /></svg>${one.name}</li>`)}
    ${bands.filter((one) => one.name).map((one) => html`<li key=${one.name}><svg width="28" height="12" aria-hidden="true"><rect width="28" height="12" style=${`fill:${css(one.fill)}`} /></svg>${one.name}</li>`)}
  </ul>`;
}

const css = (named) => {
  const [name, alpha] = named.split(" / ");
  return alpha ? `rgb(var(${name}) / ${alpha})` : `var(${name})`;
};
