"""Token ids of prompts and single texts, padded to one length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from models.jina.prompt import SpecialTokens, prompt_segments
from training.pairs import Example


@dataclass(frozen=True)
class Batch:
    """`ids` [rows, tokens] after the common `prefix` [tokens]; `positions` [rows, marks] in ids."""

    prefix: Tensor
    ids: Tensor
    positions: Tensor


class Batcher:
    """Writes prompts as the service does."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        names = ("<|im_start|>", "<|im_end|>", "<|embed_token|>", "<|rerank_token|>")
        ids = tokenizer.get_vocab()
        self._special = SpecialTokens(*(ids[name] for name in names))

    def prompts(self, examples: Sequence[Example]) -> Batch:
        """Prompts of lists of one size; marked are their documents, then their query."""
        rows = []
        for example in examples:
            segments = prompt_segments(self._special, example.query, example.documents)
            rows.append([i for s in segments for i in self._ids(s)])
        return self._batch(rows, [self._special.embed, self._special.rerank])

    @property
    def vocabulary_size(self) -> int:
        """Tokens, special ones included."""
        return int(self._tokenizer.get_vocab_size())

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Of each text alone."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(texts)]

    def cut(self, text: str, tokens: int) -> str:
        """The start of the text that takes so many tokens."""
        offsets = self._tokenizer.encode(text).offsets
        return text[: offsets[tokens][0]] if len(offsets) > tokens else text

    def _ids(self, segment: str | int) -> list[int]:
        return [segment] if isinstance(segment, int) else self._tokenizer.encode(segment).ids

    def _batch(self, rows: list[list[int]], marks: Sequence[int]) -> Batch:
        columns = enumerate(zip(*rows, strict=False))
        common = next((i for i, ids in columns if len(set(ids)) > 1), 0)
        width = max(map(len, rows)) - common
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, : len(row) - common] = torch.tensor(row[common:])
        marked = torch.isin(ids, torch.tensor(marks))
        positions = marked.nonzero()[:, 1].view(len(rows), -1)
        return Batch(torch.tensor(rows[0][:common], dtype=torch.long), ids, positions)
