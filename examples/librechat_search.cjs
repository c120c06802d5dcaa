// The reranker of LibreChat's web search, out of the package that it is made of. In LibreChat's
// .env: JINA_API_URL=http://localhost:7998/v1/rerank and any JINA_API_KEY.
//
// Without the service it logs the error and keeps the order of the search.
process.env.JINA_API_URL = `${process.env.RERANKER_URL ?? "http://localhost:7998"}/v1/rerank`;
process.env.JINA_API_KEY ??= "key";

const path = require("node:path");

// The package does not export it alone.
const agents = path.dirname(require.resolve("@librechat/agents"));
const { createReranker } = require(path.join(agents, "tools/search/rerankers.cjs"));

const texts = [
  "When the meeting ended, Minsu asked when the next meeting is.",
  "Grace is allergic to peanuts.",
  "The meeting about quality is tomorrow at two.",
  "Lunch is at noon in the garden.",
];
const quiet = { debug() {}, info() {}, warn: console.error, error: console.error };

createReranker({ rerankerType: "jina", logger: quiet })
  .rerank("when is the quality meeting?", texts, 4)
  .then((ranked) => ranked.forEach(({ text }) => console.log(text)));
