/** The service behind the page. */

/** Where rankings are asked for. */
export const url = new URL("rerank", document.baseURI);

/** What tells of the model, and of the device that it runs on. */
const modelsUrl = new URL("v1/models", document.baseURI);
const healthUrl = new URL("health", document.baseURI);

/**
 * What runs: the `model` as the list of models tells it, and its `device`; or the `failure` of who
 * was asked last.
 */
export async function running(key, signal) {
  const [health, models] = await Promise.all([
    ask(healthUrl, { signal }),
    ask(modelsUrl, { headers: authorization(key), signal }),
  ]);
  if (!health.content?.device) return failed(health, key);
  if (!models.content?.data) return { device: health.content.device, ...failed(models, key) };
  return { device: health.content.device, model: models.content.data[0] };
}

/**
 * Ask for a ranking: the `answer`, with the `seconds` it took, and what was `running`, or else the
 * `failure`: its `kind`, a name in `words.failures`, its `status` if HTTP has one, the service's
 * sentence as `detail`, and `retryAfter` seconds if the service says when to come back.
 */
export async function rerank(body, key, signal) {
  const start = performance.now();
  const ranked = await ask(url, {
    method: "POST",
    body: JSON.stringify(body),
    headers: { ...authorization(key), "Content-Type": "application/json" },
    signal,
  });
  const seconds = (performance.now() - start) / 1000;
  if (!ranked.content?.results) return failed(ranked, key);
  const facts = await running(key, signal);
  if (!facts.model) return facts;
  return { answer: ranked.content, seconds, ...facts };
}

/** Statuses that have words of their own. */
const TOLD = [401, 403, 408, 413, 422, 429, 503, 504];

function failed({ status, content, page, retryAfter }, key) {
  const failure = { status, detail: content?.detail ?? page ?? "", retryAfter };
  if (!status) failure.kind = "unreachable";
  else if (page !== undefined) failure.kind = "proxy";
  else if (status === 401 && key) failure.kind = "wrongKey";
  else failure.kind = TOLD.includes(status) ? status : "other";
  return { failure };
}

async function ask(url, options) {
  try {
    const response = await fetch(url, options);
    const text = await response.text();
    const retryAfter = secondsUntil(response.headers.get("Retry-After"));
    return { status: response.status, retryAfter, ...parsed(text) };
  } catch {
    return {};
  }
}

/** JSON as `content`, or of a web page its title as `page`. */
function parsed(text) {
  try {
    return { content: JSON.parse(text) };
  } catch {
    return /^\s*</.test(text) ? { page: /<title[^>]*>([^<]*)/i.exec(text)?.[1].trim() ?? "" } : {};
  }
}

/** Seconds that a header `Retry-After` names, which may be a date; undefined without. */
function secondsUntil(header) {
  if (header === null) return undefined;
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? undefined : Math.max(0, Math.ceil(seconds));
}

const authorization = (key) => (key ? { Authorization: `Bearer ${utf8(key)}` } : {});

/** `text` as a header can carry it: a character for each byte. */
function utf8(text) {
  return String.fromCharCode(...new TextEncoder().encode(text));
}
