"""Starts of llama-server that were found to have our weights, and how that comes into doubt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from models.llama.client import (
    LlamaServer,
    LlamaServerError,
    LlamaServerTimeout,
    LlamaServerUnavailable,
    Props,
    TokenIds,
)
from models.llama.fingerprint import Fingerprint
from models.llama.renewable import Renewable
from models.llama.slots import SlotPool


class Restarted(LlamaServerUnavailable):
    """What was read may be from another start of llama-server, or from other weights."""


@dataclass(eq=False)
class Run:
    """One start of llama-server that was found to have our weights.

    `name` is that of `Props.run`. Answers over its first `connections` are from it as long as the
    GGUF has the `file_stamp`: the file is mapped, and llama-server computes with what is in it now.
    """

    name: str | None
    slots: SlotPool
    connections: int
    file_stamp: tuple[int, ...]


class Runs:
    """The run of `server` that answers, found anew after a doubt.

    `recognise` checks what the server told by `Props` to run now; it raises `OtherWeights` if that
    is not ours.
    """

    def __init__(
        self,
        server: LlamaServer,
        fingerprint: Fingerprint,
        recognise: Callable[[Props], Awaitable[None]],
    ) -> None:
        self._server = server
        self._fingerprint = fingerprint
        self._recognise = recognise
        self._runs = Renewable(self._find)

    async def get(self) -> Run:
        """The run; raises `LlamaServerError` if there is none that is ours."""
        return await self._runs.get()

    @property
    def waiting(self) -> int:
        """Prompts that wait for a slot."""
        run = self._runs.value
        return run.slots.waiting if run else 0

    def known(self, prompt: TokenIds) -> int:
        """Tokens of `prompt` that are in a cache now."""
        run = self._runs.value
        return run.slots.known(prompt) if run else 0

    async def check(self) -> None:
        """Raise `LlamaServerError` unless llama-server runs and has the weights we mean."""
        run = await self.get()
        try:
            with self.doubting(run):
                await self.confirm(run, ask=True)
        except Restarted:
            await self.get()

    async def confirm(self, run: Run, ask: bool) -> None:
        """Raise `Restarted` unless what was read so far came from `run` and its weights.

        Asks llama-server for its name if told to, or if a connection is new.
        """
        connections = self._server.connections
        if ask or connections != run.connections:
            if (await self._server.props()).run != run.name:
                raise Restarted("llama-server was started again")
            run.connections = connections
        if self._fingerprint.file_stamp() != run.file_stamp:
            raise Restarted("the GGUF was written to or replaced")
        self.check_current(run)

    def check_current(self, run: Run) -> None:
        """Raise `Restarted` if `run` came into doubt meanwhile."""
        if not self._runs.holds(run):
            raise Restarted("llama-server has to be recognised again")

    @contextmanager
    def doubting(self, run: Run) -> Iterator[None]:
        """Have llama-server recognised again after an error."""
        try:
            yield
        except LlamaServerTimeout:
            raise
        except LlamaServerError:
            self._runs.drop(run)
            raise

    async def _find(self) -> Run:
        connections, stamp = self._server.connections, self._fingerprint.file_stamp()
        props = await self._server.props()
        await self._recognise(props)
        return Run(props.run, SlotPool(props.total_slots), connections, stamp)
