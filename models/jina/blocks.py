"""Which documents share a prompt."""

from __future__ import annotations

from collections.abc import Sequence

from models.rerank import DoesNotFit

MAX_DOCUMENTS_PER_BLOCK = 125


def plan_blocks(lengths: Sequence[int], capacity: int) -> list[range]:
    """Split documents of `lengths` tokens, in order, into blocks of at most `capacity` tokens.

    A block closes at 125 documents or when the next document would not fit. Raises `DoesNotFit`
    if one document alone is longer than `capacity`.
    """
    blocks: list[range] = []
    start = used = 0
    for i, length in enumerate(lengths):
        if length > capacity:
            raise DoesNotFit(
                f"document {i} needs {length:,} tokens and {max(capacity, 0):,} are left "
                "beside the query and the instruction"
            )
        if used + length > capacity or i - start == MAX_DOCUMENTS_PER_BLOCK:
            blocks.append(range(start, i))
            start, used = i, 0
        used += length
    if lengths:
        blocks.append(range(start, len(lengths)))
    return blocks
