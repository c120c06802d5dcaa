"""Hidden states out of `/completion`, from a GGUF with the readout head of `models.prepare`."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.llama_server import LlamaServer, LlamaServerError, TokenIds, TopTokens
from models.readout import HiddenStates, OnTurn, Reading, no_matter
from models.slots import SlotPool

# The mean square of what RMSNorm has normalised is 1; less only for states near its epsilon or
# where the head hides components, and never more but for rounding.
_LEAST_MEAN_SQUARE, _MOST_MEAN_SQUARE = 0.5, 1.02
_NOT_OURS = (
    "llama-server sent probabilities that are not those of the readout head: "
    "does it serve the GGUF of RERANKER_GGUF?"
)


class PrefixReadout:
    """Reads each position as the next-token log-probabilities of the prompt up to it.

    The positions of a prompt are read in order through one slot, whose KV cache holds what came
    before, so each token is computed once. A state that was read for an earlier prompt of the slot
    that started alike is not read again.

    With n the hidden size, the head's logits are plus and minus the normalised state and zero for
    every other token: the n + 1 most probable tokens are all the positive ones and one zero, the
    last, against which the others are measured.

    Precision: a logit is within ±√n, so a log-probability is within 2√n + ln(vocabulary), 76 for
    jina-reranker-v3, where float32 numbers are 2⁻¹⁷ apart. The difference of two of them is off by
    at most 2⁻¹⁷ ≈ 7.6e-6, in units of the state's root mean square; all n components together by a
    relative L2 error of at most 7.6e-6. What the head itself rounds comes on top: 2⁻¹¹ for each
    component where llama.cpp multiplies an F16 head with states in F16.
    """

    def __init__(
        self,
        server: LlamaServer,
        head_scale: NDArray[np.float32],
        slots: SlotPool,
        max_tokens: int,
        harmless: int,
    ) -> None:
        self.hidden_size = len(head_scale)
        self.max_tokens = max_tokens
        self._server = server
        self._head_scale = head_scale
        self._slots = slots
        self._harmless = harmless

    @classmethod
    async def connect(cls, server: LlamaServer, head_scale: NDArray[np.float32]) -> PrefixReadout:
        """Use all slots of `server`; `head_scale` is that of the GGUF it serves, [hidden].

        Raises `LlamaServerError` if the server does not serve a GGUF with that head.
        """
        props = await server.props()
        harmless = int((await server.tokenize(["a"]))[0])
        # A prompt must leave room for the sampled token.
        max_tokens = props.context_size - 1
        slots = SlotPool(props.total_slots)
        readout = cls(server, head_scale, slots, max_tokens, harmless)
        await readout.read(np.array([harmless]), [0])
        return readout

    @property
    def waiting(self) -> int:
        """See `Readout.waiting`."""
        return self._slots.waiting

    async def read(
        self, ids: TokenIds, positions: Sequence[int], on_turn: OnTurn = no_matter
    ) -> Reading:
        """See `Readout.read`."""
        start = time.perf_counter()
        async with self._slots.lease(ids) as slot:
            queue_seconds = time.perf_counter() - start
            on_turn()
            for position in positions:
                if position not in slot.states:
                    slot.states[position] = await self._read_one(ids[: position + 1], slot.id)
            states = np.stack([slot.states[position] for position in positions])
            return Reading(states, slot.reused_tokens, queue_seconds)

    async def _read_one(self, prompt: TokenIds, slot: int) -> HiddenStates:
        count = self.hidden_size + 1
        return self._decode(await self._server.top_tokens(prompt, count, slot, self._harmless))

    def _decode(self, tokens: TopTokens) -> HiddenStates:
        """One hidden state, float32 [hidden], out of the n + 1 most probable tokens."""
        size = self.hidden_size
        if len(tokens.ids) != size + 1 or not np.isfinite(tokens.logprobs).all():
            raise LlamaServerError(_NOT_OURS)
        logits = tokens.logprobs - tokens.logprobs[-1]
        rows, logits = tokens.ids[logits > 0], logits[logits > 0]
        components = rows % size
        if rows.max(initial=0) >= 2 * size or len(np.unique(components)) != len(rows):
            raise LlamaServerError(_NOT_OURS)
        normalised = np.zeros(size, np.float32)
        normalised[components] = np.where(rows < size, logits, -logits)
        scale = self._head_scale
        least = _LEAST_MEAN_SQUARE if scale.all() else 0.0
        if not least <= np.square(normalised).mean() <= _MOST_MEAN_SQUARE:
            raise LlamaServerError(_NOT_OURS)
        return np.divide(normalised, scale, out=np.zeros(size, np.float32), where=scale != 0)
