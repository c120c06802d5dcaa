/** What was typed: the tab keeps it when the page is reloaded, left and come back to. */

/** The draft kept, or an empty object. */
export function keptDraft() {
  return JSON.parse(sessionStorage.getItem("draft")) ?? {};
}

/** Keep `draft`; whether there is room for it. */
export function keepDraft(draft) {
  try {
    sessionStorage.setItem("draft", JSON.stringify(draft));
    return true;
  } catch {
    // An older one would come back in its place.
    sessionStorage.removeItem("draft");
    return false;
  }
}
