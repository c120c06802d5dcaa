/** The shell command that asks what the page asked. */

import { url } from "./service.js";
import { words } from "./words.js";

/** The command for the request `body`; the key stays out of it. */
export function curlCommand(body, needsKey) {
  const authorization = needsKey ? ' -H "Authorization: Bearer $RERANKER_API_KEY"' : "";
  // A quoted here-document takes any text as it is, of any length.
  return `curl ${url} -H 'Content-Type: application/json'${authorization} --data-binary @- <<'END'
${JSON.stringify(body, null, 2)}
END
`;
}

/** Copy `command`, or show it in `field` where the browser lets no page copy: over plain HTTP. */
export async function copyOrShow(command, button, field) {
  try {
    await navigator.clipboard.writeText(command);
    button.textContent = words.copied;
  } catch {
    const text = field.querySelector("textarea");
    field.hidden = false;
    text.value = command;
    text.select();
  }
}
