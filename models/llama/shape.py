"""What a llama-server is started as: its slots, its context, and the options they bring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

# Tokens of a slot: room for the longest query and document.
_LEAST_CONTEXT = 4096
_PREFIX_CONTEXT = 16384
# What a slot can go back to, in windowed layers, each as large as their window.
_CHECKPOINTS = 1
# Of a model that does not tell its own.
_PAIR = 512
# Prompts that wait are computed together, which costs attention between all their tokens. A GPU
# has the idle units for it; on a CPU it is only good for not being idle between two calls.
_PAIRS_ON_GPU, _PAIRS_ON_CPU = 8, 2


class Wishes(Protocol):
    """The settings that decide."""

    @property
    def readout(self) -> str:
        """How hidden states are read: prefix or embedding."""

    @property
    def max_length(self) -> int | None:
        """Tokens of the longest query and document together; None: the model's own."""

    @property
    def llama_arg_ctx_size(self) -> int | None:
        """Tokens of all slots together; 0: all that the model was made for."""

    @property
    def llama_arg_n_parallel(self) -> int | None:
        """Slots; None: as many as are good for the device."""


@dataclass(frozen=True)
class Shape:
    """`context` are the tokens of all `slots` together; no less than `least_context` is of use.

    `batch` are those of a physical batch, None: llama-server's own. An encoder keeps no cache of
    keys and values, so that only its `batch` takes memory. The user's LLAMA_ARG_… replace
    `defaults`, and none replaces what is `forced`.
    """

    slots: int
    context: int
    least_context: int
    batch: int | None
    encodes: bool
    defaults: Mapping[str, str]
    forced: Mapping[str, str]


def reading(wishes: Wishes, trained: int | None, on_gpu: bool, windows: bool = False) -> Shape:
    """For hidden states of single positions; `trained` is the model's own context.

    Of a model with `windows`, a slot keeps what these still need.
    """
    embedding = wishes.readout == "embedding"
    # A GPU has idle moments between the calls of one request that another can use.
    slots = wishes.llama_arg_n_parallel or (2 if on_gpu and not embedding else 1)
    ours = _LEAST_CONTEXT if embedding else _PREFIX_CONTEXT * slots
    context = _context(wishes, trained) or ours
    least = _LEAST_CONTEXT * slots
    if embedding:
        # A whole prompt must fit one physical batch.
        forced = {"LLAMA_ARG_EMBEDDINGS": "1", "LLAMA_ARG_POOLING": "none"}
        return Shape(slots, context, least, context, False, _batch(context), forced)
    defaults, forced = {"LLAMA_ARG_CACHE_RAM": "0"}, {"LLAMA_ARG_EMBEDDINGS": "0"}
    if windows:
        defaults["LLAMA_ARG_CTX_CHECKPOINTS"] = str(_CHECKPOINTS)
    return Shape(slots, context, least, None, False, defaults, forced)


def pooling(wishes: Wishes, trained: int | None, on_gpu: bool) -> Shape:
    """For the first state of prompts that an encoder computes whole; `trained` as above."""
    slots = wishes.llama_arg_n_parallel or (_PAIRS_ON_GPU if on_gpu else _PAIRS_ON_CPU)
    longest = trained or _PAIR
    if wishes.max_length:
        longest = min(longest, wishes.max_length)
    context = _context(wishes, trained) or slots * longest
    # Without a cache of keys and values less context saves nothing.
    forced = {"LLAMA_ARG_EMBEDDINGS": "1", "LLAMA_ARG_POOLING": "cls"}
    defaults = {"LLAMA_ARG_CACHE_RAM": "0", **_batch(longest)}
    return Shape(slots, context, context, longest, True, defaults, forced)


def _context(wishes: Wishes, trained: int | None) -> int | None:
    """As the user set it."""
    return trained if wishes.llama_arg_ctx_size == 0 else wishes.llama_arg_ctx_size


def _batch(tokens: int) -> dict[str, str]:
    return {"LLAMA_ARG_BATCH": str(tokens), "LLAMA_ARG_UBATCH": str(tokens)}
