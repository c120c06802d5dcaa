"""Names of fields that people try, taken from other APIs or from memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

# Each means one thing, which a dialect calls by one of the names.
_MEANINGS = (
    frozenset({"query", "question", "q", "search_query", "text_1", "queries"}),
    frozenset(
        {
            *("documents", "document", "docs", "texts", "passages", "passage", "input", "inputs"),
            *("candidates", "items", "sentences", "chunks", "text_2"),
        }
    ),
    frozenset(
        {"top_n", "top-n", "topN", "topn", "top_k", "topK", "topk", "k", "limit", "max_results"}
    ),
    frozenset({"return_documents", "return_docs", "return_text", "return_input"}),
    frozenset({"instruction", "instruct", "task_instruction"}),
)
TRIED = frozenset().union(*_MEANINGS)


def misnamed(body: Mapping[str, Any], known: Collection[str]) -> str | None:
    """What to say of fields that have another name where `known` ones are; None if there are none.

    Who sends both names means to be understood by several services.
    """
    told = []
    for meaning in _MEANINGS:
        right = [name for name in known if name in meaning]
        if not right or any(name in body for name in right):
            continue
        tried = [name for name in body if name in meaning and body[name] is not None]
        told += [f"{name}: is called {' or '.join(right)} here" for name in tried]
    return "; ".join(told) or None
