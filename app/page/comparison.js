/** How rankings differ: where their documents moved, and in what they were asked. */

/** Places that each document of `ranking` is above where it was in the input, by its index. */
export function movesFromInput({ answer }) {
  return new Map(answer.results.map(({ index }, place) => [index, index - place]));
}

/** The same from where it is in `other`; undefined where it is not there. */
export function movesFrom(other, ranking) {
  const { results } = ranking.answer;
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
