// Reads Prometheus' text format: counters, gauges and histograms as numbers. Pure: knows no page, no address and no metric's name.

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** Text -> {name: [{labels, value}]}; comments and lines that are none are passed over. */
export function parse(text) {
  const found = {};
  for (const line of text.split("\n")) {
    const parts = !line.startsWith("#") && line.match(LINE);
    if (!parts) continue;
    const labels = Object.fromEntries([...(parts[2] || "").matchAll(LABEL)].map(([, key, value]) => [key, value.replace(/\\(.)/g, "$1")]));
    (found[parts[1]] ||= []).push({ labels, value: Number(parts[3]) });
  }
  return found;
}

const fits = (labels, where) => Object.entries(where).every(([key, value]) => (typeof value === "function" ? value(labels[key]) : labels[key] === value));

/** The sum of what fits: `where` has values, or functions of a value, by label. */
export const sum = (metrics, name, where = {}) => (metrics[name] || []).reduce((all, one) => (fits(one.labels, where) ? all + one.value : all), 0);

/** The values that a label has. */
export const values = (metrics, name, label) => [...new Set((metrics[name] || []).map((one) => one.labels[label]))].sort();

/** What was counted between two readings; all of it where there is no earlier one, or the process began anew. */
export function since(later, earlier, name, where = {}) {
  const now = sum(later, name, where);
  const before = earlier ? sum(earlier, name, where) : 0;
  return now >= before ? now - before : now;
}

/** Between two readings of a histogram: [[upper bound, how many are not above it]], ascending. */
export function buckets(later, earlier, name, where = {}) {
  const bounds = values(later, `${name}_bucket`, "le").map((text) => [text === "+Inf" ? Infinity : Number(text), text]);
  return bounds.sort(([one], [other]) => one - other).map(([bound, le]) => [bound, since(later, earlier, `${name}_bucket`, { ...where, le })]);
}

/** Where a share of what was counted lies, linear within its bucket; null where nothing was counted. */
export function quantile(counted, share) {
  const all = counted.length ? counted[counted.length - 1][1] : 0;
  if (!all) return null;
  let [lower, below] = [0, 0];
  for (const [bound, upTo] of counted) {
    if (upTo >= share * all && upTo > below) return bound === Infinity ? lower : lower + ((bound - lower) * (share * all - below)) / (upTo - below);
    [lower, below] = [bound, upTo];
  }
  return lower;
}
