from __future__ import annotations

import pytest

from models.jina.blocks import plan_blocks
from models.rerank import DoesNotFit


@pytest.mark.parametrize(
    ("lengths", "capacity", "sizes"),
    [
        ([], 10, []),
        ([10], 10, [1]),
        ([5, 5, 1], 10, [2, 1]),
        ([1, 10, 1], 10, [1, 1, 1]),
        ([1] * 250, 1000, [125, 125]),
        ([1] * 126, 1000, [125, 1]),
        ([4] * 130, 400, [100, 30]),
    ],
)
def test_blocks_close_when_full(lengths: list[int], capacity: int, sizes: list[int]) -> None:
    blocks = plan_blocks(lengths, capacity)

    assert [len(block) for block in blocks] == sizes
    assert [i for block in blocks for i in block] == list(range(len(lengths)))


def test_document_longer_than_a_prompt() -> None:
    with pytest.raises(DoesNotFit, match="document 1 needs 11 tokens and 10 are left"):
        plan_blocks([1, 11], 10)
