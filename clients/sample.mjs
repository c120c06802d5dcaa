// What every client here is asked, and how it tells the order: texts, best first, one a line.
import { readFileSync } from "node:fs";

export const URL = process.env.RERANKER_URL;
const file = new globalThis.URL("sample.json", import.meta.url);
export const { query, documents } = JSON.parse(readFileSync(file, "utf8"));

export function tell(order) {
  for (const index of order) console.log(documents[index]);
}
