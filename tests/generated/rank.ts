// Ranks through a client whose types are generated; prints what the service answered, in JSON.
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

declare const process: { argv: string[] };

const client = createClient<paths>({ baseUrl: process.argv[2] });
const query = "when is lunch?";

// A document may be an object with properties of its own.
const jina = await client.POST("/v1/rerank", {
  body: { query, documents: ["quality meeting", { text: "soup at noon", id: 7 }], top_n: 1 },
});
if (jina.error) throw new Error(jina.error.detail);
const best: components["schemas"]["Result"] = jina.data.results[0];

const fields = await client.POST("/v1/rerank", {
  body: { query, documents: [{ title: "menu", body: "soup" }], rank_fields: ["title", "body"] },
});
if (fields.error) throw new Error(fields.error.detail);

const cohere = await client.POST("/v2/rerank", { body: { query, documents: ["soup"] } });
if (cohere.error) throw new Error(cohere.error.message);
const cohereScore: number = cohere.data.results[0].relevance_score;

const models = await client.GET("/v1/models");
if (models.error) throw new Error(models.error.detail);
const quantization: string | null | undefined = models.data.data[0].quantization;

const refused = await client.POST("/v1/rerank", { body: { query: " ", documents: [] } });

console.log(
  JSON.stringify({
    best,
    rankFields: fields.data.results.length,
    cohereScore,
    quantization: quantization ?? null,
    refused: refused.error?.detail,
  }),
);
