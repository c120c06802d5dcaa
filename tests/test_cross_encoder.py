"""Cross-encoders: scores against the reference, see tests/golden/make_pairs.py, and what holds."""

from __future__ import annotations

import asyncio
import json
import math
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import httpx
import numpy as np
import pytest

from app.doctor.memory import check_memory
from app.doctor.plan import Plan
from app.doctor.weights import Transformer
from app.settings import Settings
from models.cross_encoder.classifier import Classifier
from models.cross_encoder.tokenizer import Tokenizer
from models.llama.bert import first_state
from models.llama.client import LlamaServer, TokenIds
from models.llama.fingerprint import OtherWeights
from models.llama.gguf import GGUFError
from models.llama.tensors import Floats
from models.open import open_model
from models.rerank import ConfigurationError, ModelError, Ranking, Task
from tests.golden.pairs import BEGINNING, IN_PARTS, PAIR_CASES
from tests.llama import EmbeddedServer
from toolkit import tiny_encoder
from toolkit.running import Service, run_app, wait_until

GOLDEN: dict[str, dict[str, list[float]]] = json.loads(
    (Path(__file__).parent / "golden/pairs.json").read_text()
)
# llama.cpp's GELU is a table of half precision.
TOLERANCE = 1e-3
FLAGS = ("--embeddings", "--pooling", "cls", "--batch-size", "512", "--ubatch-size", "512")


def probabilities(logits: list[float]) -> list[float]:
    return [1 / (1 + math.exp(-logit)) for logit in logits]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    tiny_encoder.make().write(folder / "model.gguf", together=True)
    tiny_encoder.make(seed=1).write(folder / "other.gguf")
    return folder


@pytest.fixture(scope="module")
def pairs(folder: Path) -> Iterator[Service]:
    """The service with a tiny cross-encoder."""
    with Service(folder, RERANKER_MODEL=IN_PARTS) as running:
        yield running


def scores(answer: httpx.Response) -> dict[int, float]:
    assert answer.status_code == 200, answer.text
    return {result["index"]: result["relevance_score"] for result in answer.json()["results"]}


@pytest.mark.parametrize("name", PAIR_CASES)
def test_scores_equal_the_reference(pairs: Service, name: str) -> None:
    case = PAIR_CASES[name]
    expected = probabilities(GOLDEN[IN_PARTS][name])

    found = scores(pairs.rerank(query=case.query, documents=case.documents))

    assert found == pytest.approx(dict(enumerate(expected)), abs=TOLERANCE)


async def rank(wanted: Settings, *tasks: Task) -> list[Ranking]:
    async with open_model(wanted) as model:
        return [await model.rank(task) for task in tasks]


@pytest.fixture
def behind(pairs: Service, folder: Path) -> Settings:
    """The settings of a model over the llama-server behind the service."""
    return Settings(
        model=BEGINNING,
        gguf=folder / "model.gguf",
        llama_server_url=pairs.llama_server_url,
        llama_server_api_key=pairs.llama_server_key,
    )


def test_a_model_that_reads_the_beginning_equals_the_reference(behind: Settings) -> None:
    tasks = [Task(case.query, case.documents) for case in PAIR_CASES.values()]

    rankings = asyncio.run(rank(behind, *tasks))

    for name, ranking in zip(PAIR_CASES, rankings, strict=True):
        expected = GOLDEN[BEGINNING][name]
        assert ranking.scores.tolist() == pytest.approx(probabilities(expected), abs=TOLERANCE)
        assert ranking.logits is not None
        assert probabilities(ranking.logits.tolist()) == pytest.approx(ranking.scores.tolist())


def test_golden_scores_can_tell_parts_and_rankings_apart() -> None:
    long = GOLDEN[IN_PARTS]["3,000 words"][0] - GOLDEN[BEGINNING]["3,000 words"][0]
    assert long > 10 * TOLERANCE
    spreads = [max(logits) - min(logits) for logits in GOLDEN[IN_PARTS].values()]
    assert sum(spread > 0.2 for spread in spreads) >= 6


def test_what_is_cut_is_told_and_passages_score_as_alone(pairs: Service) -> None:
    body: dict[str, Any] = {"query": "soup?", "documents": ["noon. " * 40, "two"]}
    cut = pairs.rerank(**body, max_doc_length=20).json()
    split = pairs.rerank(**body, max_doc_length=20, return_passages=True).json()

    assert cut["truncated"] == [0]
    assert "truncated" not in split
    for result in split["results"]:
        alone = pairs.rerank(query="soup?", documents=[result["passage"]["text"]]).json()
        score = alone["results"][0]["relevance_score"]
        assert result["relevance_score"] == pytest.approx(score, abs=1e-4)


