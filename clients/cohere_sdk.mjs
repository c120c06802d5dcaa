// Versions 1 and 2 of the client: the argument names the class.
import * as cohere from "cohere-ai";
import { URL, documents, query, tell } from "./sample.mjs";

const client = new cohere[process.argv[2]]({ token: "key", environment: URL, maxRetries: 0 });
const { results } = await client.rerank({ model: "any", query, documents }, { maxRetries: 0 });
tell(results.map((result) => result.index));
