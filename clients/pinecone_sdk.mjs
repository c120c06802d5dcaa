import { Pinecone } from "@pinecone-database/pinecone";
import { URL, documents, query, tell } from "./sample.mjs";

const client = new Pinecone({ apiKey: "key", controllerHostUrl: URL });
const { data } = await client.inference.rerank({ model: "any", query, documents, topN: 4 });
tell(data.map((result) => result.index));
