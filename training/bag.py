"""A bag of tokens: the vectors that training begins with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize


class Bag(nn.Module):
    """A text is the mean of its tokens' directions, weighted by how telling each token is."""

    def __init__(self, frequencies: Tensor, size: int) -> None:
        """`frequencies` [vocabulary]: the share of texts that a token is in."""
        super().__init__()
        self.embeddings = nn.Parameter(torch.randn(len(frequencies), size))
        # At first the inverse document frequency.
        self.log_weights = nn.Parameter(torch.log1p(1 / frequencies).log())

    @property
    def directions(self) -> Tensor:
        """Of each token, [vocabulary, size], of length 1."""
        return normalize(self.embeddings, dim=-1)

    def forward(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """Vectors [texts, size] of length 1 of token ids."""
        rows = [torch.tensor(ids, dtype=torch.long) for ids in texts]
        ids = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1)
        weights = self.log_weights[ids].masked_fill(ids < 0, -torch.inf).softmax(-1)
        return normalize((weights[..., None] * self.directions[ids]).sum(1), dim=-1)
