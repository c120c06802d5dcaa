"""The `prefix` readout against the `embedding` readout, and against foreign answers."""

from __future__ import annotations

import asyncio
import random
import re
import socket
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from models.jina.prompt import SpecialTokens, opening
from models.llama.client import LlamaServer, LlamaServerError, Props, TokenIds, TopTokens
from models.llama.fingerprint import Fingerprint
from models.llama.head import HIDDEN_STATES, Head
from models.llama.readout.embedding import EmbeddingReadout
from models.llama.readout.prefix import PrefixReadout
from models.llama.slots import SlotPool
from models.prepare import prepare
from tests.llama import EmbeddedServer
from toolkit import tiny_model
from toolkit.running import EXACT, Service, wait_until
from toolkit.tiny_model import TinyModel

EXACT_CACHE = ("--cache-type-k", "f32", "--cache-type-v", "f32")


def wide_norm(tiny: TinyModel) -> None:
    weight = tiny.tensors["model.norm.weight"]
    weight[:] = np.logspace(-2, 2, len(weight)) * np.where(np.arange(len(weight)) % 3, 1, -1)


def dominant_component(tiny: TinyModel) -> None:
    tiny.tensors["model.embed_tokens.weight"][:, 5] = 100


def unchanged(tiny: TinyModel) -> None:
    pass


@asynccontextmanager
async def connected(service: Service) -> AsyncIterator[LlamaServer]:
    url, key = service.llama_server_url, service.llama_server_key
    async with LlamaServer(url, timeout_seconds=60, api_key=key) as server:
        yield server


async def fingerprint_of(server: LlamaServer, gguf: Path) -> Fingerprint:
    return await Fingerprint.of(server, opening(await SpecialTokens.of(server)), gguf)


@pytest.mark.anyio
@pytest.mark.parametrize("change", [unchanged, wide_norm, dominant_component])
async def test_both_readouts_agree(tmp_path: Path, change: Callable[[TinyModel], None]) -> None:
    tiny = tiny_model.make()
    change(tiny)
    tiny.write(tmp_path)
    source = tmp_path / "model.gguf"
    positions = [0, 1, 17, 150, 299]
    rest = random.Random(1).choices(range(256), k=300)

    with EmbeddedServer(*EXACT_CACHE, "--embeddings", "--pooling", "none") as running:
        running.serve(source)
        async with LlamaServer(running.url, timeout_seconds=60) as server:
            fingerprint = await fingerprint_of(server, source)
            ids = np.array([*fingerprint.ids, *rest][:300])
            readout = await EmbeddingReadout.connect(server, fingerprint)
            expected = (await readout.read(ids, positions)).rows
    with EmbeddedServer(*EXACT_CACHE) as running:
        for head_type, most in {"F16": 1e-3, "F32": 2e-5}.items():
            gguf = tmp_path / f"{head_type}.gguf"
            prepare(source, gguf, head_type)
            head = Head.read(gguf)
            assert head is not None
            running.serve(gguf)
            async with LlamaServer(running.url, timeout_seconds=60) as server:
                fingerprint = await fingerprint_of(server, gguf)
                prefix = await PrefixReadout.connect(server, head, fingerprint)
                states = (await prefix.read(ids, positions)).rows

            assert states.dtype == np.float32
            errors = np.linalg.norm(states - expected, axis=1) / np.linalg.norm(expected, axis=1)
            assert errors.max() < most
    if change is dominant_component:
        shares = abs(expected / tiny.tensors["model.norm.weight"])
        assert (shares[:, 5] > 0.9 * np.linalg.norm(shares, axis=1)).all()


