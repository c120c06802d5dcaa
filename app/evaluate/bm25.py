"""A first stage for data that come without one."""

from __future__ import annotations

import re
from collections.abc import Mapping

import bm25s


def top(texts: Mapping[str, str], topics: Mapping[str, str], depth: int) -> dict[str, list[str]]:
    """Ids of the `depth` best documents of each query by BM25 (Lucene's, k1 1.5, b 0.75).

    Words are lower-cased runs of letters and digits, of Chinese, Japanese and Korean pairs of
    characters; documents without a word of the query are left out.
    """
    ids = list(texts)
    documents = [words(text) for text in texts.values()]
    found: dict[str, list[str]] = {id: [] for id in topics}
    if not any(documents):
        return found
    index = bm25s.BM25()
    index.index(documents, show_progress=False)
    # Neither documents nor a query without a word are foreseen by bm25s.
    for id, query in topics.items():
        if asked := words(query):
            scores = index.get_scores(asked)
            best = (-scores).argsort(kind="stable")[:depth]
            found[id] = [ids[place] for place in best if scores[place] > 0]
    return found


_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
)


def words(text: str) -> list[str]:
    """The words that BM25 compares."""
    found = []
    for word in _WORD.findall(text.lower()):
        spaced = word[0] < "\u3040" or len(word) == 1
        pairs = [word[i : i + 2] for i in range(len(word) - 1)]
        found.extend([word] if spaced else pairs)
    return found
