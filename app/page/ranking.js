/** One ranking, drawn: how it was asked, ways to take it away, and its results. */

import { csv, json, markdown, save } from "./answer.js";
import { copyOrShow } from "./clipboard.js";
import { curl, javascript, python } from "./code.js";
import { factsOf } from "./comparison.js";
import { copyOf, say } from "./words.js";

const CODE = { curl, python, javascript };
const ANSWERS = { json, csv, md: markdown };

/** Texts that are longer, in characters or in lines, fade: never those that end where they would. */
const LONG = { characters: 480, lines: 8 };
/** Of a passage that counts, this much of what stands before it is shown. */
const LEAD = 80;

/** A `ranking`, best first or as the input was, with the `moves` of its documents, if any. */
export function drawn(ranking, moves, inputOrder) {
  const article = copyOf("ranking");
  article.querySelector("ol").append(...items(ranking, moves, inputOrder));
  say(article.querySelector(".scale"), "scale", ranking.model);
  drawAxis(article, ranking.model.score_range);
  offer(article, ranking);
  return article;
}

/** Head the `article` of a `ranking` with its query and what it was made with, unlike `other`. */
export function caption(article, ranking, other) {
  say(article.querySelector("h3"), "caption", ranking.position, ranking.body.query);
  const others = factsOf(other).map(String);
  const spans = factsOf(ranking).map((fact) => {
    const span = document.createElement("span");
    span.classList.toggle("differs", !others.includes(String(fact)));
    say(span, ...fact);
    return span;
  });
  article.querySelector(".facts").append(...spans);
  article.querySelector(".captions").hidden = false;
}

function drawAxis(article, [low, high]) {
  const ticks = [low, (low + high) / 2, high].map((value) => String(value).replace("-", "−"));
  article.querySelectorAll(".axis span").forEach((tick, i) => (tick.textContent = ticks[i]));
}

/** Let the buttons copy and save. */
function offer(article, ranking) {
  const field = article.querySelector(".command");
  for (const button of article.querySelectorAll("[data-code]")) {
    button.addEventListener("click", () => {
      copyOrShow(CODE[button.dataset.code](ranking.body, ranking.needsKey), button, field);
    });
  }
  for (const button of article.querySelectorAll("[data-answer]")) {
    const ending = button.dataset.answer;
    button.addEventListener("click", () => save(`ranking.${ending}`, ANSWERS[ending](ranking)));
  }
}

function items(ranking, moves, inputOrder) {
  const { results, truncated = [] } = ranking.answer;
  const cut = new Set(truncated);
  const rows = results.map((result, place) => ({ result, rank: place + 1 }));
  if (inputOrder) rows.sort((one, next) => one.result.index - next.result.index);
  return rows.map(({ result, rank }) => {
    const { index } = result;
    const row = item({ ...result, rank, isCut: cut.has(index) }, ranking.documents[index]);
    if (moves) sayMove(row.querySelector(".movement"), moves.get(index));
    stretch(row.querySelector(".bar"), result.relevance_score, ranking.model.score_range);
    return row;
  });
}

function item({ index, relevance_score: score, passage, rank, isCut }, document) {
  const copy = copyOf("result");
  const put = (selector, text) => (copy.querySelector(selector).textContent = text);
  put(".rank", rank);
  put(".value", score.toFixed(4).replace("-", "−"));
  put(".id", document.id ?? "");
  put(".title", document.title ?? "");
  say(copy.querySelector(".origin"), "origin", index + 1);
  copy.querySelector(".cut").hidden = !isCut;
  fill(copy, document.text, passage);
  return copy;
}

/** Say in `element` how many places a document `moved` up; undefined if it is new. */
function sayMove(element, moved) {
  const direction = moved > 0 ? "up" : moved < 0 ? "down" : moved === 0 ? "same" : "missing";
  say(element, direction, Math.abs(moved));
  element.classList.add(direction);
}

/** Put in the `text`; a long one fades until its button is pressed. */
function fill(copy, text, passage) {
  const paragraph = copy.querySelector(".text");
  paragraph.replaceChildren(...marked(text, passage));
  const lines = text.split("\n", LONG.lines + 1).length;
  if (text.length <= LONG.characters && lines <= LONG.lines) return;
  const button = copy.querySelector(".more");
  paragraph.classList.add("long");
  button.hidden = false;
  button.addEventListener("click", () => {
    const isShort = paragraph.classList.toggle("long");
    button.ariaExpanded = !isShort;
    say(button, isShort ? "showAll" : "showLess");
  });
}

/** `text` with its `passage` highlighted, unless that is all of it. */
function marked(text, passage) {
  if (!passage || passage.text === text) return [text];
  // The service counts characters where JavaScript counts halves of some.
  const characters = [...text];
  const part = (start, end) => characters.slice(start, end).join("");
  const near = Math.max(0, passage.start - LEAD);
  const lead = element("span", part(0, near));
  lead.className = "lead";
  const mark = element("mark", part(passage.start, passage.end));
  return [...(near ? [lead] : []), part(near, passage.start), mark, part(passage.end)];
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

/** Let `bar` reach from 0 to `score` on its track, whose ends are `low`, at most 0, and `high`. */
function stretch(bar, score, [low, high]) {
  const percent = (length) => `${(100 * length) / (high - low)}%`;
  bar.style.left = percent(Math.min(score, 0) - low);
  bar.style.width = percent(Math.abs(score));
  bar.classList.toggle("negative", score < 0);
}