@pytest.mark.parametrize("slots", ["1", "3"])
def test_requests_at_once_score_as_alone(model: Path, exact_gguf: Path, slots: str) -> None:
    requests: list[dict[str, object]] = [
        {"query": f"when is meeting {i}?", "documents": [f"soup {j} " * (i + j) for j in range(9)]}
        for i in range(8)
    ]
    parallel = {
        "LLAMA_ARG_N_PARALLEL": slots,
        "LLAMA_ARG_CTX_SIZE": str(4096 * int(slots)),
    }
    with Service(model, RERANKER_GGUF=str(exact_gguf), **(EXACT | parallel)) as service:

        def scores(request: dict[str, object]) -> dict[int, float]:
            results = service.rerank(**request).json()["results"]
            return {result["index"]: result["relevance_score"] for result in results}

        alone = [scores(request) for request in requests]
        with ThreadPoolExecutor(8) as clients:
            together = list(clients.map(scores, requests * 2))

    for expected, first, second in zip(alone, together[:8], together[8:], strict=True):
        assert first == pytest.approx(expected, abs=1e-4)
        assert second == pytest.approx(expected, abs=1e-4)


class CountingServer(LlamaServer):
    """Remembers how much of each prompt was in the cache."""

    def __init__(self, service: Service) -> None:
        super().__init__(service.llama_server_url, 60, service.llama_server_key)
        self.cached: list[int] = []

    async def top_tokens(
        self, ids: TokenIds, count: int, slot: int, harmless: int, use_cache: bool = True
    ) -> TopTokens:
        tokens = await super().top_tokens(ids, count, slot, harmless, use_cache)
        self.cached.append(tokens.cached_tokens)
        return tokens


@pytest.mark.anyio
async def test_common_prefix_is_computed_once(service: Service, exact_gguf: Path) -> None:
    head = Head.read(exact_gguf)
    assert head is not None
    common = random.Random(2).choices(range(256), k=500)
    first = np.array([*common, 1, 2, 3])
    second = np.array([*common, 4, 5])
    third = np.array([*common[:300], 6, 7])
    server = CountingServer(service)
    async with server:
        fingerprint = await fingerprint_of(server, exact_gguf)
        readout = await PrefixReadout.connect(server, head, fingerprint)
        server.cached.clear()

        states = (await readout.read(first, [250, 499, 502])).rows
        assert server.cached[1:] == [251, 500]

        again = (await readout.read(second, [250, 499, 501])).rows
        assert server.cached[3:] == [500]
        np.testing.assert_array_equal(again[:2], states[:2])

        shorter = (await readout.read(third, [250, 301])).rows
        assert server.cached[4:] == [300]

        fresh = await PrefixReadout.connect(server, head, fingerprint)
        for ids, positions, expected in (
            (second, [250, 499, 501], again),
            (third, [250, 301], shorter),
        ):
            alone = (await fresh.read(ids, positions)).rows
            np.testing.assert_allclose(alone, expected, atol=1e-4)


def test_long_request_takes_the_memory_of_its_context(tmp_path: Path) -> None:
    shallow = replace(tiny_model.CONFIG, num_hidden_layers=1, num_attention_heads=2)
    tiny_model.make(shallow).write(tmp_path)
    documents = ["noon " * 2000 for _ in range(16)]
    context = {"LLAMA_ARG_CTX_SIZE": "33792", "LLAMA_ARG_LOG_VERBOSITY": "4"}
    with Service(tmp_path, **context) as service:
        # Weights and KV cache are resident at the start. The attention scores of a batch are set
        # aside but not touched, and copied as F16 to be multiplied with the F16 cache.
        start = service.llama_server.memory_info().rss
        (scores,) = re.findall(r"compute buffer size += +([\d.]+) MiB", service.output)
        explained = start + float(scores) * 2**20 + 33792 * 512 * shallow.num_attention_heads * 2

        answer = service.rerank(query="soup", documents=documents).json()

        assert answer["usage"]["prompt_tokens"] > 32_000
        assert len(answer["results"]) == 16
        assert service.llama_server.memory_info().rss < 1.1 * explained
        assert service.front.memory_info().rss < 200e6


