/** Files of documents: added by the picker or dropped on the page, shown below the text. */

import { drawChoices, sentencesAbout } from "./choices.js";
import { fileSource, isReadable, Refused } from "./source.js";
import { copyOf, label, say } from "./words.js";

const picker = document.getElementById("picker");
const refusals = document.getElementById("file-problems");

/** The sources that were added, in their order. */
export let files = [];
/** Settles when the files added so far have been read. */
let reading = Promise.resolve();

/** Wait for files that are being read. */
export function filesRead() {
  return reading;
}

/** Add files again that were kept, as {name, text, choice}. */
export function restoreFiles(kept = []) {
  files = kept.map(({ name, text, choice }) => fileSource(name, text, choice));
  draw();
}

picker.addEventListener("change", () => {
  add([...picker.files]);
  // Choosing the same file again is a change, too.
  picker.value = "";
});

for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
  addEventListener(type, (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    const gone = type === "drop" || (type === "dragleave" && !event.relatedTarget);
    document.body.classList.toggle("dropping", !gone);
    if (type === "drop") add([...event.dataTransfer.files]);
  });
}

function add(chosen) {
  reading = reading.then(() => read(chosen));
}

async function read(chosen) {
  refusals.replaceChildren();
  for (const file of chosen) {
    try {
      files.push(fileSource(file.name, await textOf(file)));
    } catch (refused) {
      if (!(refused instanceof Refused)) throw refused;
      refusals.append(...sentencesAbout(file.name, refused.problems));
    }
  }
  draw();
}

async function textOf(file) {
  if (!isReadable(file.name)) throw new Refused("name");
  const bytes = await file.arrayBuffer().catch(() => {
    throw new Refused("unreadable");
  });
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Refused("encoding");
  }
}

function draw() {
  document.getElementById("files").replaceChildren(...files.map(item));
  document.dispatchEvent(new Event("files"));
}

function item(file, place) {
  const copy = copyOf("file");
  copy.querySelector(".name").textContent = file.name;
  say(copy.querySelector(".count"), "count", file.documents.length);
  const select = copy.querySelector("select");
  label(select, "fileChoice", file.name);
  drawChoices(select, file);
  select.addEventListener("change", () => {
    files[place] = fileSource(file.name, file.text, select.value);
    draw();
    document.querySelectorAll("#files select")[place].focus();
  });
  const remove = copy.querySelector("button");
  label(remove, "removeFile", file.name);
  remove.addEventListener("click", () => {
    files.splice(place, 1);
    draw();
    picker.focus();
  });
  copy.querySelector("li").append(...sentencesAbout(file.name, file.problems));
  return copy;
}
