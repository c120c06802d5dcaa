/** Tables out of CSV and TSV text. */

/** A cell, in quotation marks or without, and what ends it. */
const CELL = /(?:"([^"]*(?:""[^"]*)*)"[^\S\n\t]*|([^\n]*?))(SEPARATOR|\n)/.source;

/**
 * The rows of `text` below its first one, as `records`: objects that the first row names the fields
 * of, each with its `line`. A line that is no such row is a problem of its own.
 */
export function readTable(text, separator = likelySeparator(text)) {
  const { rows, problems } = rowsOf(text.endsWith("\n") ? text : `${text}\n`, separator);
  const [head, ...body] = rows;
  const names = head?.cells.map((cell) => cell.trim()) ?? [];
  const records = [];
  for (const { cells, line } of body) {
    const values = names.map((name, i) => [name, cells[i] ?? ""]);
    const rest = cells.slice(names.length).some((cell) => cell.trim());
    if (rest) problems.push({ reason: "cells", line });
    else records.push({ value: Object.fromEntries(values), line });
  }
  return { records, problems };
}

/** The most frequent one of the first line: spreadsheets write what their country does. */
function likelySeparator(text) {
  const [first] = text.split("\n", 1);
  const times = (separator) => first.split(separator).length;
  return [",", ";", "\t"].reduce((best, other) => (times(other) > times(best) ? other : best));
}

/** The cells of each row that is not empty; `text` ends with a line break. */
function rowsOf(text, separator) {
  const cell = new RegExp(CELL.replace("SEPARATOR", separator), "y");
  const rows = [];
  const problems = [];
  let line = 1;
  let row = { cells: [], line, start: 0 };
  while (cell.lastIndex < text.length) {
    const [whole, quoted, bare, end] = cell.exec(text);
    line += whole.split("\n").length - 1;
    row.cells.push(quoted === undefined ? bare : quoted.replaceAll('""', '"'));
    if (bare?.lastIndexOf('"') === 0) {
      // Opened and not closed: what follows in this line cannot be told apart.
      problems.push({ reason: "quote", line: row.line });
      cell.lastIndex = text.indexOf("\n", row.start) + 1;
      line = row.line + 1;
    } else if (end === separator) continue;
    else if (row.cells.some((content) => content.trim())) rows.push(row);
    row = { cells: [], line, start: cell.lastIndex };
  }
  return { rows, problems };
}
