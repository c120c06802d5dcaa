// Providers of Vercel's AI SDK; the argument names one.
import { createCohere } from "@ai-sdk/cohere";
import { rerank } from "ai";
import { createVoyage } from "voyage-ai-provider";
import { URL, documents, query, tell } from "./sample.mjs";

const models = {
  cohere: () => createCohere({ apiKey: "key", baseURL: `${URL}/v2` }).reranking("any"),
  voyage: () => createVoyage({ apiKey: "key", baseURL: `${URL}/v1` }).reranking("rerank-2"),
};
const model = models[process.argv[2]]();
const { ranking } = await rerank({ model, query, documents, maxRetries: 0 });
tell(ranking.map((result) => result.originalIndex));
