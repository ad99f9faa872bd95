// A series of the user's own: pasted or from a file, with a sentence beside the field where it cannot be read. Knows no model.
import { html, useState } from "/web/vendor/htm-3.1.1/standalone.module.js";
import { Problem, Upload } from "/web/parts.js";
import { readTable } from "/web/table.js";

const LONGEST_PASTE = 200_000; // characters that are put into the box; a longer file is read without being shown

const faulty = (columns) => columns.filter((one) => one.fault).map((one) => ` Column '${one.name}' is left out: ${one.fault}`).join("");

/** `onTable(table, title)` -> why it cannot be taken, "" where it can. `onBack()`: the sample again. `example()`: text that works. */
export function Own({ active, onTable, onBack, example }) {
  const [text, setText] = useState("");
  const [unread, setUnread] = useState(null);
  const [said, setSaid] = useState("");
  const read = (content, title) => {
    try {
      const table = readTable(content);
      const refused = onTable(table, title);
      if (refused) throw new Error(refused);
      const good = table.columns.filter((one) => !one.fault).length;
      setUnread(null);
      setSaid(`${title}: ${table.rows.toLocaleString("en")} rows, ${good} ${good === 1 ? "column" : "columns"} of numbers. ${table.note}${faulty(table.columns)}`);
    } catch (error) {
      setUnread({ message: error.message });
      setSaid("");
    }
  };
  const file = (content, name) => {
    setText(content.length <= LONGEST_PASTE ? content : "");
    read(content, name);
  };
  const back = () => {
    setUnread(null);
    setSaid("");
    onBack();
  };
  return html`<section class="card" aria-labelledby="own-title"><h2 id="own-title">Your own series</h2>
    <label for="own">Numbers or CSV, oldest first; names and a column of dates (2018-03-01) may be there.</label>
    <textarea id="own" class="code" rows="7" spellcheck="false" value=${text} aria-invalid=${unread ? "true" : undefined} aria-describedby="own-problem own-said"
      onInput=${(event) => setText(event.target.value)}></textarea>
    <${Problem} problem=${unread} id="own-problem" />
    <div class="row"><button type="button" class="main" onClick=${() => read(text, "pasted")}>Forecast this</button>
      <${Upload} label="Choose a file" accept=".csv,.txt,.tsv,text/csv,text/plain" asText onFile=${file} onProblem=${setUnread} />
      <button type="button" onClick=${() => setText(example())}>Fill in an example</button>
      ${active && html`<button type="button" onClick=${back}>Back to the sample</button>`}</div>
    <p class="note" id="own-said" role="status">${said || "It stays in this page; only the steps before the origin are sent."}</p>
  </section>`;
}
