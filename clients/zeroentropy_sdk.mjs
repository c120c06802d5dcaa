import { ZeroEntropy } from "zeroentropy";
import { URL, documents, query, tell } from "./sample.mjs";

const client = new ZeroEntropy({ apiKey: "key", baseURL: `${URL}/v1`, maxRetries: 0 });
const { results } = await client.models.rerank({ model: "zerank-2", query, documents });
tell(results.map((result) => result.index));
