import { CohereRerank } from "@langchain/cohere";
import { CohereClient } from "cohere-ai";
import { URL, documents, query, tell } from "./sample.mjs";

const client = new CohereClient({ token: "key", environment: URL });
const compressor = new CohereRerank({ client, apiKey: "key", model: "any", topN: 4 });
const ranking = await compressor.rerank(documents, query, { topN: 4 });
tell(ranking.map((result) => result.index));
