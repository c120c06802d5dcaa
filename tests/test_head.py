"""The readout head of any matrix M: what is read of a state h is M·h."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.families import check_file
from models.llama import qwen3
from models.llama.client import LlamaServer
from models.llama.fingerprint import Fingerprint, OtherWeights
from models.llama.gguf import GGUFError
from models.llama.head import Floats, Head, View
from models.llama.readout.embedding import EmbeddingReadout
from models.llama.readout.prefix import PrefixReadout
from models.prepare import PrepareError, prepare, prepared
from models.rerank import ConfigurationError
from tests.llama import EmbeddedServer
from toolkit import tiny_model

WIDTHS = [1, 7, 512]
EXACT = ("--cache-type-k", "f32", "--cache-type-v", "f32")
HIDDEN = tiny_model.CONFIG.hidden_size


def view(matrix: Floats) -> View:
    return View(f"{len(matrix)} rows of a test", lambda _: matrix)


def random_matrix(width: int) -> Floats:
    random = np.random.default_rng(width)
    # Rows of very different sizes, as differences of embeddings are.
    sizes = random.uniform(-3, 3, (width, 1))
    return (random.standard_normal((width, HIDDEN)) * 10**sizes).astype(np.float32)


@pytest.fixture(scope="module")
def large_vocabulary(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models of one vocabulary that has room for 512 pairs of rows."""
    paths = []
    for seed in (0, 1):
        folder = tmp_path_factory.mktemp("large")
        tiny_model.make(seed=seed, more_tokens=700).write(folder)
        paths.append(folder / "model.gguf")
    return paths


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    with EmbeddedServer(*EXACT) as running:
        yield running


@pytest.mark.anyio
@pytest.mark.parametrize("width", WIDTHS)
async def test_rows_are_those_of_numpy(
    server: EmbeddedServer, large_vocabulary: list[Path], tmp_path: Path, width: int
) -> None:
    source, other = large_vocabulary
    matrix = random_matrix(width)
    prepare(source, tmp_path / "ours.gguf", "F32", view=view(matrix))
    prepare(other, tmp_path / "others.gguf", "F32", view=view(matrix))
    ids = np.random.default_rng(0).integers(0, 256, 90)
    states = qwen3.hidden_states(source, ids)
    positions = [3, 40, 89]
    server.serve(tmp_path / "ours.gguf")
    async with LlamaServer(server.url, 60) as client:
        head = Head.read(tmp_path / "ours.gguf")
        assert head is not None
        fingerprint = Fingerprint(ids[:16], tmp_path / "ours.gguf", (), states[:16])
        readout = await PrefixReadout.connect(client, head, fingerprint)

        rows = (await readout.read(ids, positions)).rows

        assert rows.shape == (3, width)
        # In units of what a row sees of a state in any direction.
        unit = np.linalg.norm(matrix, axis=1) * np.linalg.norm(states[positions]) / np.sqrt(3)
        error = (rows - states[positions] @ matrix.T) / unit * np.sqrt(HIDDEN)
        assert abs(error).max() < 1e-4

        server.serve(tmp_path / "others.gguf")
        with pytest.raises(OtherWeights):
            await readout.check()


@pytest.mark.anyio
async def test_the_other_readout_multiplies_itself(large_vocabulary: list[Path]) -> None:
    source, matrix = large_vocabulary[0], random_matrix(7)
    ids = np.random.default_rng(0).integers(0, 256, 50)
    states = qwen3.hidden_states(source, ids)
    with EmbeddedServer("--embeddings", "--pooling", "none", *EXACT) as server:
        server.serve(source)
        async with LlamaServer(server.url, 60) as client:
            fingerprint = Fingerprint(ids[:16], source, (), states[:16])
            readout = await EmbeddingReadout.connect(client, fingerprint, matrix)

            rows = (await readout.read(ids, [20, 49])).rows

    assert readout.width == 7
    np.testing.assert_allclose(rows, states[[20, 49]] @ matrix.T, rtol=1e-3, atol=1e-3)


def test_copies_for_two_heads_are_two(large_vocabulary: list[Path], tmp_path: Path) -> None:
    source = tmp_path / "model.gguf"
    source.write_bytes(large_vocabulary[0].read_bytes())
    one, other = view(random_matrix(1)), view(random_matrix(7))

    first = prepared(source, one)
    assert prepared(source, one) == first == prepared(first, one)
    with pytest.raises(PrepareError, match="for another model"):
        prepared(first, other)
    second = prepared(source, other)

    assert second != first
    head = Head.read(second)
    assert head is not None
    assert (head.meaning, head.width) == (other.meaning, 7)
    np.testing.assert_allclose(head.matrix, random_matrix(7), rtol=2**-10, atol=1e-3)
    with pytest.raises(ConfigurationError, match="its readout head shows '7 rows of a test'"):
        check_file("jina-reranker-v3", second)


@pytest.mark.parametrize("matrix", [np.zeros((1, HIDDEN)), np.full((1, HIDDEN), np.nan)])
def test_matrix_that_shows_nothing(model: Path, tmp_path: Path, matrix: Floats) -> None:
    with pytest.raises(GGUFError):
        prepare(model / "model.gguf", tmp_path / "out.gguf", view=view(matrix.astype(np.float32)))
    assert not (tmp_path / "out.gguf").exists()
