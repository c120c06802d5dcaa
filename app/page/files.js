/** Files of documents: added by the picker or dropped on the page, shown below the text. */

import { FileProblem, readDocuments } from "./documents.js";
import { copyOf, words } from "./words.js";

const picker = document.getElementById("picker");

/** What was added, as {name, documents}, and what was refused last. */
let files = [];
let problems = [];
/** Settles when the files added so far have been read. */
let reading = Promise.resolve();

/** The documents of all files, in the order in which they were added. */
export async function documentsOfFiles() {
  await reading;
  return files.flatMap((file) => file.documents);
}

/** Show the files, in the language spoken now. */
export function drawFiles() {
  document.getElementById("files").replaceChildren(...files.map(item));
  const sentences = problems.map(({ reason, file, line }) => words.fileProblem[reason](file, line));
  document.getElementById("file-problems").replaceChildren(...sentences.map(paragraph));
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
  problems = [];
  for (const file of chosen) {
    try {
      files.push({ name: file.name, documents: await readDocuments(file) });
    } catch (problem) {
      if (!(problem instanceof FileProblem)) throw problem;
      problems.push(problem);
    }
  }
  drawFiles();
}

function item(file) {
  const copy = copyOf("file");
  copy.querySelector(".name").textContent = file.name;
  copy.querySelector(".count").textContent = words.count(file.documents.length);
  const remove = copy.querySelector("button");
  remove.ariaLabel = words.removeFile(file.name);
  remove.addEventListener("click", () => {
    files = files.filter((other) => other !== file);
    drawFiles();
    picker.focus();
  });
  return copy;
}

function paragraph(text) {
  const element = document.createElement("p");
  element.className = "problem";
  element.textContent = text;
  return element;
}
