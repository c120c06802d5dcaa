/** Documents out of text and files. */

/** A file that is not added: `file` is its name, `reason` a name in `words.fileProblem`. */
export class FileProblem extends Error {
  constructor(file, reason, line) {
    super(reason);
    Object.assign(this, { file, reason, line });
  }
}

/** The lines of `text` that are not blank. */
export function linesOf(text) {
  return text.split(/\r?\n/).filter((line) => line.trim());
}

/** The documents of a .txt or .jsonl file; throws `FileProblem`. */
export async function readDocuments(file) {
  const text = await readText(file);
  const documents = isJsonLines(file) ? parseJsonLines(file, text) : linesOf(text);
  if (!documents.length) throw new FileProblem(file.name, "empty");
  return documents;
}

const isJsonLines = (file) => /\.jsonl$/i.test(file.name);

async function readText(file) {
  if (!/\.(txt|jsonl)$/i.test(file.name)) throw new FileProblem(file.name, "name");
  const bytes = await file.arrayBuffer().catch(() => {
    throw new FileProblem(file.name, "unreadable");
  });
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new FileProblem(file.name, "encoding");
  }
}

function parseJsonLines(file, text) {
  const documents = [];
  for (const [i, line] of text.split("\n").entries()) {
    if (!line.trim()) continue;
    const document = textOf(line);
    if (typeof document !== "string") throw new FileProblem(file.name, "line", i + 1);
    documents.push(document);
  }
  return documents;
}

function textOf(line) {
  try {
    const value = JSON.parse(line);
    return value?.text ?? value;
  } catch {
    return undefined;
  }
}
