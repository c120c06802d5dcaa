/** The choice of how a source of documents is read. */

import { FIELD } from "./source.js";
import { say } from "./words.js";

/** Show in `select` the choices of `source` and which is taken. */
export function drawChoices(select, source) {
  const names = source.isOpen ? ["", ...source.choices] : source.choices;
  select.replaceChildren(...names.map(option));
  select.value = source.choice;
  select.ariaInvalid = source.isOpen;
}

function option(choice) {
  const element = document.createElement("option");
  element.value = choice;
  if (choice.startsWith(FIELD)) say(element, "formats.field", choice.slice(FIELD.length));
  else say(element, `formats.${choice || "ask"}`);
  return element;
}

/** Sentences about the `problems` of the file called `name`, which is empty for what was typed. */
export function sentencesAbout(name, problems) {
  return problems.map(({ reason, lines, unit, field }) => {
    const element = document.createElement("p");
    element.className = "problem";
    say(element, `problems.${reason}`, name, lines, unit, field);
    return element;
  });
}
