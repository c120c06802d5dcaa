"""A dialect is a module and a name: one more is served like those that are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request
from typing_extensions import TypedDict

from app.dialects import dialect
from app.dialects.dialect import Ranked
from app.dialects.spoken import DIALECTS
from app.errors import Problem
from app.main import create_app
from models.rerank import Task
from tests import in_process
from tests.llama import EmbeddedServer


class ToyBody(dialect.Body):
    question: str
    answers: list[str]

    def task(self) -> Task:
        return Task(self.question, self.answers)


class ToyAnswer(TypedDict):
    best: int


class Toy:
    """What would be a module; it is spoken at a path of its own and at one that others share."""

    NAME = "Toy"
    PATHS: Sequence[str] = ("/toy", "/rerank")
    DOCUMENTS: Sequence[str] = ("answers",)
    Body: type[dialect.Body] = ToyBody
    Answer: Any = ToyAnswer
    Error: Any = dict[str, str]

    def speaks(self, request: Request, body: Mapping[str, Any]) -> bool:
        return "answers" in body

    def error(self, problem: Problem) -> Mapping[str, Any]:
        return {"alas": problem.detail}

    def answer(self, ranked: Ranked[ToyBody]) -> ToyAnswer:
        return {"best": ranked.best_first()[0][0]}


@pytest.fixture(scope="module")
def llama_server(exact_gguf: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer("--ctx-size", "4096") as server:
        server.serve(exact_gguf)
        yield server


@pytest.mark.anyio
async def test_one_more(
    llama_server: EmbeddedServer, model: Path, exact_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "LLAMA_SERVER_URL": llama_server.url,
        "RERANKER_MODEL": "tiny",
        "RERANKER_GGUF": str(exact_gguf),
        "RERANKER_PROJECTOR": str(model / "projector.safetensors"),
        "RERANKER_MAX_DOCUMENTS": "3",
        "RERANKER_API_KEY": "sesame",
    }.items():
        monkeypatch.setenv(name, value)
    body = {"question": "soup?", "answers": ["noon", "quality meeting", "soup"]}
    jina = {"query": "soup?", "documents": body["answers"]}

    app = create_app([Toy(), *DIALECTS])
    async with app.router.lifespan_context(app), in_process.client(app) as client:
        refused = await client.post("/toy", json=body)
        client.headers["Authorization"] = "Bearer sesame"
        best = (await client.post("/rerank", json=jina)).json()["results"][0]["index"]
        shared = await client.post("/rerank", json=body)
        own = await client.post("/toy", json=body)
        wrong = await client.post("/toy", json={"question": 3, "answers": []})
        too_many = await client.post("/rerank", json=body | {"answers": ["a"] * 4})
        described = (await client.get("/openapi.json")).json()

    assert own.json() == shared.json() == {"best": best}
    assert (wrong.status_code, wrong.json()) == (
        422,
        {"alas": "question: input should be a valid string"},
    )
    assert too_many.status_code == 413
    assert "RERANKER_MAX_DOCUMENTS" in too_many.json()["alas"]
    assert refused.status_code == 401
    assert refused.json()["alas"] == refused.json()["detail"] == refused.json()["error"]
    operation = described["paths"]["/toy"]["post"]
    assert "dialect of Toy" in operation["description"]
    assert "ToyBody" in str(operation["requestBody"])
    assert "ToyAnswer" in str(operation["responses"]["200"])
