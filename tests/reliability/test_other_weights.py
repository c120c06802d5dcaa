"""Other weights are refused by the service, in words, until the right ones are back."""

from __future__ import annotations

from pathlib import Path

import httpx

from models.prepare import prepare
from tests.llama import EmbeddedServer
from toolkit import tiny_model
from toolkit.running import EXACT, Service

BODY: dict[str, object] = {"query": "soup?", "documents": ["noon", "two"]}


def test_other_weights_are_refused(model: Path, exact_gguf: Path, tmp_path: Path) -> None:
    tiny_model.make(seed=1).write(tmp_path)
    others = tmp_path / "others.gguf"
    prepare(tmp_path / "model.gguf", others, head_type="F32")
    with EmbeddedServer("--ctx-size", "4096") as server:
        server.serve(exact_gguf)
        outside = {"LLAMA_SERVER_URL": server.url, "RERANKER_GGUF": str(exact_gguf)}
        with Service(model, **outside, **EXACT) as service:
            expected = service.rerank(**BODY).json()["results"]

            server.serve(others)
            # What it remembers is not answered either.
            refused = [service.rerank(**BODY), httpx.get(f"{service.url}/health", timeout=30)]
            metric = service.metric("llama_server_up")

            server.serve(exact_gguf)
            assert service.healthy()
            again = service.rerank(**BODY).json()["results"]

    for answer in refused:
        assert answer.status_code == 503
        assert "serves other weights than exact.gguf" in answer.json()["detail"]
        assert "RERANKER_GGUF" in answer.json()["detail"]
        assert int(answer.headers["Retry-After"]) > 0
    assert metric == 0
    assert again == expected
