/** The service behind the page. */

/** Where rankings are asked for. */
export const url = new URL("rerank", document.baseURI);

/** What tells of the model, and so of its scores. */
const modelsUrl = new URL("v1/models", document.baseURI);

/**
 * Ask for a ranking: the `answer`, with the `seconds` it took and the `model` that made it, or else
 * the `failure`, whose status is that of HTTP or "unreachable", and whose detail is the service's
 * sentence about it.
 */
export async function rerank(body, key, signal) {
  const headers = key ? { Authorization: `Bearer ${utf8(key)}` } : {};
  const start = performance.now();
  const post = { method: "POST", body: JSON.stringify(body), signal };
  const ranked = await ask(url, {
    ...post,
    headers: { ...headers, "Content-Type": "application/json" },
  });
  const seconds = (performance.now() - start) / 1000;
  if (!ranked.content?.results) return failed(ranked);
  const models = await ask(modelsUrl, { headers, signal });
  if (!models.content?.data) return failed(models);
  return { answer: { ...ranked.content, seconds, model: models.content.data[0] } };
}

function failed({ status, content }) {
  return { failure: { status, detail: content?.detail ?? "" } };
}

async function ask(url, options) {
  try {
    const response = await fetch(url, options);
    return { status: response.status, content: parse(await response.text()) };
  } catch {
    return { status: "unreachable", content: null };
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** `text` as a header can carry it: a character for each byte. */
function utf8(text) {
  return String.fromCharCode(...new TextEncoder().encode(text));
}
