/** The request under way: its time, and a way to cancel it. */

import { say } from "./words.js";

const status = document.getElementById("status");
const timer = document.getElementById("timer");
const cancel = document.getElementById("cancel");

/** Aborts the request under way; null while there is none. */
let underWay = null;
/** Counts seconds. */
let counting;

cancel.addEventListener("click", cancelled);
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && underWay) cancelled();
});

/** Begin to rank `count` documents; the signal tells that this is cancelled or begun anew. */
export function begin(count) {
  underWay?.abort();
  underWay = new AbortController();
  show(true);
  say(status, "ranking", count);
  tick("elapsed", 0, 1);
  return underWay.signal;
}

/** The request under way is done. */
export function end() {
  underWay = null;
  clearInterval(counting);
  say(timer, "");
  show(false);
}

/** Wait `seconds` and tell how many are left, unless `signal` ends it before. */
export async function wait(seconds, signal) {
  tick("retryIn", seconds, -1);
  await new Promise((resolve) => {
    setTimeout(resolve, 1000 * seconds);
    signal.addEventListener("abort", resolve);
  });
  if (!signal.aborted) tick("elapsed", 0, 1);
}

function cancelled() {
  underWay.abort();
  if (document.activeElement === cancel) document.getElementById("rank").focus();
  end();
  say(status, "cancelled");
}

function show(busy) {
  document.getElementById("progress").hidden = cancel.hidden = !busy;
  document.getElementById("outcome").ariaBusy = busy;
}

/** Say the seconds with `word`, from `first` on and a `step` each second. */
function tick(word, first, step) {
  clearInterval(counting);
  let seconds = first;
  say(timer, word, seconds);
  counting = setInterval(() => {
    seconds = Math.max(0, seconds + step);
    say(timer, word, seconds);
  }, 1000);
}
