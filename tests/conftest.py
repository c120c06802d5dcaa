from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import tiny_model
from tests.running import EXACT, Service


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny random model."""
    folder = tmp_path_factory.mktemp("model")
    tiny_model.make().write(folder)
    return folder


@pytest.fixture(scope="session")
def service(model: Path) -> Iterator[Service]:
    """The service with the tiny model in full precision, shared by tests that leave it well."""
    with Service(model, **EXACT) as running:
        yield running
