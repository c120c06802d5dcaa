from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from models.prepare import prepare
from toolkit import tiny_model
from toolkit.debian import untested
from toolkit.running import EXACT, ROOT, Service

# The same examples each time: who sees a failure can repeat it.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


def pytest_configure() -> None:
    """Let children hear Ctrl-C: in a shell's background SIGINT is ignored, which they inherit."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say in the last line what was not tested for want of packages."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal and (line := untested(terminal.stats.get("skipped", []))):
        terminal.write_line(line, red=True, bold=True)


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
def exact_gguf(model: Path) -> Path:
    """The tiny model with a readout head in full precision."""
    path = model / "exact.gguf"
    prepare(model / "model.gguf", path, head_type="F32")
    return path


@pytest.fixture(scope="session")
def service(model: Path, exact_gguf: Path) -> Iterator[Service]:
    """The service with the tiny model in full precision, shared by tests that leave it well."""
    with Service(model, RERANKER_GGUF=str(exact_gguf), **EXACT) as running:
        yield running


@pytest.fixture(scope="session")
def embedding_service(model: Path) -> Iterator[Service]:
    """The same through the `embedding` readout."""
    with Service(model, RERANKER_READOUT="embedding", **EXACT) as running:
        yield running


@pytest.fixture(scope="session")
def yes_no_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny random model that answers yes or no."""
    folder = tmp_path_factory.mktemp("yes-no")
    tiny_model.make_yes_no().write(folder)
    return folder


@pytest.fixture(scope="session")
def yes_no_service(yes_no_model: Path) -> Iterator[Service]:
    """The service with that model, prepared as start.sh does, shared as `service` is."""
    slots = {"LLAMA_ARG_N_PARALLEL": "2", "LLAMA_ARG_CTX_SIZE": "8192"}
    name = {"RERANKER_MODEL": "Qwen3-Reranker-0.6B"}
    with Service(yes_no_model, **name, **(EXACT | slots)) as running:
        yield running


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service with the demo model, from a folder that prepared copies may be written to."""
    folder = tmp_path_factory.mktemp("demo")
    for name in ("model.gguf", "projector.safetensors"):
        shutil.copy(ROOT / "weights/demo" / name, folder)
    with Service(folder, RERANKER_MODEL="demo") as running:
        yield running
