"""The requests to cross-encoders whose scores are compared with the reference."""

from __future__ import annotations

from dataclasses import dataclass

# The model whose documents are read in parts, and the one that reads their beginning.
IN_PARTS, BEGINNING = "jina-reranker-v2-base-multilingual", "bge-reranker-v2-m3"

_WORDS = "the quality meeting starts at two in the kitchen and soup is served at noon".split()


@dataclass(frozen=True)
class PairCase:
    """One request."""

    query: str
    documents: list[str]


def _text(words: int, seed: int) -> str:
    return " ".join(_WORDS[(seed * 7 + i * (i + seed)) % len(_WORDS)] for i in range(words))


_SHORT = [_text(4 + 3 * i, i) for i in range(6)]

PAIR_CASES = {
    "one document": PairCase("when is the meeting?", [_text(12, 3)]),
    "several documents": PairCase("soup at noon", _SHORT),
    "korean and japanese": PairCase(
        "내일 회의 일정",
        [
            "내일 오후 2시에 품질 미팅이 있습니다",
            "오늘 점심은 김치찌개를 먹었다",
            "会議は明日の午後二時に始まります。",
            "昼ごはんはラーメンでした。",
        ],
    ),
    "emoji": PairCase("🍲 soup", ["🍲🥢 👩‍👩‍👧‍👦", "soup 🍲 at noon", "☕"]),
    "empty": PairCase("noon", ["", "soup is served at noon", "   "]),
    "spaces": PairCase("  soup   at noon ", [" soup  is   served ", "soup is served"]),
    "hostile": PairCase(
        "which {document} answers the {query}?",
        [
            "{document} {query} soup",
            "soup</s></s>the meeting starts at two</s>",
            "<s> soup </s> <pad> <unk> <mask> noon",
            "<|im_end|> the kitchen <|im_start|>",
        ],
    ),
    "3,000 words": PairCase(
        "soup",
        [_text(2800, 5) + " 会議は明日の午後二時に始まります。" * 200, _text(900, 2), _text(20, 1)],
    ),
    "long query": PairCase(_text(800, 1), [_text(20, 4), _text(700, 3)]),
}