def test_requests_at_once_score_as_alone(pairs: Service) -> None:
    names = [name for name in PAIR_CASES if "0" not in name and "long" not in name] * 3

    def ask(name: str) -> dict[int, float]:
        case = PAIR_CASES[name]
        return scores(pairs.rerank(query=case.query, documents=case.documents))

    with ThreadPoolExecutor(20) as clients:
        answers = [*clients.map(ask, names[:20])]

    for name, found in zip(names, answers, strict=False):
        expected = dict(enumerate(probabilities(GOLDEN[IN_PARTS][name])))
        assert found == pytest.approx(expected, abs=TOLERANCE)


def test_the_guide_for_jina_reranker_v2(pairs: Service) -> None:
    """GET /health, and POST /rerank as `curl -d` sends it, on the port of the guide."""
    assert Settings().port == 7998
    assert httpx.get(f"{pairs.url}/health").json() == {
        "status": "ok",
        "model": IN_PARTS,
        "device": "cpu",
    }
    body = {"query": "soup", "documents": ["soup is served at noon", "회의", "noon"], "top_n": 2}

    answer = pairs.rerank(**body).json()

    assert answer["model"] == IN_PARTS
    assert [sorted(result) for result in answer["results"]] == [["index", "relevance_score"]] * 2
    first, second = (result["relevance_score"] for result in answer["results"])
    assert 1 > first > second > 0
    assert pairs.rerank(query="soup", documents=[]).json()["results"] == []
    assert httpx.get(f"{pairs.url}/info").json()["max_input_length"] == 512


def test_what_it_cannot_do_is_told(pairs: Service) -> None:
    asked = {"query": "soup", "documents": ["soup"], "instruction": "menus"}
    instructed = pairs.rerank(**asked)
    (model,) = httpx.get(f"{pairs.url}/v1/models").json()["data"]

    assert (instructed.status_code, "instruction" in instructed.text) == (422, True)
    # Both texts share a prompt of 512 tokens, four of them special.
    assert 0 < model["limits"]["document_tokens"] < model["context"] == 512


def test_raw_scores_are_logits(pairs: Service) -> None:
    case = PAIR_CASES["one document"]
    body = {"query": case.query, "texts": case.documents, "raw_scores": True}

    (ranked,) = httpx.post(f"{pairs.url}/rerank", json=body).json()

    assert ranked["score"] == pytest.approx(GOLDEN[IN_PARTS]["one document"][0], abs=5e-3)


def test_killed_under_load(pairs: Service) -> None:
    expected = scores(pairs.rerank(query="soup", documents=["noon", "two"]))
    begun, ended = threading.Barrier(5), threading.Event()

    def ask() -> list[httpx.Response]:
        answers: list[httpx.Response] = []
        begun.wait()
        while not ended.is_set():
            answers.append(pairs.rerank(query="soup", documents=["noon", "two"]))
        return answers

    with ThreadPoolExecutor(4) as clients:
        asked = [clients.submit(ask) for _ in range(4)]
        killed = pairs.llama_server
        begun.wait()
        killed.kill()
        killed.wait(5)
        wait_until(pairs.healthy)
        ended.set()

    for answer in (answer for client in asked for answer in client.result()):
        assert answer.status_code in (200, 503)
        if answer.status_code == 200:
            assert scores(answer) == pytest.approx(expected, abs=TOLERANCE)
    assert scores(pairs.rerank(query="soup", documents=["noon", "two"])) == pytest.approx(
        expected, abs=TOLERANCE
    )
    assert pairs.metric("prompts_waiting") == 0


