/** The clipboard. */

import { say, translate, words } from "./words.js";

const TOLD_MS = 2000;

/**
 * Copy `text` and say so on the `button`, or show it in `field` where the browser lets no page
 * copy: over plain HTTP.
 */
export async function copyOrShow(text, button, field) {
  try {
    await navigator.clipboard.writeText(text);
    field.hidden = true;
    tell(button);
  } catch {
    const area = field.querySelector("textarea");
    field.hidden = false;
    area.value = text;
    area.select();
  }
}

/** Say on the `button`, and to who does not see it, that it is done, for a while. */
function tell(button) {
  if (button.dataset.told) return;
  const said = document.getElementById("said");
  const before = [...button.childNodes];
  button.dataset.told = "yes";
  button.textContent = words.copied;
  say(said, "copied");
  setTimeout(() => {
    delete button.dataset.told;
    button.replaceChildren(...before);
    translate(button);
    say(said, "");
  }, TOLD_MS);
}
