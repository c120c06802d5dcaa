"""The state of a prompt's first token, out of `/embedding`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from models.llama.client import LlamaServer, LlamaServerError, LlamaServerTimeout, TokenIds
from models.llama.fingerprint import Fingerprint
from models.llama.readout.base import OnTurn, no_matter
from models.llama.readout.embedding import max_tokens
from models.llama.readout.prefix import Restarted
from models.llama.renewable import Renewable
from models.llama.slots import SlotPool
from models.llama.tensors import Floats


@dataclass(eq=False)
class _Run:
    """One start of llama-server that was found to have our weights.

    `name` is that of `Props.run`. Answers over its first `connections` are from it as long as the
    GGUF has the `file_stamp`: the file is mapped, and llama-server computes with what is in it now.
    """

    name: str | None
    slots: SlotPool
    connections: int
    file_stamp: tuple[int, ...]


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
        self._runs = Renewable(self._recognise)

    @classmethod
    async def connect(cls, server: LlamaServer, fingerprint: Fingerprint) -> PooledReadout:
        """Use all slots of `server`; raises `LlamaServerError` unless it has the `fingerprint`."""
        readout = cls(server, fingerprint)
        await readout._runs.get()
        return readout

    @property
    def waiting(self) -> int:
        """Prompts that wait for a slot."""
        run = self._runs.value
        return run.slots.waiting if run else 0

    async def check(self) -> None:
        """Raise `LlamaServerError` unless llama-server runs and has the weights we mean."""
        run = await self._runs.get()
        try:
            with self._doubting(run):
                await self._confirm(run, ask=True)
        except Restarted:
            await self._runs.get()

    async def read(self, ids: TokenIds, on_turn: OnTurn = no_matter) -> Floats:
        """The state of the first of `ids`, float32 [hidden]; raises `LlamaServerError`."""
        try:
            return await self._read(ids, on_turn)
        except Restarted:
            return await self._read(ids, on_turn)

    async def _read(self, ids: TokenIds, on_turn: OnTurn) -> Floats:
        run = await self._runs.get()
        with self._doubting(run):
            async with run.slots.lease(ids):
                self._check_current(run)
                on_turn()
                state = await self._server.pooled(ids)
                await self._confirm(run)
        return state

    async def _recognise(self) -> _Run:
        """Find out what llama-server now runs; raises `OtherWeights` if it is not ours."""
        connections, stamp = self._server.connections, self._fingerprint.file_stamp()
        props = await self._server.props()
        await self._check_weights()
        probe = int(self._fingerprint.ids[0])
        self.max_tokens = await max_tokens(self._server, props.context_size, probe)
        self.slots = props.total_slots
        return _Run(props.run, SlotPool(props.total_slots), connections, stamp)

    async def _check_weights(self) -> None:
        self._fingerprint.check((await self._server.pooled(self._fingerprint.ids))[np.newaxis])

    async def _confirm(self, run: _Run, ask: bool = False) -> None:
        """Raise `Restarted` unless what was read so far came from `run` and its weights.

        Asks llama-server for its name if told to, or if a connection is new; one without names is
        recognised again.
        """
        connections = self._server.connections
        if ask or connections != run.connections:
            if (await self._server.props()).run != run.name:
                raise Restarted("llama-server was started again")
            if run.name is None:
                await self._check_weights()
            run.connections = connections
        if self._fingerprint.file_stamp() != run.file_stamp:
            raise Restarted("the GGUF was written to or replaced")
        self._check_current(run)

    def _check_current(self, run: _Run) -> None:
        if not self._runs.holds(run):
            raise Restarted("llama-server has to be recognised again")

    @contextmanager
    def _doubting(self, run: _Run) -> Iterator[None]:
        """Have llama-server recognised again after an error."""
        try:
            yield
        except LlamaServerTimeout:
            raise
        except LlamaServerError:
            self._runs.drop(run)
            raise
