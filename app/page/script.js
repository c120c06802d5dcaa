/** The form: what is asked, when, and in which language. */

import { curlCommand } from "./curl.js";
import { linesOf } from "./documents.js";
import { documentsOfFiles, drawFiles } from "./files.js";
import { drawFailure, drawNothing, drawRanking } from "./results.js";
import { rerank } from "./service.js";
import { preferredLanguage, speak, translate, words } from "./words.js";

const form = document.querySelector("form");
const { key, query, documents, topN, instruction, split } = form.elements;

/** Draws what the page shows as its result; again when the language changes. */
let drawOutcome = () => drawNothing(fillInExample);
/** Aborts the request under way. */
let underWay = null;

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = await requestBody();
  if (isComplete(body)) submit(body);
});

addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});

for (const button of document.querySelectorAll(".languages button")) {
  button.addEventListener("click", () => change(button.lang));
}

change(preferredLanguage());

/** Ask, and show what comes of it unless another request has followed by then. */
async function submit(body) {
  underWay?.abort();
  const { signal } = (underWay = new AbortController());
  showBusy(true);
  document.getElementById("status").textContent = words.ranking(body.documents.length);
  const { answer, failure } = await rerank(body, key.value.trim(), signal);
  if (signal.aborted) return;
  showBusy(false);
  const command = curlCommand(body, Boolean(key.value));
  drawOutcome = () =>
    answer ? drawRanking(answer, body.documents, command) : drawFailure(failure);
  drawOutcome();
  if (failure?.status === 401) askForKey();
}

async function requestBody() {
  const ofFiles = await documentsOfFiles();
  const body = { query: query.value, documents: [...linesOf(documents.value), ...ofFiles] };
  if (topN.value) body.top_n = topN.valueAsNumber;
  if (instruction.value.trim()) body.instruction = instruction.value;
  if (split.checked) Object.assign(body, { long_documents: "split", return_passages: true });
  return body;
}

/** Whether the form made a `body` to send; else it says what is missing and goes there. */
function isComplete(body) {
  check(query, body.query.trim(), "noQuery");
  check(documents, body.documents.length, "noDocuments");
  check(topN, topN.validity.valid, "badTopN");
  translate(form);
  const wrong = form.querySelector("[aria-invalid=true]");
  wrong?.focus();
  return !wrong;
}

function check(field, valid, problem) {
  field.ariaInvalid = !valid;
  document.getElementById(`${field.id}-problem`).dataset.words = valid ? "" : problem;
}

function askForKey() {
  document.getElementById("key-field").hidden = false;
  key.focus();
}

function showBusy(busy) {
  document.getElementById("progress").hidden = !busy;
  document.getElementById("outcome").ariaBusy = busy;
  // On a narrow screen the results are below the form.
  const title = document.getElementById("results-title");
  if (busy && title.getBoundingClientRect().top > innerHeight / 2) title.scrollIntoView();
}

function fillInExample() {
  query.value = words.example.query;
  documents.value = words.example.documents.join("\n");
  form.requestSubmit();
}

function change(language) {
  speak(language);
  for (const button of document.querySelectorAll(".languages button")) {
    button.ariaPressed = button.lang === language;
  }
  drawFiles();
  drawOutcome();
}
