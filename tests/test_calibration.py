"""Scores as probabilities, by a file that belongs to one GGUF."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.calibration import Calibration, NotCalibrated, calibration_of
from app.settings import Settings
from app.start.weights import WeightsError, fetch
from models.weights import weights_of
from tests.in_process import Pointwise, app_of, client

# As the texts of `Pointwise`: logits 1, -2 and 3.
TEXTS = ["four", "1", "sixsix"]
CURVE = Calibration(a=0.5, b=-1.0, sha256="0" * 64)
# Sigmoids of -0.5, -2 and 0.5.
PROBABILITIES = [0.377541, 0.119203, 0.622459]


def written(folder: Path, **values: Any) -> Path:
    path = folder / "calibration.json"
    path.write_text(json.dumps({"a": 2.0, "b": -0.5, "gguf_sha256": "0" * 64} | values))
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_probabilities_do_not_overflow() -> None:
    raw = np.array([-1e4, 0, 1e4], np.float32)
    assert CURVE.probabilities(raw) == pytest.approx([0, 0.268941, 1], abs=1e-6)


@pytest.mark.anyio
async def test_calibrated_scores_where_they_are_asked_for() -> None:
    async with client(app_of(Pointwise(), CURVE)) as asking:
        body = {"query": "q", "documents": TEXTS, "scores": "calibrated", "min_score": 0.2}
        results = (await asking.post("/rerank", json=body)).json()["results"]
    assert [(r["index"], r["relevance_score"]) for r in results] == [
        (2, pytest.approx(PROBABILITIES[2], abs=1e-5)),
        (0, pytest.approx(PROBABILITIES[0], abs=1e-5)),
    ]


@pytest.mark.anyio
async def test_the_setting_makes_them_the_scores_of_every_dialect() -> None:
    async with client(app_of(Pointwise(), CURVE, scores="calibrated")) as asking:
        jina = (await asking.post("/rerank", json={"query": "q", "documents": TEXTS})).json()
        tei = (await asking.post("/rerank", json={"query": "q", "texts": TEXTS})).json()
        (model,) = (await asking.get("/v1/models")).json()["data"]
        info = (await asking.get("/info")).json()

    for found in (
        {r["index"]: r["relevance_score"] for r in jina["results"]},
        {r["index"]: r["score"] for r in tei},
    ):
        assert [found[i] for i in range(3)] == pytest.approx(PROBABILITIES, abs=1e-5)
    for told in (model, info):
        assert (told["score"], told["score_range"]) == ("calibrated probability", [0, 1])


@pytest.mark.anyio
async def test_without_a_calibration_they_are_refused() -> None:
    async with client(app_of(Pointwise())) as asking:
        body = {"query": "q", "documents": TEXTS, "scores": "calibrated"}
        answer = await asking.post("/rerank", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"] == "scores: no calibrated scores: none was made"


def test_a_calibration_belongs_to_its_gguf(model: Path, tmp_path: Path) -> None:
    gguf = model / "model.gguf"
    path = written(tmp_path, gguf_sha256=digest(gguf))
    assert calibration_of(gguf, path) == Calibration(2.0, -0.5, digest(gguf))

    other = calibration_of(gguf, written(tmp_path))
    assert isinstance(other, NotCalibrated)
    assert digest(gguf) in str(other)
    unknown = calibration_of(None, path)
    assert isinstance(unknown, NotCalibrated)
    assert "RERANKER_GGUF" in str(unknown)


def test_that_of_a_prepared_copy_is_that_of_its_source(model: Path, exact_gguf: Path) -> None:
    assert weights_of(exact_gguf).sha256 == digest(model / "model.gguf")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"a": 0}, "no rising curve"),
        ({"a": -1.5}, "no rising curve"),
        ({"b": None}, "cannot be used"),
        ({"a": "steep"}, "cannot be used"),
        ({"b": float("inf")}, "no rising curve"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, values: dict[str, Any], told: str) -> None:
    path = written(tmp_path, **values)
    with pytest.raises(NotCalibrated, match=told) as refused:
        Calibration.read(path)
    assert str(path) in str(refused.value)
    path.write_text("[]")
    with pytest.raises(NotCalibrated, match="cannot be used"):
        Calibration.read(path)


def test_a_start_with_another_gguf_or_without_a_file_is_refused(
    model: Path, tmp_path: Path
) -> None:
    def refusal(**variables: str) -> str:
        files = {
            "RERANKER_MODEL": "tiny",
            "RERANKER_GGUF": str(model / "model.gguf"),
            "RERANKER_PROJECTOR": str(model / "projector.safetensors"),
            "RERANKER_READOUT": "embedding",
        }
        with pytest.raises(WeightsError) as refused:
            fetch(Settings.load(files | variables))
        return str(refused.value)

    missing = refusal(RERANKER_SCORES="calibrated")
    assert missing.startswith("no calibrated scores: there is no weights/tiny/calibration.json;")
    assert "python -m app evaluate DATA --calibrate" in missing
    path = written(tmp_path)
    assert f"{path} was fitted on another GGUF" in refusal(RERANKER_CALIBRATION=str(path))
