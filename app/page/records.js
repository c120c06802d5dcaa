/** Records: strings and objects, out of JSON, of which one field is the text. */

/** The name that most people give the field that holds the text. */
export const USUAL = "text";
/** Fields that tell of a document and are shown beside it. */
const BESIDE = ["id", "title"];

/** The records of a JSON array, or of the array `documents` of a JSON object; else null. */
export function readJson(text) {
  const value = parsed(text);
  const list = Array.isArray(value) ? value : value?.documents;
  return Array.isArray(list) ? { ...sorted(list), unit: "item" } : null;
}

/** The records of JSON lines; a line that is none is a problem of its own. */
export function readJsonLines(text) {
  const lines = text.split("\n");
  // A blank line is no value, and no problem either.
  return sorted(lines.map((content) => (content.trim() ? parsed(content) : undefined)));
}

/** The records among `values`, with their `line` from 1, and a problem for each other one. */
function sorted(values) {
  const records = [];
  const problems = [];
  for (const [i, value] of values.entries()) {
    if (value === undefined) continue;
    if (isRecord(value)) records.push({ value, line: i + 1 });
    else problems.push({ reason: "value", line: i + 1 });
  }
  return { records, problems };
}

/** The fields that hold text in some of the objects among `records`. */
export function fieldsOf(records) {
  const fields = new Set();
  for (const { value } of records) {
    for (const name in objectOf(value)) if (isText(value[name])) fields.add(name);
  }
  return [...fields];
}

/** The field that is surely the text: the usual one, or the only one; else undefined. */
export function likelyField(fields) {
  if (fields.includes(USUAL)) return USUAL;
  const candidates = fields.filter((name) => !BESIDE.includes(name));
  return candidates.length === 1 ? candidates[0] : undefined;
}

/** The documents of `records`, whose text is in `field`; one without is a problem. */
export function documentsOf(records, field) {
  const documents = [];
  const problems = [];
  for (const { value, line } of records) {
    const text = typeof value === "string" ? value : value[field];
    if (isText(text)) documents.push({ text, ...beside(value, field) });
    else problems.push({ reason: "field", line });
  }
  return { documents, problems };
}

/** What is shown beside a document: its id and title, unless they are the text. */
function beside(value, field) {
  const isShown = (name) => name !== field && ["string", "number"].includes(typeof value[name]);
  const names = BESIDE.filter(isShown);
  return Object.fromEntries(names.map((name) => [name, String(value[name])]));
}

const objectOf = (value) => (typeof value === "string" ? {} : value);
const isText = (value) => typeof value === "string" && Boolean(value.trim());
const isRecord = (value) =>
  typeof value === "string" || (value?.constructor === Object && Object.keys(value).length > 0);

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
