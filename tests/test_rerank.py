"""The reranker between tokenizing and reading."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from models.jina import CARDS
from models.jina import model as jina_model
from models.jina.model import JinaReranker
from models.jina.projector import Projector
from models.jina.prompt import SpecialTokens, opening
from models.llama.client import LlamaServer, TokenIds
from models.llama.fingerprint import Fingerprint
from models.llama.head import Head
from models.llama.readout.base import OnTurn, Reading, no_matter
from models.llama.readout.prefix import PrefixReadout
from models.rerank import ConfigurationError, DoesNotFit, Limits, Task
from toolkit.running import Service


class NarrowReadout:
    """A readout that takes few tokens and remembers how many it was given."""

    max_tokens = 700

    def __init__(self, readout: PrefixReadout) -> None:
        self._readout = readout
        self.width = readout.width
        self.lengths: list[int] = []

    waiting = 0

    def known(self, ids: TokenIds) -> int:
        return self._readout.known(ids)

    async def check(self) -> None:
        await self._readout.check()

    async def read(
        self, ids: TokenIds, positions: Sequence[int], on_turn: OnTurn = no_matter
    ) -> Reading:
        self.lengths.append(len(ids))
        return await self._readout.read(ids, positions, on_turn)


@pytest.mark.anyio
async def test_block_longer_than_planned_is_halved(
    service: Service, model: Path, exact_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Plans that count too few tokens stand for texts that take more inside the prompt than alone.
    monkeypatch.setattr(jina_model, "_SEAM_TOKENS", -12)
    head = Head.read(exact_gguf)
    assert head is not None
    projector = Projector.load(model / "projector.safetensors")
    limits = Limits(query_tokens=16, document_tokens=300)
    url, key = service.llama_server_url, service.llama_server_key
    async with LlamaServer(url, timeout_seconds=60, api_key=key) as server:
        tokens = await SpecialTokens.of(server)
        fingerprint = await Fingerprint.of(server, opening(tokens), exact_gguf)
        readout = NarrowReadout(await PrefixReadout.connect(server, head, fingerprint))
        reranker = await JinaReranker.connect(CARDS[0], server, readout, projector, tokens, limits)
        readout.lengths.clear()

        ranking = await reranker.rank(Task("soup", ["noon " * 10] * 30))

        assert len(ranking.scores) == 30
        assert np.isfinite(ranking.scores).all()
        assert max(readout.lengths) <= readout.max_tokens
        assert sum(readout.lengths) == ranking.prompt_tokens
        with pytest.raises(DoesNotFit):
            await reranker.rank(Task("soup", ["noon"], "meeting " * 600))


class CountingServer(LlamaServer):
    """Counts the calls that tokenize."""

    calls = 0

    async def tokenize(self, content: Sequence[str | int]) -> TokenIds:
        self.calls += 1
        return await super().tokenize(content)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("documents", "calls"),
    [
        (["noon"] * 30, 1),
        (["noon " * 100, "회의 " * 40], 1),
        (["noon " * 500], 2),
        (["noon " * 60] * 15, 2),
    ],
    ids=["short", "as long as may be", "a long document", "many bytes"],
)
async def test_short_texts_are_tokenized_once(
    service: Service, model: Path, exact_gguf: Path, documents: list[str], calls: int
) -> None:
    head = Head.read(exact_gguf)
    assert head is not None
    projector = Projector.load(model / "projector.safetensors")
    url, key = service.llama_server_url, service.llama_server_key
    server = CountingServer(url, timeout_seconds=60, api_key=key)
    async with server:
        tokens = await SpecialTokens.of(server)
        fingerprint = await Fingerprint.of(server, opening(tokens), exact_gguf)
        readout = await PrefixReadout.connect(server, head, fingerprint)
        reranker = await JinaReranker.connect(
            CARDS[0], server, readout, projector, tokens, Limits(16, 500)
        )
        server.calls = 0

        await reranker.rank(Task("soup", documents))

        assert server.calls == calls


class ConstantReadout:
    """A readout of a model whose states are all the same number."""

    width, max_tokens, waiting = 64, 4096, 0

    def __init__(self, value: float) -> None:
        self._value = value

    def known(self, ids: TokenIds) -> int:
        return 0

    async def check(self) -> None: ...

    async def read(
        self, ids: TokenIds, positions: Sequence[int], on_turn: OnTurn = no_matter
    ) -> Reading:
        return Reading(np.full((len(positions), self.width), self._value, np.float32))


@pytest.mark.anyio
@pytest.mark.parametrize("value", [0.0, 3e38, float("nan")])
async def test_scores_that_would_be_none_are_refused_at_the_start(
    service: Service, model: Path, value: float
) -> None:
    projector = Projector.load(model / "projector.safetensors")
    async with LlamaServer(
        service.llama_server_url, timeout_seconds=60, api_key=service.llama_server_key
    ) as server:
        tokens = await SpecialTokens.of(server)
        with pytest.raises(ConfigurationError, match="every score would be 0 or no number"):
            await JinaReranker.connect(
                CARDS[0], server, ConstantReadout(value), projector, tokens, Limits()
            )
