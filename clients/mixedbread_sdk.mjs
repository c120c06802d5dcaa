import { Mixedbread } from "@mixedbread/sdk";
import { URL, documents, query, tell } from "./sample.mjs";

const client = new Mixedbread({ apiKey: "key", baseURL: URL, maxRetries: 0 });
const { data } = await client.rerank({ query, input: documents });
tell(data.map((result) => result.index));