def test_client_that_leaves_stops_the_work(model: Path) -> None:
    document_tokens = 420
    body = {"query": "a", "documents": [f"{i} " + "noon " * 400 for i in range(64)]}
    options = {"LLAMA_ARG_CTX_SIZE": "33792", "LLAMA_ARG_ENDPOINT_METRICS": "1"}
    with Service(model, **options) as service, service.llama_server_client() as llama_server:

        def tokens_read() -> int:
            metrics = llama_server.get("/metrics").text
            return int(re.findall(r"^llamacpp:prompt_tokens_total (\d+)", metrics, re.M)[0])

        before = tokens_read()
        request = httpx.Request("POST", f"{service.url}/rerank", json=body)
        with socket.create_connection(("127.0.0.1", service.port)) as client:
            head = f"POST /rerank HTTP/1.1\r\nHost: a\r\nContent-Length: {len(request.content)}\r\n"
            client.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode())
            client.sendall(request.content)
            wait_until(lambda: tokens_read() > before + 3 * document_tokens)
            read = tokens_read()

        # With one slot, the next request is served when the work of the first has ended.
        usage = service.rerank(query="a", documents=["b"]).json()["usage"]
        assert tokens_read() - read <= 2 * document_tokens + usage["prompt_tokens"]
        assert tokens_read() - before < 32 * document_tokens


@pytest.mark.anyio
async def test_slots_are_leased_in_order_of_arrival() -> None:
    pool = SlotPool(1)
    order: list[int] = []

    async def work(number: int) -> None:
        async with pool.lease(np.array([number])):
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(work(number) for number in range(20)))

    assert order == list(range(20))


@pytest.mark.anyio
async def test_slot_with_the_longest_common_prefix_is_chosen() -> None:
    pool = SlotPool(3)
    one, other = np.array([1, 2, 3, 4]), np.array([1, 2, 5])
    async with pool.lease(one) as first, pool.lease(other) as second:
        first.cached, second.cached = one, other

    async with pool.lease(np.array([1, 2, 3, 9])) as slot:
        assert slot is first
    async with pool.lease(np.array([1, 2, 5, 9])) as slot:
        assert slot is second
    async with pool.lease(np.array([7])) as slot:
        assert slot not in (first, second)


class FaultyServer(LlamaServer):
    """Answers with given probabilities."""

    def __init__(self, ids: list[int], logprobs: list[float]) -> None:
        super().__init__("http://127.0.0.1:9", timeout_seconds=1)
        self._answer = TopTokens(np.array(ids, np.int64), np.array(logprobs, np.float32), 0, 1)

    async def props(self) -> Props:
        return Props(context_size=100, total_slots=1, run="first")

    async def top_tokens(
        self, ids: TokenIds, count: int, slot: int, harmless: int, use_cache: bool = True
    ) -> TopTokens:
        return self._answer


def faulty(ids: list[int], logprobs: list[float]) -> PrefixReadout:
    scale = np.array([1, 2, -4], np.float32)
    head = Head(HIDDEN_STATES.meaning, np.eye(3, dtype=np.float32), scale)
    return PrefixReadout(FaultyServer(ids, logprobs), head, Fingerprint(np.array([1])), 0)


@pytest.mark.anyio
async def test_decoding() -> None:
    # Logits 1.2 and 0.9 for the negatives of components 1 and 0, 0.5 for component 2.
    states = (await faulty([4, 3, 2, 9], [-1.0, -1.3, -1.7, -2.2]).read(np.array([1]), [0])).rows

    np.testing.assert_allclose(states, [[-0.9, -1.2 / 2, 0.5 / -4]], rtol=1e-5)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("ids", "logprobs"),
    [
        ([4, 3, 2], [-1.0, -1.3, -1.7]),
        ([4, 3, 7, 9], [-1.0, -1.3, -1.7, -2.2]),
        ([4, 1, 2, 9], [-1.0, -1.3, -1.7, -2.2]),
        ([4, 3, 2, 9], [-1.0, -2.0, -3.0, -9.0]),
        ([4, 3, 2, 9], [-1.0, float("nan"), -1.7, -2.2]),
        ([4, 3, 2, 9], [-1.0, -1.3, -1.7, float("nan")]),
        ([9, 8, 7, 6], [-2.0, -2.0, -2.0, -2.0]),
        ([], []),
    ],
    ids=[
        "too few",
        "no row of the head",
        "both signs",
        "too large",
        "NaN",
        "NaN last",
        "all the same",
        "none",
    ],
)
async def test_probabilities_of_another_head(ids: list[int], logprobs: list[float]) -> None:
    with pytest.raises(LlamaServerError, match="not those of the readout head"):
        await faulty(ids, logprobs).read(np.array([1]), [0])
