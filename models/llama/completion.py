"""The answer of `/completion`, straight from its bytes: most of it is never made an object."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray


class _Token(msgspec.Struct, gc=False):
    id: int
    logprob: float


class _Position(msgspec.Struct):
    top_logprobs: list[_Token]


class _Timings(msgspec.Struct):
    cache_n: int
    prompt_n: int


class Completion(msgspec.Struct):
    """What is read of it: the probable tokens of the one sampled, and what was computed."""

    completion_probabilities: list[_Position]
    timings: _Timings

    @classmethod
    def of(cls, content: bytes) -> Completion:
        """Raises `ValueError` unless `content` is the JSON of one with such tokens."""
        try:
            answer = _DECODER.decode(content)
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from error
        if not answer.completion_probabilities:
            raise ValueError("no token was sampled")
        return answer

    def ids(self) -> NDArray[np.int64]:
        """Of the tokens, best first; raises `OverflowError`."""
        tokens = self.completion_probabilities[0].top_logprobs
        return np.fromiter((token.id for token in tokens), np.int64, len(tokens))

    def logprobs(self) -> NDArray[np.float32]:
        """Of the same tokens."""
        tokens = self.completion_probabilities[0].top_logprobs
        return np.fromiter((token.logprob for token in tokens), np.float32, len(tokens))


_DECODER = msgspec.json.Decoder(Completion)
