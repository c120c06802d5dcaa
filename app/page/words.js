/** What the page says: the words of one language at a time, put into its elements. */

import { english } from "./english.js";
import { korean } from "./korean.js";

const languages = { en: english, ko: korean };

/** The words of the language spoken now. */
export let words;

/** The language to begin with: chosen before, the browser's if the page speaks it, else English. */
export function preferredLanguage() {
  const [browsers] = navigator.language.split("-");
  return [localStorage.getItem("language"), browsers].find((name) => name in languages) ?? "en";
}

/** Speak `language` from now on, everywhere on the page. */
export function speak(language) {
  words = languages[language];
  document.documentElement.lang = language;
  translate(document);
}

/** Let `element` say the word `name`, with `values` where it takes some, in every language. */
export function say(element, name, ...values) {
  element.dataset.words = name;
  element.values = values;
  element.textContent = spoken(name, values);
}

/** Let `element` be called by the word `name` where it is not seen, as `say` does where it is. */
export function label(element, name, ...values) {
  element.dataset.label = name;
  element.values = values;
  element.ariaLabel = spoken(name, values);
}

/** Put words into the elements of `root`: those named in `data-words` and its like. */
export function translate(root) {
  for (const element of root.querySelectorAll("[data-words]")) {
    element.textContent = spoken(element.dataset.words, element.values);
  }
  for (const element of root.querySelectorAll("[data-placeholder]")) {
    element.placeholder = spoken(element.dataset.placeholder);
  }
  for (const element of root.querySelectorAll("[data-label]")) {
    element.ariaLabel = spoken(element.dataset.label, element.values);
  }
}

/** A copy of the template `id` with words in it. */
export function copyOf(id) {
  const copy = document.getElementById(id).content.cloneNode(true);
  translate(copy);
  return copy;
}

/** The word of a `name`, such as "rank" or "failures.429.title". */
function spoken(name, values = []) {
  const word = name.split(".").reduce((within, part) => within?.[part], words) ?? "";
  return typeof word === "function" ? word(...values) : word;
}
