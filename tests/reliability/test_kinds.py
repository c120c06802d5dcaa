"""Deadline and admission of pointwise models, which have rooms of their own behind the seam."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.reliability.raw_client import answer, connect, send
from tests.reliability.test_admission import is_full, stopped
from toolkit import tiny_encoder
from toolkit.running import EXACT, Service, wait_until

BODY = {"query": "soup?", "documents": ["noon", "two", "soup at noon"]}


@pytest.fixture(scope="module", params=["Qwen3-Reranker-0.6B", "bge-reranker-v2-m3"])
def narrow(
    request: pytest.FixtureRequest, yes_no_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """One slot, a queue of one, and three seconds."""
    folder = yes_no_model
    if request.param == "bge-reranker-v2-m3":
        folder = tmp_path_factory.mktemp("encoder")
        tiny_encoder.make().write(folder / "model.gguf")
    limits = {
        "RERANKER_MODEL": request.param,
        "RERANKER_QUEUE_LIMIT": "1",
        "RERANKER_TIMEOUT_SECONDS": "3",
        "LLAMA_ARG_N_PARALLEL": "1",
    }
    with Service(folder, **(EXACT | limits)) as running:
        yield running


def test_a_full_queue_refuses_and_a_deadline_ends_what_waits(narrow: Service) -> None:
    expected = narrow.rerank(**BODY).json()["results"]
    with ExitStack() as stack:
        first, second = (stack.enter_context(closing(connect(narrow))) for _ in range(2))
        with stopped(narrow.llama_server):
            for client in (first, second):
                send(client, json.dumps(BODY).encode())
            wait_until(lambda: is_full(narrow))
            assert [answer(client).status for client in (first, second)] == [504, 504]

    wait_until(lambda: narrow.rerank(**BODY).status_code == 200)
    again = narrow.rerank(**BODY).json()["results"]
    assert [r["index"] for r in again] == [r["index"] for r in expected]
    assert [r["relevance_score"] for r in again] == pytest.approx(
        [r["relevance_score"] for r in expected], abs=1e-4
    )
    assert narrow.metric("prompts_waiting") == 0
