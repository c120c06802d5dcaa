"""The state of a prompt's first token, out of `/embedding`."""

from __future__ import annotations

import numpy as np

from models.llama.client import LlamaServer, Props, TokenIds
from models.llama.fingerprint import Fingerprint
from models.llama.readout.base import OnTurn, no_matter
from models.llama.readout.embedding import max_tokens
from models.llama.runs import Restarted, Runs
from models.llama.tensors import Floats


class PooledReadout:
    """Reads `/embedding` of a llama-server started with `--embeddings --pooling cls`.

    An encoder keeps nothing between prompts, so each is computed whole. `slots` of them are
    computed at a time, each of at most `max_tokens`.
    """

    def __init__(self, server: LlamaServer, fingerprint: Fingerprint) -> None:
        self.max_tokens = 0
        self.slots = 0
        self._server = server
        self._fingerprint = fingerprint
        self._runs = Runs(server, fingerprint, self._recognise)

    @classmethod
    async def connect(cls, server: LlamaServer, fingerprint: Fingerprint) -> PooledReadout:
        """Use all slots of `server`; raises `LlamaServerError` unless it has the `fingerprint`."""
        readout = cls(server, fingerprint)
        await readout._runs.get()
        return readout

    @property
    def waiting(self) -> int:
        """Prompts that wait for a slot."""
        return self._runs.waiting

    async def check(self) -> None:
        """Raise `LlamaServerError` unless llama-server runs and has the weights we mean."""
        await self._runs.check()

    async def read(self, ids: TokenIds, on_turn: OnTurn = no_matter) -> Floats:
        """The state of the first of `ids`, float32 [hidden]; raises `LlamaServerError`."""
        try:
            return await self._read(ids, on_turn)
        except Restarted:
            return await self._read(ids, on_turn)

    async def _read(self, ids: TokenIds, on_turn: OnTurn) -> Floats:
        run = await self._runs.get()
        with self._runs.doubting(run):
            async with run.slots.lease(ids):
                self._runs.check_current(run)
                on_turn()
                before = run.connections
                state = await self._server.pooled(ids)
                await self._runs.confirm(run, ask=False)
                if run.name is None and run.connections != before:
                    # One without a name is known by what it computes alone.
                    await self._check_weights()
        return state

    async def _recognise(self, props: Props) -> None:
        """Raise `OtherWeights` if llama-server does not have ours."""
        await self._check_weights()
        probe = int(self._fingerprint.ids[0])
        self.max_tokens = await max_tokens(self._server, props.context_size, probe)
        self.slots = props.total_slots

    async def _check_weights(self) -> None:
        self._fingerprint.check((await self._server.pooled(self._fingerprint.ids))[np.newaxis])
