"""Rows out of `/completion`, from a GGUF with the readout head of `models.llama.head`."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from models.llama.client import LlamaServer, LlamaServerError, Props, TokenIds, TopTokens
from models.llama.fingerprint import Fingerprint
from models.llama.head import Head
from models.llama.readout.base import OnTurn, Reading, Rows, no_matter
from models.llama.runs import Restarted, Runs
from models.llama.slots import Slot

_NOT_OURS = (
    "llama-server sent probabilities that are not those of the readout head: "
    "does it serve the GGUF of RERANKER_GGUF?"
)
# A prompt, and the positions of it that are read.
_Prompt = tuple[TokenIds, Sequence[int]]


class PrefixReadout:
    """Reads each position as the next-token log-probabilities of the prompt up to it.

    The positions of a prompt are read in order through one slot, whose KV cache holds what came
    before, so each token is computed once. A row that was read for an earlier prompt of the slot
    that started alike is not read again.

    With n the rows of M, the head's logits are plus and minus s ⊙ (M·h) and zero for every other
    token: the n + 1 most probable tokens are all the positive ones and one zero, the last, against
    which the others are measured.

    Precision: with d the hidden size a logit is within ±√d, so a log-probability is within
    2√d + ln(vocabulary), 76 for a d of 1,024 and 140 for 4,096, where float32 numbers are 2⁻¹⁷ and
    2⁻¹⁶ apart. The difference of two of them is off by at most that, 7.6e-6 or 1.5e-5, in units of
    the root mean square of what s ⊙ M shows of states in any direction. What the head itself rounds
    comes on top: 2⁻¹¹ for each component where llama.cpp multiplies an F16 head with states in F16.
    """

    def __init__(
        self,
        server: LlamaServer,
        head: Head,
        fingerprint: Fingerprint,
        harmless: int,
    ) -> None:
        self.width = head.width
        self.max_tokens = 0
        self._server = server
        self._head = head
        self._fingerprint = fingerprint
        self._harmless = harmless
        self._runs = Runs(server, fingerprint, self._recognise)

    @classmethod
    async def connect(
        cls, server: LlamaServer, head: Head, fingerprint: Fingerprint
    ) -> PrefixReadout:
        """Use all slots of `server`; `head` is that of the GGUF it serves.

        Raises `LlamaServerError` if the server does not serve a GGUF with that head and
        `fingerprint`.
        """
        readout = cls(server, head, fingerprint, int((await server.tokenize(["a"]))[0]))
        await readout.check()
        return readout

    async def check(self) -> None:
        """See `Readout.check`."""
        await self._runs.check()

    @property
    def waiting(self) -> int:
        """See `Readout.waiting`."""
        return self._runs.waiting

    def known(self, ids: TokenIds) -> int:
        """See `Readout.known`."""
        return self._runs.known(ids)

    async def read(
        self, ids: TokenIds, positions: Sequence[int], on_turn: OnTurn = no_matter
    ) -> Reading:
        """See `Readout.read`."""
        (reading,) = await self._read([(ids, positions)], on_turn)
        return reading

    async def read_ends(
        self, prompts: Sequence[TokenIds], on_turn: OnTurn = no_matter
    ) -> list[Reading]:
        """See `SerialReadout.read_ends`."""
        return await self._read([(ids, [len(ids) - 1]) for ids in prompts], on_turn)

    async def _read(self, prompts: Sequence[_Prompt], on_turn: OnTurn) -> list[Reading]:
        start = time.perf_counter()
        try:
            return await self._read_through_slot(prompts, start, on_turn)
        except Restarted:
            # Of an outside llama-server others may use the slots too, and go on to.
            return await self._read_through_slot(prompts, start, on_turn, doubt_cache=False)

    async def _read_through_slot(
        self,
        prompts: Sequence[_Prompt],
        start: float,
        on_turn: OnTurn,
        doubt_cache: bool = True,
    ) -> list[Reading]:
        run = await self._runs.get()
        readings, any_lost = [], False
        with self._runs.doubting(run):
            async with run.slots.lease(prompts[0][0]) as slot:
                queue_seconds = time.perf_counter() - start
                self._runs.check_current(run)
                on_turn()
                for ids, positions in prompts:
                    computed, lost = await self._fill(slot, ids, positions)
                    rows = np.stack([slot.rows[position] for position in positions])
                    readings.append(Reading(rows, max(len(ids) - computed, 0), queue_seconds))
                    queue_seconds, any_lost = 0.0, any_lost or lost
                if any_lost and run.name is None and doubt_cache:
                    raise Restarted("llama-server lost its cache")
                await self._runs.confirm(run, ask=any_lost)
        return readings

    async def _fill(self, slot: Slot, ids: TokenIds, positions: Sequence[int]) -> tuple[int, bool]:
        """Read the rows that `slot` does not have yet.

        The tokens computed for them, and whether there was less in its cache than should be.
        """
        slot.turn_to(ids)
        computed, lost = 0, False
        for position in positions:
            if position in slot.rows:
                continue
            prompt = ids[: position + 1]
            slot.cached = slot.cached[: len(prompt)]
            # Of a prompt that is all there the last token is computed again.
            expected = min(len(slot.cached), len(prompt) - 1)
            tokens = await self._top_tokens(prompt, slot.id, use_cache=not slot.foreign)
            slot.foreign = False
            lost |= tokens.cached_tokens < expected
            slot.rows[position] = self._decode(tokens)
            slot.cached = prompt
            computed += tokens.computed_tokens
        return computed, lost

    async def _recognise(self, props: Props) -> None:
        """Check every slot; raises `OtherWeights` if llama-server does not have ours."""
        for slot in range(props.total_slots):
            self._fingerprint.check(await self._opening(slot), self._head.matrix)
        # A prompt must leave room for the sampled token.
        self.max_tokens = props.context_size - 1

    async def _opening(self, slot: int) -> Rows:
        """What `slot` makes of the fingerprint's tokens, float32 [positions, width]."""
        rows: list[Rows] = []
        for position in self._fingerprint.positions(self.width):
            prompt = self._fingerprint.ids[: position + 1]
            # From nothing at first: a cache may be older than the weights.
            rows.append(self._decode(await self._top_tokens(prompt, slot, use_cache=bool(rows))))
        return np.stack(rows)

    async def _top_tokens(self, prompt: TokenIds, slot: int, use_cache: bool = True) -> TopTokens:
        count = self.width + 1
        return await self._server.top_tokens(prompt, count, slot, self._harmless, use_cache)

    def _decode(self, tokens: TopTokens) -> Rows:
        """One row, float32 [width], out of the width + 1 most probable tokens."""
        width, scale = self.width, self._head.scale
        if len(tokens.ids) != width + 1 or not np.isfinite(tokens.logprobs).all():
            raise LlamaServerError(_NOT_OURS)
        logits = tokens.logprobs - tokens.logprobs[-1]
        ids, logits = tokens.ids[logits > 0], logits[logits > 0]
        components = ids % width
        if ids.max(initial=0) >= 2 * width or len(np.unique(components)) != len(ids):
            raise LlamaServerError(_NOT_OURS)
        signed = np.zeros(width, np.float32)
        signed[components] = np.where(ids < width, logits, -logits)
        if not self._head.can_give(signed):
            raise LlamaServerError(_NOT_OURS)
        return np.divide(signed, scale, out=np.zeros(width, np.float32), where=scale != 0)
