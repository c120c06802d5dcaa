"""Whoever answers serves the weights that we mean, or nothing it says is believed."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import gguf
import numpy as np
import pytest

from models.jina.prompt import SpecialTokens, opening
from models.llama import qwen3
from models.llama.client import LlamaServer, LlamaServerError, TokenIds
from models.llama.fingerprint import Fingerprint, OtherWeights
from models.llama.head import Head
from models.llama.readout.base import Reading, Readout
from models.llama.readout.embedding import EmbeddingReadout
from models.llama.readout.prefix import PrefixReadout
from models.llama.slots import TENANT
from models.llama.tensors import NotInVocabulary, Unknown
from models.prepare import prepare
from tests.llama import EmbeddedServer
from tests.reliability.faulty_proxy import FaultyProxy
from toolkit import tiny_model
from toolkit.export import write_gguf

EMBEDDING = ("--embeddings", "--pooling", "none", "--batch-size", "1024", "--ubatch-size", "1024")
READOUTS = ["prefix", "embedding"]


@dataclass(frozen=True)
class Weights:
    """Two models of one shape and one vocabulary."""

    ours: Path
    others: Path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    paths = []
    for seed in (0, 1):
        folder = tmp_path_factory.mktemp("weights")
        tiny_model.make(seed=seed).write(folder)
        paths.append(folder / "prepared.gguf")
        prepare(folder / "model.gguf", paths[-1], head_type="F32")
    return Weights(*paths)


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, EmbeddedServer]]:
    with EmbeddedServer() as prefix, EmbeddedServer(*EMBEDDING) as embedding:
        yield {"prefix": prefix, "embedding": embedding}


async def connect(kind: str, client: LlamaServer, gguf: Path) -> tuple[Readout, TokenIds]:
    """A readout that means the weights in `gguf`, and what every prompt starts with."""
    fingerprint = await Fingerprint.of(client, opening(await SpecialTokens.of(client)), gguf)
    if kind == "embedding":
        return await EmbeddingReadout.connect(client, fingerprint), fingerprint.ids
    head = Head.read(gguf)
    assert head is not None
    return await PrefixReadout.connect(client, head, fingerprint), fingerprint.ids


@pytest.mark.anyio
@pytest.mark.parametrize("kind", READOUTS)
async def test_other_weights_are_found_at_the_start(
    servers: dict[str, EmbeddedServer], weights: Weights, kind: str
) -> None:
    servers[kind].serve(weights.others)
    async with LlamaServer(servers[kind].url, 60) as client:
        with pytest.raises(OtherWeights, match=r"other weights than prepared\.gguf.*RERANKER_GGUF"):
            await connect(kind, client, weights.ours)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", READOUTS)
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
async def test_restart_with_other_weights(
    servers: dict[str, EmbeddedServer], weights: Weights, kind: str, warm: bool
) -> None:
    server = servers[kind]
    server.serve(weights.ours)
    async with LlamaServer(server.url, 60) as client:
        readout, opening = await connect(kind, client, weights.ours)
        prompt = np.array([*opening, *range(50, 90)])
        expected = (await readout.read(prompt, [20, 55])).rows

        server.serve(weights.others)
        if warm:
            # As another client would: the cache then holds what it held before.
            server.complete(prompt)
        longer = np.array([*prompt, 7, 8, 9])
        for ids, positions in ((longer, [20, 58]), (prompt, [20, 55])):
            with pytest.raises(LlamaServerError):
                await readout.read(ids, positions)
        with pytest.raises(OtherWeights):
            await readout.read(prompt, [20, 55])
        with pytest.raises(OtherWeights):
            await readout.check()

        server.serve(weights.ours)
        await readout.check()
        again = await readout.read(prompt, [20, 55])
        np.testing.assert_allclose(again.rows, expected, atol=1e-5)
        # Nothing was remembered over the restart but the first tokens, read again.
        assert again.reused_tokens <= len(opening)


@pytest.mark.anyio
async def test_remembered_states_are_of_no_other_run(
    servers: dict[str, EmbeddedServer], weights: Weights
) -> None:
    server = servers["prefix"]
    server.serve(weights.ours)
    async with LlamaServer(server.url, 60) as client:
        readout, opening = await connect("prefix", client, weights.ours)
        prompt = np.array([*opening, *range(50, 90)])
        await readout.read(prompt, [20, 55])
        # No connection is left that could tell.
        server.serve(weights.others)

        with pytest.raises(OtherWeights):
            await readout.check()
        with pytest.raises(OtherWeights):
            await readout.read(prompt, [20, 55])


@pytest.mark.anyio
@pytest.mark.parametrize("kind", READOUTS)
async def test_file_overwritten_in_place(
    servers: dict[str, EmbeddedServer], weights: Weights, tmp_path: Path, kind: str
) -> None:
    served = tmp_path / "prepared.gguf"
    shutil.copyfile(weights.ours, served)
    server = servers[kind]
    server.serve(served)
    async with LlamaServer(server.url, 60) as client:
        readout, opening = await connect(kind, client, served)
        prompt = np.array([*opening, *range(50, 90)])
        expected = (await readout.read(prompt, [20, 55])).rows

        times = served.stat()
        overwrite(served, weights.others)
        # Whoever copies with times changes these alone.
        os.utime(served, ns=(times.st_atime_ns, times.st_mtime_ns))
        for ids in (prompt, np.array([*prompt, 7])):
            with pytest.raises(OtherWeights):
                await readout.read(ids, [20, 55])

        overwrite(served, weights.ours)
        again = await readout.read(prompt, [20, 55])
        np.testing.assert_allclose(again.rows, expected, atol=1e-5)


@pytest.mark.anyio
async def test_touched_file_changes_nothing(
    servers: dict[str, EmbeddedServer], weights: Weights, tmp_path: Path
) -> None:
    served = tmp_path / "prepared.gguf"
    shutil.copyfile(weights.ours, served)
    servers["prefix"].serve(served)
    async with LlamaServer(servers["prefix"].url, 60) as client:
        readout, opening = await connect("prefix", client, served)
        prompt = np.array([*opening, *range(50, 90)])
        expected = (await readout.read(prompt, [20, 55])).rows
        # Replaced by another name for other weights: llama-server has the old ones mapped still.
        shutil.copyfile(weights.others, tmp_path / "new")
        os.replace(tmp_path / "new", served)

        again = (await readout.read(prompt, [20, 55])).rows

        np.testing.assert_allclose(again, expected, atol=1e-5)


@pytest.mark.anyio
@pytest.mark.parametrize("named", [True, False])
async def test_restart_behind_a_proxy(
    servers: dict[str, EmbeddedServer], weights: Weights, named: bool
) -> None:
    """The connection goes on; builds without names have nothing but their cache to tell."""
    server = servers["prefix"]
    server.serve(weights.ours)
    with FaultyProxy(server.url) as proxy:
        proxy.path, proxy.damage = "/props", bytes if named else without_name
        async with LlamaServer(proxy.url, 60) as client:
            readout, opening = await connect("prefix", client, weights.ours)
            prompt = np.array([*opening, *range(50, 90)])
            expected = (await readout.read(prompt, [20, 55])).rows
            await readout.check()
            assert (await readout.read(prompt, [20, 55])).reused_tokens == len(prompt)

            # Another client of the slot.
            server.complete(np.arange(100, 140))
            longer = np.array([*prompt, 7, 8, 9])
            await readout.read(longer, [20, 58])

            server.serve(weights.others)
            with pytest.raises(OtherWeights):
                await readout.read(np.array([*prompt, 5]), [20, 56])

            server.serve(weights.ours)
            again = (await readout.read(prompt, [20, 55])).rows
            np.testing.assert_allclose(again, expected, atol=1e-5)


def without_name(props: bytes) -> bytes:
    content = json.loads(props)
    del content["media_marker"]
    return json.dumps(content).encode().ljust(len(props))


def overwrite(path: Path, source: Path) -> None:
    """Write the bytes of `source` into the file that is there."""
    with path.open("r+b") as file:
        file.write(source.read_bytes())


@pytest.mark.anyio
async def test_what_llama_server_did_not_compute_was_reused(
    servers: dict[str, EmbeddedServer], weights: Weights
) -> None:
    server = servers["prefix"]
    server.serve(weights.ours)
    async with LlamaServer(server.url, 60) as client:
        readout, opening = await connect("prefix", client, weights.ours)
        prompt = np.array([*opening, *range(50, 150)])
        await readout.read(prompt, [60, len(prompt) - 1])
        # Another client of the slot leaves 50 tokens of it.
        server.complete(np.array([*prompt[:50], 3, 4]))
        longer = np.array([*prompt, 200, 201])

        reading = await readout.read(longer, [60, len(longer) - 1])

        assert reading.reused_tokens == 50
        assert (await readout.read(longer, [60, len(longer) - 1])).reused_tokens == len(longer)


@pytest.mark.anyio
async def test_tenants_find_nothing_of_each_other(
    servers: dict[str, EmbeddedServer], weights: Weights
) -> None:
    server = servers["prefix"]
    server.serve(weights.ours)
    async with LlamaServer(server.url, 60) as client:
        readout, opening = await connect("prefix", client, weights.ours)
        prompt = np.array([*opening, *range(50, 150)])
        positions = [60, len(prompt) - 1]

        async def reading_of(tenant: int) -> Reading:
            TENANT.set(tenant)
            return await readout.read(prompt, positions)

        readings = [await asyncio.create_task(reading_of(tenant)) for tenant in (1, 1, 2, 2, 1)]

    # What llama-server had to compute is what is not reused.
    assert [reading.reused_tokens for reading in readings] == [0, len(prompt), 0, len(prompt), 0]
    for reading in readings:
        np.testing.assert_allclose(reading.rows, readings[0].rows, atol=1e-5)


@pytest.mark.anyio
async def test_cancelled_call_leaves_no_cache_of_another_tenant(
    servers: dict[str, EmbeddedServer], weights: Weights
) -> None:
    server = servers["prefix"]
    server.serve(weights.ours)
    async with LlamaServer(server.url, 60) as client:
        readout, opening = await connect("prefix", client, weights.ours)
        prompt = np.array([*opening, *range(50, 150)])

        async def read(tenant: int) -> Reading:
            TENANT.set(tenant)
            return await readout.read(prompt, [len(prompt) - 1])

        await asyncio.create_task(read(1))
        cancelled = asyncio.create_task(read(2))
        # It has its slot, and its call is not sent yet.
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled

        assert (await asyncio.create_task(read(2))).reused_tokens == 0


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_0"])
@pytest.mark.anyio
async def test_own_weights_are_known_in_every_precision(tmp_path: Path, kind: str) -> None:
    tiny = tiny_model.make(replace(tiny_model.CONFIG, num_hidden_layers=8), seed=3)
    path = tmp_path / "model.gguf"
    tokenizer = json.loads(tiny.tokenizer.to_str())
    write_gguf(path, tiny.config, tiny.tensors, tokenizer, gguf.GGMLQuantizationType[kind])
    with EmbeddedServer(*EMBEDDING) as server:
        server.serve(path)
        async with LlamaServer(server.url, 60) as client:
            await connect("embedding", client, path)


def test_tokens_beyond_the_vocabulary(weights: Weights) -> None:
    with pytest.raises(NotInVocabulary):
        qwen3.hidden_states(weights.ours, np.array([5, 100_000]))


def test_file_that_cannot_be_computed(weights: Weights, tmp_path: Path) -> None:
    content = weights.ours.read_bytes()
    path = tmp_path / "changed.gguf"
    for message, changed in (
        ("is no Qwen3", content.replace(b"qwen3", b"llama")),
        ("other tensors", content.replace(b"blk.0.attn_q.weight", b"blk.0.attn_x.weight")),
        ("cannot be computed", content[:-400_000]),
    ):
        path.write_bytes(changed)
        with pytest.raises(Unknown, match=message):
            qwen3.hidden_states(path, np.array([5, 6]))


@pytest.mark.anyio
async def test_cache_of_few_bits(weights: Weights) -> None:
    flags = ("--flash-attn", "on", "--cache-type-k", "q4_0", "--cache-type-v", "q4_0")
    head = Head.read(weights.ours)
    assert head is not None
    with EmbeddedServer(*flags) as server:
        server.serve(weights.ours)
        async with LlamaServer(server.url, 60) as client:
            tokens = await SpecialTokens.of(client)
            told = await Fingerprint.of(client, opening(tokens), weights.ours, ["q4_0"])
            await PrefixReadout.connect(client, head, told)
            for path, cache_types in ((weights.others, ["q4_0"]), (weights.ours, ["f16"])):
                other = await Fingerprint.of(client, opening(tokens), path, cache_types)
                with pytest.raises(OtherWeights, match="LLAMA_ARG_CACHE_TYPE_K"):
                    await PrefixReadout.connect(client, head, other)
