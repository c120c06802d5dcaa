/** What the page shows as its result: nothing yet, a ranking or a failure. */

import { copyOrShow } from "./curl.js";
import { copyOf, words } from "./words.js";

const status = document.getElementById("status");
const failure = document.getElementById("failure");
const outcome = document.getElementById("outcome");

/** Say what there is to do; `fillIn` is called if an example is wanted. */
export function drawNothing(fillIn) {
  const nothing = copyOf("nothing");
  nothing.querySelector("button").addEventListener("click", fillIn);
  draw("", nothing);
}

/** Show the results of `answer` to a request for `documents`; `command` asks the same. */
export function drawRanking(answer, documents, command) {
  const { results, seconds, usage, model, truncated = [] } = answer;
  const [low, high] = model.score_range;
  const ranking = copyOf("ranking");
  const field = ranking.querySelector(".command");
  ranking.querySelector(".copy").addEventListener("click", (event) => {
    copyOrShow(command, event.target, field);
  });
  ranking.querySelector(".scale").textContent = words.scale(model);
  const ticks = [low, (low + high) / 2, high].map((value) => String(value).replace("-", "−"));
  ranking.querySelectorAll(".axis span").forEach((tick, i) => (tick.textContent = ticks[i]));
  const items = results.map((result, i) =>
    item(result, i + 1, documents[result.index], model.score_range, truncated.includes(result.index)),
  );
  ranking.querySelector("ol").append(...items);
  draw(words.summary(results.length, documents.length, seconds, usage.prompt_tokens), ranking);
}

/** Say what went wrong and what to do. */
export function drawFailure({ status, detail }) {
  const notice = copyOf("failed");
  const [title, advice] = words.failures[status] ?? words.failures.other;
  notice.querySelector("h3").textContent = Number.isInteger(status)
    ? `${title} (${status})`
    : title;
  notice.querySelector(".advice").textContent = advice;
  notice.querySelector(".detail").textContent = detail;
  draw("", "", notice);
}

function draw(summary, result, problem = "") {
  status.textContent = summary;
  outcome.replaceChildren(result);
  failure.replaceChildren(problem);
}

function item({ index, relevance_score: score, passage }, rank, text, range, isCut) {
  const copy = copyOf("result");
  const say = (selector, text) => (copy.querySelector(selector).textContent = text);
  say(".rank", rank);
  say(".origin", words.origin(index + 1));
  say(".value", score.toFixed(4).replace("-", "−"));
  copy.querySelector(".text").replaceChildren(...marked(text, passage));
  copy.querySelector(".cut").hidden = !isCut;
  const places = index + 1 - rank;
  const direction = places > 0 ? "up" : places < 0 ? "down" : "same";
  say(".movement", direction === "same" ? words.same : words[direction](Math.abs(places)));
  copy.querySelector(".movement").classList.add(direction);
  stretch(copy.querySelector(".bar"), score, range);
  return copy;
}

/** `text` with its `passage` highlighted, unless that is all of it. */
function marked(text, passage) {
  if (!passage || passage.text === text) return [text];
  // The service counts characters where JavaScript counts halves of some.
  const characters = [...text];
  const part = (start, end) => characters.slice(start, end).join("");
  const mark = document.createElement("mark");
  mark.textContent = part(passage.start, passage.end);
  return [part(0, passage.start), mark, part(passage.end)];
}

/** Let `bar` reach from 0 to `score` on its track, whose ends are `low`, at most 0, and `high`. */
function stretch(bar, score, [low, high]) {
  const percent = (length) => `${(100 * length) / (high - low)}%`;
  bar.style.left = percent(Math.min(score, 0) - low);
  bar.style.width = percent(Math.abs(score));
  bar.classList.toggle("negative", score < 0);
}
