/** The page: what its parts do together. */

import { examplesFor } from "./examples.js";
import { askForKey, fillIn, form, isComplete, isEmpty, request, restore, typedKey } from "./form.js";
import { askWhatRuns, tell } from "./model.js";
import { begin, end, wait } from "./progress.js";
import * as results from "./results.js";
import { rerank } from "./service.js";
import { preferredLanguage, speak } from "./words.js";

const languages = document.querySelectorAll(".languages button");
const examples = document.getElementById("examples");
/** Whether what the form holds is an example. */
let isExample = false;
/** Whether something was typed since the last request. */
let isEdited = false;

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const asked = await request();
  if (isComplete(asked.body)) submit(asked);
});

form.addEventListener("input", () => {
  isExample = false;
  isEdited = true;
  showExamples();
});
document.addEventListener("files", showExamples);

addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});

for (const button of languages) {
  button.addEventListener("click", () => {
    localStorage.setItem("language", button.lang);
    change(button.lang);
  });
}

restore();
change(preferredLanguage());
results.drawNothing();
askWhatRuns(typedKey()).then((failure) => {
  if (failure?.status === 401) askForKey(false);
});

/** Ask, again where the service says when, and show what comes of it unless it is cancelled. */
async function submit({ body, documents }) {
  isEdited = false;
  results.clearFailure();
  const signal = begin(body.documents.length);
  results.scrollToResults();
  let found;
  for (;;) {
    const key = typedKey();
    found = { body, documents, needsKey: Boolean(key), ...(await rerank(body, key, signal)) };
    if (signal.aborted) return;
    if (!found.failure) break;
    results.drawFailure(found.failure);
    if (found.failure.retryAfter === undefined) break;
    await wait(found.failure.retryAfter, signal);
    results.clearFailure();
    if (signal.aborted) return;
  }
  end();
  show(found);
}

function show({ failure, ...ranking }) {
  if (failure) {
    results.drawFailure(failure);
    if (failure.status === 401) askForKey(true);
    return;
  }
  results.drawRanking(ranking);
  tell(ranking);
  // Nobody is taken away from what they type.
  if (!isEdited) results.focusResults();
}

function fillInExample(example) {
  fillIn(example);
  isExample = true;
  showExamples();
  form.requestSubmit();
}

/** Examples take the place of nothing but each other. */
function showExamples() {
  examples.hidden = !isExample && !isEmpty();
}

function change(language) {
  speak(language);
  for (const button of languages) button.ariaPressed = button.lang === language;
  examples.querySelectorAll("button").forEach((button) => button.remove());
  examples.append(...examplesFor(language).map(exampleButton));
}

function exampleButton(example) {
  const button = document.createElement("button");
  button.type = "button";
  button.lang = example.lang;
  button.textContent = example.query;
  button.addEventListener("click", () => fillInExample(example));
  return button;
}
