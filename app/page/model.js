/** The model that runs, told in the header. */

import { running } from "./service.js";
import { say } from "./words.js";

const facts = document.getElementById("runs");
const ability = document.getElementById("ability");
const meaning = document.getElementById("meaning");

/** The model told of last; undefined until one is. */
export let model;

/** Ask what runs until it does, and tell; returns the failure that ended it, if one did. */
export async function askWhatRuns(key) {
  for (;;) {
    const found = await running(key);
    if (!found.failure) return tell(found);
    if (found.failure.kind !== 503) return tellLittle(found);
    say(facts, "loading");
    await new Promise((resolve) => setTimeout(resolve, 1000 * (found.failure.retryAfter ?? 5)));
  }
}

/** Tell what is `running`. */
export function tell({ model: found, device }) {
  model = found;
  const place = device === "cpu" ? "CPU" : device;
  say(facts, "runs", [model.id, model.quantization, place].filter(Boolean));
  say(ability, model.id === "demo" ? "demo" : "");
  say(meaning, "meaning", model);
  document.dispatchEvent(new Event("model"));
}

function tellLittle({ failure }) {
  if (failure.status === 401) say(facts, "locked");
  return failure;
}
