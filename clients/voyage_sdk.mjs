import { VoyageAIClient } from "voyageai";
import { URL, documents, query, tell } from "./sample.mjs";

const client = new VoyageAIClient({ apiKey: "key", environment: `${URL}/v1` });
// Without topK or truncation its request is Jina's to the letter, and so is the answer.
const body = { model: "rerank-2", query, documents, topK: documents.length };
const { data } = await client.rerank(body, { maxRetries: 0 });
tell(data.map((result) => result.index));
