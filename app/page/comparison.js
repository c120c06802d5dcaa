/** How rankings differ: where their documents moved, and in what they were asked. */

/**
 * Places that each document of `ranking` is above where it was, by its index: in `other`, where
 * undefined tells that it is not there, or in the order of the input.
 */
export function movesOf(ranking, other) {
  const { results } = ranking.answer;
  if (!other) return new Map(results.map(({ index }, place) => [index, index - place]));
  const names = namesOf(ranking);
  const otherNames = namesOf(other);
  const places = new Map(other.answer.results.map(({ index }, place) => [otherNames[index], place]));
  const moved = ({ index }, place) => places.get(names[index]) - place;
  return new Map(results.map((result, place) => [result.index, finite(moved(result, place))]));
}

/** What a `ranking` was made with, as names of words with their value. */
export function factsOf({ body, model }) {
  return [
    ["modelName", model.id],
    body.instruction ? ["instructed", body.instruction] : ["uninstructed"],
    body.long_documents === "split" ? ["splitting"] : ["cutting"],
  ];
}

const finite = (number) => (Number.isNaN(number) ? undefined : number);

/** Names by which documents are the same in two rankings: texts, counted where they repeat. */
function namesOf({ documents }) {
  const times = new Map();
  return documents.map(({ text }) => {
    times.set(text, (times.get(text) ?? 0) + 1);
    return `${times.get(text)} ${text}`;
  });
}