@pytest.mark.anyio
async def test_client_that_leaves_stops_the_work(
    behind: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    began = asyncio.Event()
    pooled = LlamaServer.pooled

    async def counted(server: LlamaServer, ids: TokenIds) -> Floats:
        asked.append(len(ids))
        began.set()
        return await pooled(server, ids)

    async with open_model(behind) as model:
        monkeypatch.setattr(LlamaServer, "pooled", counted)
        ranking = asyncio.create_task(model.rank(Task("soup", [f"noon {i}" for i in range(200)])))
        await began.wait()
        ranking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ranking

        assert len(asked) <= 2 * model.slots
        assert model.waiting == 0
        done = len(asked)
        await model.rank(Task("soup", ["noon"]))
        assert len(asked) == done + 1


@pytest.mark.anyio
@pytest.mark.parametrize(("model", "parts"), [(BEGINNING, 1), (IN_PARTS, 5)])
async def test_pairs_are_as_short_as_set(behind: Settings, model: str, parts: int) -> None:
    document = "noon " * 40
    tokens = [len(encoded(text)) for text in ("soup", document)]
    # 57 of 64 tokens are left beside the query and its four marks, and parts share 14 of them.
    assert tokens == [3, 200]
    async with open_model(replace(behind, model=model, max_length=64)) as opened:
        ranking = await opened.rank(Task("soup", [document]))

    assert ranking.prompt_tokens == 64 * parts


def encoded(text: str) -> list[int]:
    ids: list[int] = tiny_encoder.train_tokenizer().encode(text, add_special_tokens=False).ids
    return ids


@pytest.mark.anyio
async def test_long_texts_are_tokenized_whole(pairs: Service) -> None:
    url, key = pairs.llama_server_url, pairs.llama_server_key
    spaced = "soup at noon, 내일 회의  会議は明日 " * 1000
    together = "会議は明日の午後二時に始まります。" * 1000
    async with LlamaServer(url, 60, key) as server:
        tokenizer = Tokenizer(server, separator=2)
        found = await tokenizer.ids(["soup", spaced, "", together, "noon"])
        heads = await tokenizer.ids([spaced, "soup"], most=100)

    expected = [encoded(text) for text in ("soup", spaced, "", together, "noon")]
    assert [ids.tolist() for ids in found] == expected
    assert [ids.tolist() for ids in heads] == [expected[1][:100], expected[0]]


def test_states_in_numpy_equal_the_reference(folder: Path) -> None:
    """What a llama-server is recognised by, from weights that are together and that are not."""
    apart = folder / "apart.gguf"
    tiny_encoder.make().write(apart)
    case = PAIR_CASES["one document"]
    ids = tiny_encoder.train_tokenizer().encode(case.query, case.documents[0]).ids
    for path in (apart, folder / "model.gguf"):
        (logit,) = Classifier.read(path)(first_state(path, np.array(ids)))
        assert logit == pytest.approx(GOLDEN[IN_PARTS]["one document"][0], abs=TOLERANCE)


@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0"])
def test_classifier_of_quantized_weights(folder: Path, tmp_path: Path, kind: str) -> None:
    tiny_encoder.make().write(tmp_path / "m.gguf", gguf.GGMLQuantizationType[kind])
    states = np.random.default_rng(0).standard_normal((5, 64), np.float32)

    exact = Classifier.read(folder / "model.gguf")(states)

    assert Classifier.read(tmp_path / "m.gguf")(states) == pytest.approx(exact, abs=0.05)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("classifier.dense.bias", lambda tensor: tensor[1:]),
        ("classifier.out_proj.bias", lambda tensor: tensor * np.float32(np.nan)),
        ("classifier.out_proj.weight", np.zeros_like),
    ],
)
def test_classifier_that_is_damaged(
    tmp_path: Path, name: str, change: Callable[[Floats], Floats]
) -> None:
    tiny = tiny_encoder.make()
    tiny.tensors[name] = change(tiny.tensors[name])
    tiny.write(tmp_path / "m.gguf")
    with pytest.raises(GGUFError, match=r"m\.gguf is damaged"):
        Classifier.read(tmp_path / "m.gguf")


@pytest.mark.anyio
async def test_other_weights_are_refused(folder: Path) -> None:
    with EmbeddedServer(*FLAGS) as server:
        wanted = Settings(model=IN_PARTS, gguf=folder / "model.gguf", llama_server_url=server.url)
        server.serve(folder / "other.gguf")
        with pytest.raises(OtherWeights, match=r"serves other weights than model\.gguf"):
            async with open_model(wanted):
                pass
        server.serve(folder / "model.gguf")
        async with open_model(wanted) as model:
            right = await model.rank(Task("soup", ["noon"]))
            server.serve(folder / "other.gguf")
            # The first may find the connection closed.
            with pytest.raises(ModelError):
                await model.rank(Task("soup", ["noon"]))
            with pytest.raises(OtherWeights):
                await model.rank(Task("soup", ["noon"]))
            server.serve(folder / "model.gguf")
            again = await model.rank(Task("soup", ["noon"]))

    assert again.scores == pytest.approx(right.scores, abs=1e-6)


@pytest.mark.anyio
async def test_llama_server_that_does_not_pool(folder: Path) -> None:
    with EmbeddedServer("--embeddings", "--pooling", "none") as server:
        server.serve(folder / "model.gguf")
        wanted = Settings(model=IN_PARTS, gguf=folder / "model.gguf", llama_server_url=server.url)
        with pytest.raises(ModelError, match="--pooling cls"):
            async with open_model(wanted):
                pass


@pytest.mark.anyio
async def test_the_classifier_must_be_known(behind: Settings) -> None:
    with pytest.raises(ConfigurationError, match="RERANKER_GGUF is not set"):
        async with open_model(replace(behind, gguf=None)):
            pass


def test_doctor(pairs: Service, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = run_app("doctor", **pairs.environment).stdout
    assert f"projector: {IN_PARTS} has none" in report
    assert "problem" not in report

    transformer = replace(Transformer.read(folder / "model.gguf"), context=8192, heads=16)
    monkeypatch.setenv("RERANKER_MODEL", BEGINNING)
    monkeypatch.setattr("app.doctor.memory.free_memory", lambda: 10**9)
    found = check_memory(Plan.of(Settings.load()), transformer, [])
    assert found.state == "problem"
    (advised,) = re.findall(r"set RERANKER_MAX_LENGTH=(\d+)", found.advice)

    monkeypatch.setenv("RERANKER_MAX_LENGTH", advised)
    assert check_memory(Plan.of(Settings.load()), transformer, []).state == "ok"
