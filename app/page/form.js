/** The form: what was typed and added, as a request and as a draft. */

import { drawChoices, sentencesAbout } from "./choices.js";
import { keepDraft, keptDraft } from "./draft.js";
import { files, filesRead, restoreFiles } from "./files.js";
import { model } from "./model.js";
import { typedSource } from "./source.js";
import { say, translate } from "./words.js";

export const form = document.querySelector("form");
const { key, query, documents, readAs, topN, instruction, split } = form.elements;
const total = document.getElementById("total");
const typedCount = document.getElementById("typed-count");
const problems = document.getElementById("typed-problems");
const notKept = document.getElementById("not-kept");

/** How the person wants the text to be read, if they chose. */
let wanted;
/** The text as it is read now. */
let typed = typedSource("");
/** Whether the tab keeps what is here. */
let isKept = true;

/** The key typed, or an empty string. */
export function typedKey() {
  return key.value.trim();
}

/** Show the field of the key, and go there if `focus`. */
export function askForKey(focus) {
  document.getElementById("key-field").hidden = false;
  if (focus) key.focus();
}

/** Whether nobody typed or added anything. */
export function isEmpty() {
  return !query.value && !documents.value && !files.length;
}

/** Put in the query and the documents of an `example`. */
export function fillIn(example) {
  query.value = example.query;
  documents.value = example.documents.join("\n");
  wanted = undefined;
  changed();
}

/** The documents of all sources, as {text, id?, title?}, and the request to rank them. */
export async function request() {
  await filesRead();
  const all = allDocuments();
  const body = { query: query.value, documents: all.map(({ text }) => text) };
  if (topN.value) body.top_n = topN.valueAsNumber;
  if (instruction.value.trim()) body.instruction = instruction.value;
  if (split.checked) Object.assign(body, { long_documents: "split", return_passages: true });
  return { body, documents: all };
}

/** Whether the form made a `body` to send; else it says what is missing and goes there. */
export function isComplete(body) {
  const open = [typed, ...files].some((source) => source.isOpen);
  check(query, body.query.trim(), "noQuery");
  check(documents, body.documents.length || open, "noDocuments");
  check(topN, topN.validity.valid, "badTopN");
  say(document.getElementById("field-problem"), open ? "noField" : "");
  translate(form);
  const wrong = form.querySelector("[aria-invalid=true]");
  wrong?.focus();
  return !wrong;
}

/** Take up what the tab kept. */
export function restore() {
  const draft = keptDraft();
  for (const field of [query, documents, topN, instruction]) field.value = draft[field.id] ?? "";
  split.checked = draft.split ?? false;
  wanted = draft.wanted;
  key.value = sessionStorage.getItem("key") ?? "";
  if (key.value) askForKey(false);
  // The last one: it tells that the form has changed.
  restoreFiles(draft.files);
}

form.addEventListener("input", changed);
document.addEventListener("files", changed);
document.addEventListener("model", drawTotal);
addEventListener("beforeunload", (event) => {
  if (!isKept) event.preventDefault();
});

function changed(event) {
  if (event?.target === readAs) wanted = readAs.value;
  typed = typedSource(documents.value, wanted);
  drawChoices(readAs, typed);
  document.getElementById("reading").hidden = !documents.value.trim();
  problems.replaceChildren(...sentencesAbout("", typed.problems));
  drawTotal();
  keep();
}

/** Tell how many documents there are in all, and how many the service takes. */
function drawTotal() {
  const count = allDocuments().length;
  say(typedCount, files.length ? "count" : "", typed.documents.length);
  const limit = model?.limits.documents;
  const tooMany = count > limit;
  total.className = tooMany ? "problem" : "quiet";
  say(total, tooMany ? "tooMany" : "total", count, limit);
}

function keep() {
  sessionStorage.setItem("key", typedKey());
  isKept = keepDraft({
    query: query.value,
    documents: documents.value,
    wanted,
    topN: topN.value,
    instruction: instruction.value,
    split: split.checked,
    files: files.map(({ name, text, choice }) => ({ name, text, choice })),
  });
  say(notKept, isKept ? "" : "notKept");
}

const allDocuments = () => [typed, ...files].flatMap((source) => source.documents);

function check(field, valid, problem) {
  field.ariaInvalid = !valid;
  document.getElementById(`${field.id}-problem`).dataset.words = valid ? "" : problem;
}
