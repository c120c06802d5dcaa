"""The description of the API, for people and for generators of clients."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import orjson
from fastapi.routing import APIRoute

from app.dialects.dialect import Dialect, Ranked
from app.errors import MEANINGS, Problem
from models.rerank import Card, Ranking

LICENCE = {"name": "MIT", "identifier": "MIT"}

_CARD = Card("jina-reranker-v3", "listwise", "cosine", (-1.0, 1.0), "", "")
# Of the texts that the bodies are shown with.
_RANKING = Ranking(np.array([0.0625, 0.40625], np.float32), prompt_tokens=142)

_HEADERS = {
    "X-Request-ID": "the request's own, or a new one; it stands in the log",
    "Server-Timing": "milliseconds of waiting, tokenizing, in the model and in the projector",
    "X-Truncated-Documents": "how many documents were cut, if any were",
    "X-Unranked-Documents": "the first and the last document that time did not suffice for",
    "Preference-Applied": "the wait that was asked for, if one was",
    "Retry-After": "seconds after which to come back, where that helps",
    "WWW-Authenticate": "how a key is sent",
}
_OF_RANKINGS = (
    *("Server-Timing", "Preference-Applied"),
    *("X-Truncated-Documents", "X-Unranked-Documents"),
)
_OF_ERRORS = {
    "401": ("WWW-Authenticate",),
    "429": ("Retry-After",),
    "503": ("Retry-After", "Preference-Applied"),
    "504": ("Preference-Applied",),
}
_NUMBERS = ("X-Truncated-Documents", "Retry-After")


def operation_id(route: APIRoute) -> str:
    """The words of a path: what generated clients call the operation."""
    return "_".join(re.findall(r"\w+", route.path_format))


def is_shown(dialect: Dialect) -> bool:
    """Whether the body of the dialect has an example."""
    return "json_schema_extra" in dialect.Body.model_config


def example(dialect: Dialect, status: int) -> Any:
    """What the body that a dialect is shown with is answered, or how the dialect tells an error."""
    if status in MEANINGS:
        return dialect.error(Problem(status, MEANINGS[status]))
    (sent,) = dialect.Body.model_json_schema()["examples"]
    body = dialect.Body.model_validate(sent)
    ranked = Ranked(body, _RANKING, _CARD, "7f3a", body.promised)
    answer = orjson.loads(orjson.dumps(dialect.answer(ranked), option=orjson.OPT_SERIALIZE_NUMPY))
    # The same description each time.
    return answer | {"created": 0} if "created" in answer else answer


def complete(description: dict[str, Any]) -> None:
    """Add the headers of answers, and take out what misleads.

    That is an answer of FastAPI that nobody gets, and defaults of requests: generators take a field
    that has one for a field that is always there.
    """
    components = description["components"]
    components["headers"] = {name: _header(name) for name in _HEADERS}
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    for operations in description["paths"].values():
        for operation in operations.values():
            for name in re.findall(r"schemas/(\w+)", str(operation.get("requestBody"))):
                for field in components["schemas"][name]["properties"].values():
                    field.pop("default", None)
            answers = operation["responses"]
            if "HTTPValidationError" in str(answers.get("422")):
                del answers["422"]
            for status, answer in answers.items():
                ranks = status == "200" and "requestBody" in operation
                names = ("X-Request-ID", *(_OF_RANKINGS if ranks else _OF_ERRORS.get(status, ())))
                answer["headers"] = {
                    name: {"$ref": f"#/components/headers/{name}"} for name in names
                }


def _header(name: str) -> dict[str, Any]:
    kind = "integer" if name in _NUMBERS else "string"
    return {"description": _HEADERS[name], "schema": {"type": kind}}
