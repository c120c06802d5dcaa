/** What the page says in English. */

import { duration, number } from "./numbers.js";

const count = (n) => (n === 1 ? "1 document" : `${number(n)} documents`);
const lines = (numbers, unit) =>
  numbers.length === 1
    ? `${unit} ${number(numbers[0])} was`
    : `${unit}s ${numbers.slice(0, 5).map(number).join(", ")}${numbers.length > 5 ? ` and ${number(numbers.length - 5)} more` : ""} were`;
const inFile = (file, text) => (file ? `${file}: ${text}` : text[0].toUpperCase() + text.slice(1));

const fact = ([name, value]) => (value ? english[name](value) : english[name]);

export const english = {
  tagline: "Ranks documents by how well they answer a query.",
  runs: (facts) => facts.join(" · "),
  demo: "Demo model, for trying the service: it compares words more than meaning, in texts of a sentence or two.",
  meaning: ({ score, score_range: [low, high] }) =>
    `${{ cosine: "A score is a cosine, how near document and query are", probability: "A score is the probability that the document answers", "calibrated probability": "A score is the probability, calibrated on judged pairs, that the document answers" }[score] ?? "A score tells how well the document answers"}: ${number(low)} to ${number(high)}, higher is better.`,
  loading: "The model is loading…",
  locked: "A key is needed to see what runs.",

  examples: "Try an example:",

  key: "API key",
  keyHint:
    "One of those in RERANKER_API_KEY. It is kept for this tab alone and forgotten when you close it.",
  query: "Query",
  documents: "Documents",
  documentsHint: "one per line, separated by blank lines, or JSON",
  readAs: "Read as",
  textIsIn: "Text is in",
  formats: {
    lines: "one per line",
    paragraphs: "separated by blank lines",
    whole: "one document",
    strings: "JSON",
    ask: "choose the field…",
    field: (name) => `“${name}”`,
  },
  total: (n, limit) => (limit ? `${count(n)}; one request takes ${number(limit)}` : count(n)),
  tooMany: (n, limit) =>
    `${count(n)}: ${number(n - limit)} more than the ${number(limit)} that this service takes in one request. Remove some, or raise RERANKER_MAX_DOCUMENTS.`,
  notKept: "This is more than the browser keeps: it will be gone if you reload or leave the page.",
  addFiles: "Add files",
  fileHint:
    "or drop them anywhere: .csv and .tsv have a document per row, .jsonl and .json per object or string, .txt and .md are one.",
  topN: "Results to show (top_n)",
  all: "all",
  instruction: "Instruction, if wanted",
  instructionExample: "Prefer official sources",
  split: "Split long ones into passages",
  splitHint: "A document longer than the model reads is ranked by its best passage, not cut.",
  cut: "cut: longer than the model reads",
  rank: "Rank",
  cancel: "Cancel",
  shortcut: "or Ctrl / ⌘ + Enter anywhere; Esc cancels",
  results: "Results",
  copyAs: "Copy as",
  saveAs: "Save as",
  copied: "Copied",
  copyByHand: "This browser lets no page copy over plain HTTP. Copy the selected text by hand:",
  api: "Description of the API",
  remove: "Remove",
  removeFile: (name) => `Remove ${name}`,
  fileChoice: (name) => `Read ${name} as`,

  nothing:
    "Nothing ranked yet. Type a query and some documents, or click an example, to see which of them answer best.",

  noQuery: "Type a query: documents are ranked by how well they answer it.",
  noDocuments: "Type at least one document, or add a file of them.",
  noField: "Choose which field holds the text of the documents.",
  badTopN: "A whole number from 1, or nothing for all of them.",
  problems: {
    name: (file) =>
      `${file} was not added: only .txt, .md, .csv, .tsv, .json and .jsonl files are read.`,
    unreadable: (file) =>
      `${file} was not added: it could not be read. Is it a folder, or has it moved?`,
    encoding: (file) =>
      `${file} was not added: it is not UTF-8 text. Save it as UTF-8 and add it again.`,
    json: (file) =>
      `${file} was not added: it is not a JSON array of strings or objects, nor an object with such an array in “documents”.`,
    empty: (file) => `${file} was not added: it holds no documents.`,
    value: (file, numbers, unit) =>
      inFile(file, `${lines(numbers, unit)} left out: neither a JSON string nor a JSON object.`),
    field: (file, numbers, unit, field) =>
      inFile(file, `${lines(numbers, unit)} left out: no text in “${field}”.`),
    cells: (file, numbers, unit) =>
      inFile(file, `${lines(numbers, unit)} left out: more cells than the first row has names.`),
    quote: (file, numbers, unit) =>
      inFile(file, `${lines(numbers, unit)} left out: a quotation mark that is not closed.`),
  },

  count,
  ranking: (n) => `Ranking ${count(n)}…`,
  elapsed: (seconds) => `${number(seconds)} s`,
  retryIn: (seconds) => `Tries again in ${number(seconds)} s`,
  cancelled: "Cancelled.",
  summary: (shown, n, seconds, tokens) =>
    `${shown < n ? `Best ${number(shown)} of ` : ""}${count(n)} · ${duration(seconds)} · ${number(tokens)} tokens`,
  score: "score",
  origin: (position) => `document ${number(position)}`,
  up: (places) => `up ${number(places)}`,
  down: (places) => `down ${number(places)}`,
  same: "same place",
  missing: "not in the other",
  showAll: "Show all",
  showLess: "Show less",
  scale: ({ score, score_range: [low, high], kind }) =>
    `Scores ${{ cosine: "are cosines", probability: "are probabilities", "calibrated probability": "are calibrated probabilities" }[score] ?? "lie"} between ${number(low)} and ${number(high)}` +
    (kind === "listwise" ? ": compare them within one ranking, not across rankings." : "."),

  compareWith: "Compare with",
  nothingElse: "nothing",
  inputOrder: "In input order",
  caption: (position, query) => `${number(position)}. ${query}`,
  option: (position, query, facts) => `${number(position)}. ${query} (${facts.map(fact).join(", ")})`,
  modelName: (name) => name,
  instructed: (instruction) => `instruction: ${instruction}`,
  uninstructed: "no instruction",
  splitting: "long ones split",
  cutting: "long ones cut",

  before: "Below is the ranking before.",
  failures: {
    unreachable: {
      title: "The service does not answer",
      advice:
        "It was stopped, or the connection to it broke. Check that it runs, then submit again; what you typed is still here.",
    },
    proxy: {
      title: "Something else answered in place of the service",
      advice:
        "A web page came back where a ranking was expected, as from a proxy in front of the service or a page to sign in. Reload this page; if that does not help, ask who runs the proxy. It said:",
    },
    401: {
      title: "A key is needed",
      advice: "Type a key that this service knows into the field “API key”, then submit again.",
    },
    wrongKey: {
      title: "This key is not one of the service's",
      advice:
        "Compare it with those in RERANKER_API_KEY of the service: no space, nothing missing. Then submit again.",
    },
    403: {
      title: "Access is denied",
      advice:
        "The service itself refuses nobody so: a proxy or firewall in front of it does. Ask who runs it to let you in.",
    },
    408: {
      title: "The request came too slowly",
      advice:
        "The connection is slow or stalled while documents were sent. Send fewer documents, or raise what the service names:",
    },
    413: {
      title: "Too much for one request",
      advice: "Remove documents, or raise the limit that the service names:",
    },
    422: {
      title: "The service refused the request",
      advice: "Change what it names, then submit again:",
    },
    429: {
      title: "The queue is full",
      advice:
        "The service runs, but more requests wait than it takes. It is asked again by itself; Cancel ends that.",
    },
    503: {
      title: "The model is not ready",
      advice:
        "It is loading or has just been restarted. It is asked again by itself where the service says when; Cancel ends that.",
    },
    504: {
      title: "The ranking took too long",
      advice: "Send fewer or shorter documents, or allow more time:",
    },
    other: {
      title: "The service failed",
      advice: "Submit again; if that does not help, the service's log says more.",
    },
  },
};
