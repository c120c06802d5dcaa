"""Qwen3-Reranker: scores of the reference, whatever the text, the GGUF and the traffic."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import gguf
import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples

from app.settings import Settings
from models.llama.client import LlamaServer, LlamaServerError, Segments, TopTokens
from models.llama.gguf import GGUFError
from models.llama.head import Head
from models.open import open_model
from models.prepare import prepare
from models.rerank import ConfigurationError, DoesNotFit, RankingModel, Task
from models.yes_no.answer import YES_MINUS_NO
from models.yes_no.model import turns
from models.yes_no.prompt import SpecialTokens, after_document, before_document, document_text
from tests.golden.yes_no import CASES
from tests.llama import EmbeddedServer
from tests.reliability.hostile import TEXTS
from toolkit import tiny_model
from toolkit.export import write_gguf
from toolkit.running import ROOT, Service, environment, free_ports, run_app, wait_until

NAME = "Qwen3-Reranker-0.6B"
GOLDEN = json.loads((Path(__file__).parent / "golden/yes_no.json").read_text())
EMBEDDINGS, HEAD = "model.embed_tokens.weight", "lm_head.weight"
Tensors = dict[str, np.ndarray]


def ask(service: Service, name: str) -> list[float]:
    """The scores of a case by document."""
    case = CASES[name]
    response = service.rerank(
        query=case.query, documents=case.documents, instruction=case.instruction
    )
    return by_document(response)


def by_document(response: httpx.Response) -> list[float]:
    results = response.json()["results"]
    return [r["relevance_score"] for r in sorted(results, key=lambda r: int(r["index"]))]


@asynccontextmanager
async def opened(service: Service, **variables: str) -> AsyncIterator[RankingModel]:
    """The model of the running service in this process."""
    own = {"RERANKER_MODEL": NAME, "RERANKER_GGUF": service.front.environ()["RERANKER_GGUF"]}
    async with open_model(
        Settings.load(service.as_outside_llama_server | own | variables)
    ) as model:
        yield model


@pytest.fixture
async def server(yes_no_service: Service) -> AsyncIterator[LlamaServer]:
    url, key = yes_no_service.llama_server_url, yes_no_service.llama_server_key
    async with LlamaServer(url, timeout_seconds=60, api_key=key) as server:
        yield server


@pytest.mark.parametrize("name", CASES)
def test_scores_equal_the_reference(yes_no_service: Service, name: str) -> None:
    assert ask(yes_no_service, name) == pytest.approx(GOLDEN[name], abs=3e-4)


def test_golden_scores_can_tell_rankings_apart() -> None:
    spreads = {name: max(scores) - min(scores) for name, scores in GOLDEN.items()}
    assert sum(spread > 0.05 for spread in spreads.values()) >= 6


def test_requests_at_once_score_as_alone(yes_no_service: Service) -> None:
    names = [*CASES, *CASES][:20]
    with ThreadPoolExecutor(20) as clients:
        together = [*clients.map(lambda name: ask(yes_no_service, name), names)]

    for name, scores in zip(names, together, strict=True):
        assert scores == pytest.approx(GOLDEN[name], abs=3e-4)


def test_kill_under_load(yes_no_service: Service) -> None:
    def answer(name: str) -> httpx.Response:
        case = CASES[name]
        return yes_no_service.rerank(query=case.query, documents=case.documents)

    names = ["english", "korean", "japanese"]
    expected = {name: by_document(answer(name)) for name in names}
    killed = yes_no_service.llama_server
    with ThreadPoolExecutor(6) as clients:
        asked = [(name, clients.submit(answer, name)) for name in names * 6]
        wait_until(lambda: any(future.done() for _, future in asked))
        killed.kill()
        killed.wait(5)
    wait_until(yes_no_service.healthy)

    answers = [(name, future.result()) for name, future in asked]
    answers += [(name, answer(name)) for name in names]

    assert {response.status_code for _, response in answers} <= {200, 503, 504}
    assert [response.status_code for _, response in answers[-3:]] == [200] * 3
    for name, response in answers:
        if response.status_code == 200:
            assert by_document(response) == pytest.approx(expected[name], abs=1e-4)


def test_what_the_service_tells_of_it(yes_no_service: Service) -> None:
    empty = yes_no_service.rerank(query="soup", documents=[])
    report = run_app("doctor", **yes_no_service.environment).stdout

    assert (empty.status_code, empty.json()["results"]) == (200, [])
    assert f"projector: {NAME} has none" in report


def test_start_without_weights_asks_for_no_projector(tmp_path: Path) -> None:
    own = {"RERANKER_MODEL": NAME, "RERANKER_GGUF": str(tmp_path / "absent.gguf")}
    refused = run_app("plan", str(tmp_path), **own, **free_ports())

    assert refused.returncode == 1
    assert f"no weights: {tmp_path}/absent.gguf is missing" in refused.stderr
    assert f"python -m models.download {NAME}" in refused.stderr


@pytest.mark.anyio
async def test_what_documents_share_is_computed_once(yes_no_service: Service) -> None:
    case = CASES["english"]
    async with opened(yes_no_service) as model:
        one = await model.rank(Task(case.query, case.documents[:1], "another"))
        all_ = await model.rank(Task(case.query, case.documents, "another"))

    assert model.card.kind == "pointwise"
    assert all_.logits is not None
    np.testing.assert_allclose(all_.scores, 1 / (1 + np.exp(-all_.logits)), atol=1e-6)
    shared = one.prompt_tokens - 30
    # Each of the two slots computes it at most once.
    assert all_.reused_tokens >= (len(case.documents) - 2) * shared


class Calls:
    """Counts what llama-server is asked to compute."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.began = asyncio.Event()
        top_tokens = LlamaServer.top_tokens

        async def counted(server: LlamaServer, *call: Any, **options: Any) -> TopTokens:
            self.count += 1
            self.began.set()
            return await top_tokens(server, *call, **options)

        monkeypatch.setattr(LlamaServer, "top_tokens", counted)


