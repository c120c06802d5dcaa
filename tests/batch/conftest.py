"""Requests of a job, and what is expected of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.batch.job import REQUESTS, scores, write_lines
from toolkit.running import Service


@pytest.fixture(scope="module")
def expected(service: Service) -> dict[str, Any]:
    return {request["id"]: scores(service, **request) for request in REQUESTS}


@pytest.fixture
def requests(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "requests.jsonl", REQUESTS)


@pytest.fixture
def few(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "requests.jsonl", REQUESTS[:3])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"
