/** Sources of documents: what was typed, or a file. */

import { documentsOf, fieldsOf, likelyField, readJson, readJsonLines, USUAL } from "./records.js";
import { readTable } from "./table.js";

const BLANK_LINE = /\n[^\S\n]*\n/;

/** Begins a choice that names a field. */
export const FIELD = "field:";

/** Ways to read text that has no fields. */
const PLAIN = {
  lines: (text) => text.split("\n"),
  paragraphs: (text) => text.split(BLANK_LINE).map((part) => part.trim()),
  whole: (text) => [text.trim()],
};

/** How the files of an ending are read; each kind is a function of their text. */
const KINDS = {
  txt: () => null,
  md: () => null,
  csv: (text) => readTable(text),
  tsv: (text) => readTable(text, "\t"),
  jsonl: readJsonLines,
  json: readJson,
};

/** A file that is not added: `reason` is a name in `words.problems`, as are those of `problems`. */
export class Refused extends Error {
  constructor(reason, problems = []) {
    super(reason);
    this.problems = [...problems, { reason }];
  }
}

/** Whether files of such a `name` are read. */
export function isReadable(name) {
  return kindOf(name) in KINDS;
}

const kindOf = (name) => name.toLowerCase().split(".").at(-1);

/**
 * A text and how it is read.
 *
 * `choices` are the ways that there are: "lines", "paragraphs", "whole", "strings" or
 * "field:<name>". `choice` is the one taken: the person's if it is among them, else the likely one,
 * or "" where only a person can tell.
 */
export class Source {
  constructor({ name = "", text, table, plain, wanted }) {
    Object.assign(this, { name, text });
    const fields = table ? fieldsOf(table.records) : [];
    const ofTable = fields.length ? fields.map((field) => FIELD + field) : ["strings"];
    this.choices = [...(table ? ofTable : []), ...plain];
    const likely = fields.length ? FIELD + likelyField(fields) : this.choices[0];
    this.choice = [wanted, likely].find((choice) => this.choices.includes(choice)) ?? "";
    const { documents, problems } = this.#read(table);
    Object.assign(this, { documents, problems });
  }

  /** Whether a person has to choose. */
  get isOpen() {
    return this.choice === "";
  }

  /** The documents, as {text, id?, title?}, and the problems: {reason, lines, unit, field}. */
  #read(table) {
    if (this.choice in PLAIN) {
      const texts = PLAIN[this.choice](this.text).filter((text) => text.trim());
      return { documents: texts.map((text) => ({ text })), problems: [] };
    }
    if (this.isOpen) return { documents: [], problems: grouped(table) };
    const field = this.choice === "strings" ? USUAL : this.choice.slice(FIELD.length);
    const { documents, problems } = documentsOf(table.records, field);
    return { documents, problems: [...grouped(table), ...grouped({ ...table, problems }, field)] };
  }
}

/** What was typed: JSON if it is some, else separated by blank lines or one per line. */
export function typedSource(typed, wanted) {
  const text = clean(typed);
  const begins = /^\s*[[{"]/.test(text);
  const table = begins ? (readJson(text) ?? mostlyJsonLines(text)) : null;
  const [first] = hasParagraphs(text) ? ["paragraphs"] : ["lines"];
  const plain = [first, ...Object.keys(PLAIN).filter((name) => name !== first)];
  return new Source({ text, table, plain, wanted });
}

/** What is in a file called `name`, one that is read; throws `Refused`. */
export function fileSource(name, content, wanted) {
  const kind = kindOf(name);
  const text = clean(content);
  if (!text.trim()) throw new Refused("empty");
  const table = KINDS[kind](text);
  if (!table && kind === "json") throw new Refused("json");
  const plain = table ? [] : ["whole", "paragraphs", "lines"];
  const source = new Source({ name, text, table, plain, wanted });
  if (!source.isOpen && !source.documents.length) throw new Refused("empty", source.problems);
  return source;
}

const clean = (text) => text.replace(/^\ufeff/, "").replace(/\r\n?/g, "\n");

/** Whether blank lines separate texts of which some have several lines. */
function hasParagraphs(text) {
  const parts = text.trim().split(BLANK_LINE);
  return parts.length > 1 && parts.some((part) => part.trim().includes("\n"));
}

/** JSON lines, unless most lines are none. */
function mostlyJsonLines(text) {
  const table = readJsonLines(text);
  return table.records.length > table.problems.length ? table : null;
}

/** Problems as one for each reason, with all lines that have it. */
function grouped({ problems, unit = "line" }, field) {
  const lines = new Map();
  for (const { reason, line } of problems) {
    if (!lines.has(reason)) lines.set(reason, []);
    lines.get(reason).push(line);
  }
  return [...lines].map(([reason, numbers]) => ({ reason, lines: numbers, unit, field }));
}
