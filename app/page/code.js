/** Code that asks what the page asked, in three languages; the key stays out of it. */

import { url } from "./service.js";

/** A shell command. */
export function curl(body, needsKey) {
  const authorization = needsKey ? ' -H "Authorization: Bearer $RERANKER_API_KEY"' : "";
  // A quoted here-document takes any text as it is, of any length.
  return `curl ${url} -H 'Content-Type: application/json'${authorization} --data-binary @- <<'END'
${JSON.stringify(body, null, 2)}
END
`;
}

/** A program that needs Python only. */
export function python(body, needsKey) {
  const [imports, authorization] = needsKey
    ? ["json, os, urllib.request", ', "Authorization": f"Bearer {os.environ[\'RERANKER_API_KEY\']}"']
    : ["json, urllib.request", ""];
  return `import ${imports}

body = ${literal(body)}
request = urllib.request.Request(
    ${JSON.stringify(url)},
    data=json.dumps(body).encode(),
    headers={"Content-Type": "application/json"${authorization}},
)
with urllib.request.urlopen(request) as response:
    answer = json.load(response)
for result in answer["results"]:
    print(result["relevance_score"], body["documents"][result["index"]])
`;
}

/** A module. */
export function javascript(body, needsKey) {
  const authorization = needsKey
    ? ", Authorization: `Bearer ${process.env.RERANKER_API_KEY}`"
    : "";
  return `const body = ${JSON.stringify(body, null, 2)};
const response = await fetch(${JSON.stringify(url)}, {
  method: "POST",
  headers: { "Content-Type": "application/json"${authorization} },
  body: JSON.stringify(body),
});
const { results } = await response.json();
for (const { index, relevance_score } of results) {
  console.log(relevance_score, body.documents[index]);
}
`;
}

/** A JSON object as Python writes it: only some words differ. */
function literal(body) {
  const words = { true: "True", false: "False", null: "None" };
  const text = JSON.stringify(body, null, 4);
  // Strings are passed over whole.
  return text.replace(/"(?:[^"\\]|\\.)*"|\b(?:true|false|null)\b/g, (part) => words[part] ?? part);
}
