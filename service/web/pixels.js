// Pixels in the browser: a picture brought to a model's size, noise from a seed, how far one picture is from another.
// Knows canvases; knows no model's name, no API and no family. Pixels are an ImageData, gray where a model takes one channel.
import { pictureOf } from "/web/pad.js";

const BOX = 20 / 28; // of the frame: what MNIST's makers scaled a digit's longer side to
const SEARCHED = 280; // pixels of the side at which a digit is looked for
const INK = 0.3; // of the strongest ink: from here on a pixel belongs to the digit

function canvasOf(width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  return { canvas, context };
}

/** Brightness, 0 to 255, pixel by pixel. */
const gray = ({ data }) => Float64Array.from({ length: data.length / 4 }, (_, at) => 0.299 * data[4 * at] + 0.587 * data[4 * at + 1] + 0.114 * data[4 * at + 2]);

function grayed(values, width, height) {
  const pixels = new ImageData(width, height);
  values.forEach((value, at) => pixels.data.set([value, value, value, 255], 4 * at));
  return pixels;
}

/** The brightness of most of the edge. */
function ground(values, width, height) {
  const edge = values.filter((_, at) => at < width || at >= width * (height - 1) || at % width === 0 || at % width === width - 1);
  return edge.sort()[edge.length >> 1];
}

function fill(picture, width, height) {
  const { canvas, context } = canvasOf(width, height);
  context.fillStyle = "#fff"; // what is transparent lies on white paper
  context.fillRect(0, 0, width, height);
  context.drawImage(picture, 0, 0, width, height);
  return { canvas, pixels: context.getImageData(0, 0, width, height) };
}

/** Ink as a white digit on black in a frame of `width` x `height`, by its box and its centre of mass, as MNIST was made. */
function framed(ink, across, width, height) {
  const strongest = Math.max(...ink);
  const spots = [...ink.keys()].filter((at) => strongest > 0 && ink[at] >= INK * strongest);
  if (!spots.length) return grayed(new Float64Array(width * height), width, height);
  const xs = spots.map((at) => at % across);
  const ys = spots.map((at) => Math.floor(at / across));
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  const [wide, high] = [Math.max(...xs) - left + 1, Math.max(...ys) - top + 1];
  const whole = canvasOf(across, ink.length / across);
  whole.context.putImageData(grayed(ink.map((one) => (255 * one) / strongest), across, ink.length / across), 0, 0);
  const scale = (Math.min(width, height) * BOX) / Math.max(wide, high);
  const [w, h] = [Math.max(1, Math.round(wide * scale)), Math.max(1, Math.round(high * scale))];
  const small = canvasOf(w, h);
  small.context.drawImage(whole.canvas, left, top, wide, high, 0, 0, w, h);
  const values = gray(small.context.getImageData(0, 0, w, h));
  const mass = values.reduce((sum, value) => sum + value, 0);
  const middle = (place) => values.reduce((sum, value, at) => sum + value * (place(at) + 0.5), 0) / mass;
  const put = (side, size, centre) => Math.min(side - size, Math.max(0, Math.round(side / 2 - centre)));
  const frame = canvasOf(width, height);
  frame.context.drawImage(small.canvas, put(width, w, middle((at) => at % w)), put(height, h, middle((at) => Math.floor(at / w))));
  return frame.context.getImageData(0, 0, width, height);
}

/** The picture at `url` in the size and the colours that a model's `preparation` names; of a digit white on black. */
export async function prepared(url, { mode, width, height, channels }) {
  const picture = await pictureOf(url);
  const ready = picture.naturalWidth === width && picture.naturalHeight === height;
  const scale = ready || mode !== "digit" ? 0 : Math.min(1, SEARCHED / Math.max(picture.naturalWidth, picture.naturalHeight));
  const size = scale ? [picture.naturalWidth, picture.naturalHeight].map((one) => Math.max(1, Math.round(one * scale))) : [width, height];
  const { pixels } = fill(picture, ...size);
  if (mode !== "digit") return channels === 1 ? grayed(gray(pixels), width, height) : pixels;
  const values = gray(pixels);
  const tone = ground(values, ...size);
  if (ready) return grayed(tone > 127 ? values.map((one) => 255 - one) : values, width, height);
  const dark = values.reduce((sum, one) => sum + (one - tone) ** 3, 0) < 0;
  return framed(values.map((one) => Math.max(0, dark ? tone - one : one - tone)), size[0], width, height);
}

/** Pixels as a PNG's data: URL. */
export function urlOf(pixels) {
  const { canvas, context } = canvasOf(pixels.width, pixels.height);
  context.putImageData(pixels, 0, 0);
  return canvas.toDataURL("image/png");
}

/** Pixels of the picture at `url` as it is. */
export async function pixelsOf(url) {
  const picture = await pictureOf(url);
  return fill(picture, picture.naturalWidth, picture.naturalHeight).pixels;
}

/** Numbers from 0 to 1 from a seed, the same in every browser (mulberry32, by Tommy Ettinger, public domain). */
function uniform(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Pixels with Gaussian noise of `level` (standard deviation, of the range), cut off at black and at white, as in training. */
export function noised(pixels, level, seed, channels) {
  const next = uniform(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  const made = new ImageData(pixels.width, pixels.height);
  for (let at = 0; at < pixels.data.length; at += 4) {
    const noise = channels === 1 ? Array(3).fill(normal()) : [normal(), normal(), normal()];
    made.data.set([...noise.map((one, index) => pixels.data[at + index] + 255 * level * one), 255], at);
  }
  return made;
}

/** How near one picture is to another, in decibels: Infinity where they are the same. */
export function psnr(one, other) {
  let squares = 0;
  one.data.forEach((value, at) => {
    squares += at % 4 === 3 ? 0 : (value - other.data[at]) ** 2;
  });
  const mean = squares / ((one.data.length * 3) / 4);
  return 10 * Math.log10(255 ** 2 / mean);
}
