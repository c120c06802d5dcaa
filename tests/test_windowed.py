"""jina-reranker-v3.5: scores against the reference, see tests/golden/make.py, and what holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from models.prepare import prepare
from tests.golden.cases import CASES, WINDOWED, Case
from toolkit import tiny_model
from toolkit.running import EXACT, Service, wait_until

NAME = "jina-reranker-v3.5"
GOLDEN: dict[str, list[float]] = json.loads(
    (Path(__file__).parent / "golden/windowed.json").read_text()
)
TOLERANCE = 1e-4
# As much context for each prompt as the golden cases have.
TWO_SLOTS = {"LLAMA_ARG_N_PARALLEL": "2", "LLAMA_ARG_CTX_SIZE": "8192"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny random model with windows of 48 tokens, as published and prepared."""
    folder = tmp_path_factory.mktemp("windowed")
    tiny_model.make(tiny_model.WINDOWED).write(folder)
    prepare(folder / "model.gguf", folder / "exact.gguf", head_type="F32")
    return folder


@pytest.fixture(scope="module")
def prefix(folder: Path) -> Iterator[Service]:
    settings = {"RERANKER_MODEL": NAME, "RERANKER_GGUF": str(folder / "exact.gguf")}
    with Service(folder, **(EXACT | settings | TWO_SLOTS)) as running:
        yield running


@pytest.fixture(scope="module")
def embedding(folder: Path) -> Iterator[Service]:
    """The same through the `embedding` readout, which needs the copy, too, and makes it."""
    settings = {"RERANKER_MODEL": NAME, "RERANKER_READOUT": "embedding"}
    with Service(folder, **(EXACT | settings)) as running:
        yield running


def ask(service: Service, case: Case) -> dict[int, float]:
    response = service.rerank(
        query=case.query, documents=case.documents, instruction=case.instruction
    )
    assert response.status_code == 200, response.text
    return {r["index"]: r["relevance_score"] for r in response.json()["results"]}


def check(service: Service, name: str) -> None:
    expected = pytest.approx(dict(enumerate(GOLDEN[name])), abs=TOLERANCE)
    assert ask(service, CASES[name]) == expected


@pytest.mark.parametrize("name", WINDOWED)
def test_scores_equal_the_reference(prefix: Service, name: str) -> None:
    check(prefix, name)


@pytest.mark.parametrize("name", ["korean", "instruction", "long query"])
def test_scores_equal_the_reference_through_embedding(embedding: Service, name: str) -> None:
    check(embedding, name)


def test_early_positions_are_read_again(prefix: Service) -> None:
    """Less and less of a prompt, when the windows of llama-server are at its end."""
    for name in ("many documents", "one document", "many documents", "one document"):
        check(prefix, name)


def test_a_prompt_that_shares_its_beginning(prefix: Service) -> None:
    """What is shared ends before, in and behind the last window."""
    name = "many documents"
    case = CASES[name]
    for kept in (1, 18, 19):
        documents = [*case.documents[:kept], "other", *case.documents[kept + 1 :]]
        ask(prefix, Case(case.query, documents, [len(documents)]))
        check(prefix, name)


def test_eight_clients_at_once(prefix: Service) -> None:
    names = ["one document", "korean", "instruction", "hostile text"] * 2
    with ThreadPoolExecutor(len(names)) as clients:
        for done in [clients.submit(check, prefix, name) for name in names]:
            done.result()


def test_after_a_cancelled_request(prefix: Service) -> None:
    case = CASES["long document cut inside a character"]
    body = {"query": case.query, "documents": case.documents}
    impatient = httpx.Timeout(30, read=0.05)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{prefix.url}/rerank", json=body, timeout=impatient)
    check(prefix, "many documents")
    check(prefix, "long document cut inside a character")


def test_after_a_restart(prefix: Service) -> None:
    prefix.llama_server.kill()
    wait_until(lambda: not prefix.healthy())
    wait_until(prefix.healthy)
    check(prefix, "many documents")
