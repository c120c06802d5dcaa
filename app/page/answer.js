/** The answer to a request, with its documents, as people take it away. */

/** As the service sent it, with the query and the documents. */
export function json({ body, answer, documents }) {
  const results = answer.results.map((result) => {
    return { ...result, document: documents[result.index] };
  });
  return JSON.stringify({ query: body.query, ...answer, results }, null, 2);
}

/** A table for spreadsheets: UTF-8 with a mark, or some of them take it for something else. */
export function csv(ranking) {
  const quoted = (cell) => `"${String(cell).replaceAll('"', '""')}"`;
  return `\ufeff${table(ranking).map((row) => row.map(quoted).join(",")).join("\r\n")}\r\n`;
}

/** A heading and a table. */
export function markdown(ranking) {
  const line = (row) => `| ${row.map(escaped).join(" | ")} |`;
  const [head, ...rows] = table(ranking);
  const rule = line(head.map(() => "---"));
  return `# ${escaped(ranking.body.query)}\n\n${[line(head), rule, ...rows.map(line)].join("\n")}\n`;
}

/** Rows of cells, the names of the columns first; the index is the service's, from 0. */
function table({ answer, documents }) {
  const rows = answer.results.map(({ index, relevance_score }, place) => {
    const { id = "", title = "", text } = documents[index];
    return [place + 1, relevance_score, index, id, title, text];
  });
  return [["rank", "score", "index", "id", "title", "text"], ...rows];
}

/** Text without markup, in one line. */
function escaped(cell) {
  return String(cell)
    .replace(/[\\`*_[\]<>|#]/g, "\\$&")
    .replace(/\s*\n\s*/g, " ");
}

/** Let the browser save `text` as a file called `name`. */
export function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text]));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
