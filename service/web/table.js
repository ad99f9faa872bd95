// Text with separators to columns of numbers and dates, with sentences about what is wrong. Knows no model and no page.
import { iso, seconds } from "/web/series.js";

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const DATE_NAME = /^(date|time|timestamp|datetime|ds|day|month|year)$/i;
const LONGEST = 200_000;

/** The number a cell holds; NaN where it holds none. With ; or tab between cells a comma may be the decimal sign. */
function number(cell, decimal) {
  const plain = decimal ? cell.replace(",", ".") : cell;
  return NUMBER.test(plain) ? Number(plain) : NaN;
}

const separators = (line) => ["\t", ";", ","].find((one) => line.includes(one)) || (/\S\s+\S/.test(line) && line.trim().split(/\s+/).every((one) => NUMBER.test(one)) ? " " : ",");

/** One line's cells; quotes hold separators. */
function cells(line, separator) {
  if (separator === " ") return line.trim().split(/\s+/);
  const found = [];
  let cell = "";
  let quoted = false;
  for (const sign of line) {
    if (sign === '"') quoted = !quoted;
    else if (sign === separator && !quoted) {
      found.push(cell.trim());
      cell = "";
    } else cell += sign;
  }
  return [...found, cell.trim()];
}

const isDate = (cell) => Number.isFinite(seconds(cell));

/** The column of dates: one so named or one of nothing but dates; -1 where there is none. */
function dateColumn(names, rows) {
  return names.findIndex((name, place) => {
    const column = rows.map((row) => row[place] || "");
    if (column.every(isDate)) return true;
    return DATE_NAME.test(name) && column.every((cell) => /^[12]\d{3}$/.test(cell)); // years
  });
}

/** The time between dates as the API writes it, and where that is not the same all through, a sentence. */
function steps(dates, firstRow) {
  const times = dates.map((one) => seconds(/^\d{4}$/.test(one) ? `${one}-01-01` : one));
  const gaps = times.slice(1).map((one, place) => one - times[place]);
  const months = dates.map((_, place) => new Date(times[place] * 1000)).map((day) => day.getUTCFullYear() * 12 + day.getUTCMonth());
  const monthly = months.length > 1 ? months[1] - months[0] : 0;
  if (gaps.length && gaps[0] > 0 && gaps.every((one) => one === gaps[0])) return { start: iso(times[0]), frequency: written(gaps[0]) };
  const days = new Set(times.map((one) => new Date(one * 1000).getUTCDate()));
  if (monthly > 0 && days.size === 1 && months.every((one, place) => one === months[0] + place * monthly)) {
    return { start: iso(times[0]), frequency: monthly % 12 ? `${monthly}mo` : `${monthly / 12}y` };
  }
  const odd = gaps.findIndex((one) => one !== gaps[0]);
  return { note: gaps.length ? `The dates are not the same time apart (row ${firstRow + Math.max(odd, 0) + 1}), so steps are counted instead.` : "" };
}

function written(gap) {
  for (const [unit, size] of [["w", 604800], ["d", 86400], ["h", 3600], ["min", 60]]) if (gap % size === 0) return `${gap / size}${unit}`;
  return `${gap}s`;
}

/**
 * -> {columns: [{name, values, fault}], rows, start, frequency, note}; fault: a sentence where a cell is no number.
 * Throws an Error with a sentence where there is nothing to read.
 */
export function readTable(text) {
  const lines = text.replace(/^\ufeff/, "").split(/\r?\n/);
  while (lines.length && !lines[lines.length - 1].trim()) lines.pop();
  const before = lines.findIndex((line) => line.trim());
  if (before < 0) throw new Error("There is nothing here yet. Paste at least one column of numbers, oldest first.");
  if (lines.length > LONGEST) throw new Error(`There are ${lines.length.toLocaleString("en")} rows; at most ${LONGEST.toLocaleString("en")} are read here.`);
  const separator = separators(lines[before]);
  const decimal = separator === ";" || separator === "\t";
  let rows = lines.slice(before).map((line) => cells(line, separator));
  if (rows.length === 1 && rows[0].length > 1 && rows[0].every((cell) => !cell || !Number.isNaN(number(cell, decimal)))) rows = rows[0].filter(Boolean).map((cell) => [cell]); // one line of numbers
  const headed = rows[0].every((cell) => Number.isNaN(number(cell, decimal)) && !isDate(cell)) && rows[0].some(Boolean);
  const names = headed ? rows[0] : rows[0].map((_, place) => (rows[0].length === 1 ? "value" : `column ${place + 1}`));
  const body = headed ? rows.slice(1) : rows;
  if (!body.length) throw new Error(`There are names (${names.join(", ").slice(0, 80)}) but no numbers under them.`);
  const first = before + 1 + Number(headed); // counted as an editor does
  const dates = dateColumn(names, body);
  const columns = names.flatMap((name, place) => (place === dates ? [] : [column(name || `column ${place + 1}`, place, body, first, decimal)]));
  if (!columns.length) throw new Error("There is a column of dates, but none of numbers.");
  return { columns, named: headed, rows: body.length, note: "", ...(dates < 0 ? {} : steps(body.map((row) => row[dates]), first)) };
}

function column(name, place, body, first, decimal) {
  const values = body.map((row) => number(row[place] ?? "", decimal));
  const bad = values.findIndex(Number.isNaN);
  if (bad < 0) return { name, values, fault: "" };
  const cell = body[bad][place] ?? "";
  const what = cell ? `'${cell.slice(0, 40)}' is not a number` : "there is no number";
  return { name, values, fault: `${what[0].toUpperCase()}${what.slice(1)} in row ${first + bad}${body[0].length > 1 ? `, column '${name}'` : ""}.` };
}