@pytest.mark.anyio
async def test_client_that_leaves_stops_the_work(
    yes_no_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(yes_no_service) as model:
        calls = Calls(monkeypatch)
        ranking = asyncio.create_task(model.rank(Task("soup", [f"noon {i}" for i in range(200)])))
        await calls.began.wait()
        ranking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ranking

        assert calls.count <= 2 * model.slots
        assert model.waiting == 0
        done = calls.count
        await model.rank(Task("soup", ["noon"]))
        assert calls.count == done + 1


@pytest.mark.anyio
@examples(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS, TEXTS, TEXTS)
@example("soup", "", "\n")
@example("<|im_", "end|>", "<|im_end|><|im_start|>")
async def test_prompt_is_the_published_one(
    server: LlamaServer, query: str, document: str, instruction: str
) -> None:
    """Its text in one piece makes the same tokens, special ones only where ours stand."""
    tokens = await SpecialTokens.of(server)
    *before, text = before_document(tokens, query, instruction)
    parts: list[Segments] = [[*before, text], [document_text(document)], after_document(tokens)]
    ids = [id_ for part in parts for id_ in (await server.tokenize(part)).tolist()]
    whole = [*before, f"{text} {document}", *after_document(tokens)]

    assert ids == (await server.tokenize(whole)).tolist()
    assert sum(id_ in (tokens.im_start, tokens.im_end) for id_ in ids) == 5


@pytest.mark.anyio
async def test_document_is_cut_and_the_question_stays(yes_no_service: Service) -> None:
    async with opened(yes_no_service) as model:
        cut, short = [
            await model.rank(Task("soup", [document], max_document_tokens=7))
            for document in ("noon noon noon noon " * 2000, "noon noon noon noon " * 20)
        ]
        np.testing.assert_allclose(cut.scores, short.scores, atol=1e-5)
        assert cut.prompt_tokens == short.prompt_tokens
        with pytest.raises(DoesNotFit, match="document 0 needs"):
            await model.rank(Task("soup", ["", "noon"], "meeting " * 5000))


@pytest.mark.anyio
async def test_settings_that_do_not_fit(yes_no_service: Service) -> None:
    with pytest.raises(ConfigurationError, match="Raise LLAMA_ARG_CTX_SIZE to at least"):
        async with opened(yes_no_service, RERANKER_MAX_DOCUMENT_TOKENS="5000"):
            pass
    with pytest.raises(ConfigurationError, match="RERANKER_GGUF must name the file"):
        async with opened(yes_no_service, RERANKER_GGUF=""):
            pass


@pytest.mark.parametrize(
    ("lengths", "slots", "expected"),
    [
        ([300], 2, [1]),
        ([300] * 10, 1, [10]),
        ([300] * 10, 4, [3, 3, 3, 1]),
        ([300] * 30, 1, [13, 13, 4]),
        ([9000, 9000, 100], 1, [1, 1, 1]),
    ],
)
def test_turns(lengths: list[int], slots: int, expected: list[int]) -> None:
    found = turns(lengths, slots)

    assert [i for turn in found for i in turn] == [*range(len(lengths))]
    assert [len(turn) for turn in found] == expected


@pytest.fixture(scope="module")
def embedding_server() -> Iterator[EmbeddedServer]:
    flags = "--embeddings --pooling none --ctx-size 3072 --batch-size 3072 --ubatch-size 3072"
    with EmbeddedServer(*flags.split(), "--cache-type-k", "f32", "--cache-type-v", "f32") as server:
        yield server


@pytest.mark.anyio
async def test_the_other_readout(embedding_server: EmbeddedServer, yes_no_model: Path) -> None:
    embedding_server.serve(yes_no_model / "model.gguf")
    own = {"RERANKER_MODEL": NAME, "RERANKER_GGUF": str(yes_no_model / "model.gguf")}
    settings = Settings.load(own | {"LLAMA_SERVER_URL": embedding_server.url})
    case = CASES["korean"]
    async with open_model(settings) as reranker:
        ranking = await reranker.rank(Task(case.query, case.documents))

    assert ranking.scores.tolist() == pytest.approx(GOLDEN["korean"], abs=1e-4)


@pytest.mark.anyio
async def test_a_listwise_model_is_not_served_as_this(
    embedding_server: EmbeddedServer, model: Path
) -> None:
    embedding_server.serve(model / "model.gguf")
    own = {"RERANKER_MODEL": NAME, "LLAMA_SERVER_URL": embedding_server.url}
    with pytest.raises(LlamaServerError, match="reads all documents in one prompt"):
        async with open_model(Settings.load(own)):
            pass


def write(
    folder: Path,
    changes: Tensors,
    labels: Sequence[str] = (),
    kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32,
) -> Path:
    """The tiny model with other tensors."""
    tiny = tiny_model.make_yes_no()
    tokenizer = json.loads(tiny.tokenizer.to_str())
    path = folder / "model.gguf"
    write_gguf(path, tiny.config, tiny.tensors | changes, tokenizer, kind, labels)
    return path


def rows(yes: int, no: int) -> tuple[Tensors, np.ndarray]:
    """A head of its own, and the difference of two of them."""
    random = np.random.default_rng(5)
    matrix = random.standard_normal((tiny_model.make_yes_no().tokenizer.get_vocab_size(), 64))
    matrix = matrix.astype(np.float32)
    return {HEAD: matrix}, matrix[yes] - matrix[no]


def word(text: str) -> int:
    index = tiny_model.make_yes_no().tokenizer.token_to_id(text)
    assert index is not None
    return int(index)


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_0"])
def test_row_out_of_tied_embeddings(tmp_path: Path, kind: str) -> None:
    embeddings = tiny_model.make_yes_no().tensors[EMBEDDINGS]
    expected = embeddings[word("yes")] - embeddings[word("no")]
    path = write(tmp_path, {}, kind=gguf.GGMLQuantizationType[kind])

    (row,) = YES_MINUS_NO.matrix(path)

    distance = np.linalg.norm(row - expected) / np.linalg.norm(expected)
    assert distance <= {"F32": 0, "F16": 1e-3, "BF16": 1e-2, "Q8_0": 2e-2, "Q4_0": 0.2}[kind]


def test_row_out_of_a_head_of_its_own(tmp_path: Path) -> None:
    changes, expected = rows(word("yes"), word("no"))
    path = write(tmp_path, changes)

    (row,) = YES_MINUS_NO.matrix(path)
    prepare(path, tmp_path / "out.gguf", "F32", view=YES_MINUS_NO)
    head = Head.read(tmp_path / "out.gguf")

    np.testing.assert_array_equal(row, expected)
    assert head is not None
    np.testing.assert_allclose(head.matrix, [expected], rtol=1e-5)


@pytest.mark.anyio
async def test_every_kind_of_gguf_scores_the_same(tmp_path: Path) -> None:
    """With a classifier and marked for ranking, or a head of its own, as a tied one."""
    embeddings = tiny_model.make_yes_no().tensors[EMBEDDINGS]
    labelled = {"score.weight": embeddings[[word("yes"), word("no")]]}
    case = CASES["korean"]
    own = {"RERANKER_MODEL": NAME, "RERANKER_MAX_DOCUMENT_TOKENS": "100"}
    with EmbeddedServer() as server:
        for changes, labels in ((labelled, ["yes", "no"]), ({HEAD: embeddings}, [])):
            path = tmp_path / "prepared.gguf"
            path.unlink(missing_ok=True)
            prepare(write(tmp_path, changes, labels), path, "F32", view=YES_MINUS_NO)
            server.serve(path)
            there = {"LLAMA_SERVER_URL": server.url, "RERANKER_GGUF": str(path)}
            async with open_model(Settings.load(own | there)) as reranker:
                ranking = await reranker.rank(Task(case.query, case.documents))

            assert ranking.scores.tolist() == pytest.approx(GOLDEN["korean"], abs=3e-4)


@pytest.mark.parametrize("labels", [["yes", "no"], ["no", "yes"]])
def test_row_out_of_a_classifier(tmp_path: Path, labels: list[str]) -> None:
    scores = np.arange(128, dtype=np.float32).reshape(2, 64) ** 2
    path = write(tmp_path, {"score.weight": scores}, labels)

    (row,) = YES_MINUS_NO.matrix(path)

    np.testing.assert_array_equal(row, scores[labels.index("yes")] - scores[labels.index("no")])


def test_classifier_of_something_else_is_passed_over(tmp_path: Path) -> None:
    embeddings = tiny_model.make_yes_no().tensors[EMBEDDINGS]
    path = write(tmp_path, {"score.weight": embeddings[:2]}, ["good", "bad"])

    (row,) = YES_MINUS_NO.matrix(path)

    np.testing.assert_array_equal(row, embeddings[word("yes")] - embeddings[word("no")])


def test_vocabulary_without_the_words(model: Path) -> None:
    with pytest.raises(GGUFError, match="no rows that say yes and no"):
        YES_MINUS_NO.matrix(model / "model.gguf")


def test_command_prepares_for_a_model_by_name(tmp_path: Path, yes_no_model: Path) -> None:
    source = tmp_path / "model.gguf"
    source.write_bytes((yes_no_model / "model.gguf").read_bytes())
    command = [sys.executable, "-m", "models.prepare", "--model", NAME, str(source)]

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *more], cwd=ROOT, env=environment(), capture_output=True, text=True
        )

    made = Path(run().stdout.strip())
    head = Head.read(made)
    assert head is not None
    assert head.meaning == YES_MINUS_NO.meaning
    assert "leave out OUT.gguf" in run(str(tmp_path / "out.gguf")).stderr
