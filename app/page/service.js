/** The service behind the page. */

/** Where rankings are asked for. */
export const url = new URL("rerank", document.baseURI);

/**
 * Ask for a ranking: the `answer`, with the `seconds` it took, or else the `failure`, whose status
 * is that of HTTP or "unreachable", and whose detail is the service's sentence about it.
 */
export async function rerank(body, key, signal) {
  const headers = { "Content-Type": "application/json" };
  if (key) headers.Authorization = `Bearer ${utf8(key)}`;
  const start = performance.now();
  const { status, text } = await post(JSON.stringify(body), headers, signal);
  const answer = parse(text);
  if (status === 200 && answer?.results) {
    return { answer: { ...answer, seconds: (performance.now() - start) / 1000 } };
  }
  return { failure: { status, detail: answer?.detail ?? "" } };
}

async function post(body, headers, signal) {
  try {
    const response = await fetch(url, { method: "POST", body, headers, signal });
    return { status: response.status, text: await response.text() };
  } catch {
    return { status: "unreachable", text: "" };
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
