/** What the page shows as its result: nothing yet, rankings side by side, and a failure. */

import { factsOf, movesFrom, movesFromInput } from "./comparison.js";
import { caption, drawn } from "./ranking.js";
import { copyOf, say } from "./words.js";

/** Rankings that can be compared with: the last ones. */
const KEPT = 10;

const heading = document.getElementById("results-title");
const status = document.getElementById("status");
const failure = document.getElementById("failure");
const tools = document.getElementById("tools");
const outcome = document.getElementById("outcome");
const compared = document.getElementById("compared");
const inputOrder = document.getElementById("inputOrder");

/** The rankings of this visit, the newest last. */
let rankings = [];
/** How many there have been. */
let count = 0;

compared.addEventListener("change", draw);
inputOrder.addEventListener("change", draw);

/** Say what there is to do. */
export function drawNothing() {
  outcome.replaceChildren(copyOf("nothing"));
}

/** Show a `ranking`: {body, documents, answer, seconds, model, needsKey}. */
export function drawRanking(ranking) {
  count += 1;
  // The one compared with stays, however old.
  const [other] = chosen();
  rankings = [...rankings.slice(-KEPT), { ...ranking, position: count }];
  if (other && !rankings.includes(other)) rankings.unshift(other);
  drawOptions(other);
  draw();
  const { answer, documents, seconds } = ranking;
  const { length } = answer.results;
  say(status, "summary", length, documents.length, seconds, answer.usage.prompt_tokens);
}

/** Say what went wrong and what to do. */
export function drawFailure({ kind, status: code, detail }) {
  say(status, "");
  const notice = copyOf("failed");
  say(notice.querySelector(".title"), `failures.${kind}.title`);
  notice.querySelector(".code").textContent = code ? ` (${code})` : "";
  say(notice.querySelector(".advice"), `failures.${kind}.advice`);
  notice.querySelector(".detail").textContent = detail;
  if (rankings.length) say(notice.querySelector(".before"), "before");
  failure.replaceChildren(notice);
}

/** Take away what a request said that failed. */
export function clearFailure() {
  failure.replaceChildren();
}

/** Go to the results, for the keyboard and screen readers. */
export function focusResults() {
  heading.focus();
}

/** Show the results where they are below the form, as on a narrow screen. */
export function scrollToResults() {
  if (heading.getBoundingClientRect().top > innerHeight / 2) heading.scrollIntoView();
}

function draw() {
  const current = rankings.at(-1);
  const [other] = chosen();
  const asInput = inputOrder.checked;
  const moves = other && !asInput ? movesFrom(other, current) : movesFromInput(current);
  const articles = [drawn(current, moves, asInput)];
  if (other) {
    // What moved is told once.
    articles.unshift(drawn(other, asInput ? movesFromInput(other) : null, asInput));
    caption(articles[0], other, current);
    caption(articles[1], current, other);
  }
  document.body.classList.toggle("comparing", Boolean(other));
  outcome.replaceChildren(...articles);
}

/** Offer every ranking but the newest to compare it with; `other` stays chosen. */
function drawOptions(other) {
  const options = rankings.slice(0, -1).map((ranking) => {
    const option = document.createElement("option");
    option.value = ranking.position;
    const facts = factsOf(ranking);
    say(option, "option", ranking.position, ranking.body.query, facts);
    return option;
  });
  compared.replaceChildren(compared.options[0], ...options.reverse());
  compared.value = other?.position ?? "";
  tools.hidden = false;
  compared.parentElement.hidden = !options.length;
}

/** The ranking chosen to compare with, in a list; an empty one if none is. */
function chosen() {
  return rankings.filter(({ position }) => String(position) === compared.value);
}
