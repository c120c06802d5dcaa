"""Scores as probabilities: a curve that was fitted on judged pairs, for one file of weights."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.weights import weights_of

_MAKE = "python -m app evaluate DATA --calibrate"


class NotCalibrated(ValueError):
    """There are no calibrated scores; the message says why, and what to do."""


@dataclass(frozen=True)
class Calibration:
    """The probability of relevance is the sigmoid of `a` × raw score + `b`.

    `a` is above 0, so that the order stays; `sha256` is that of the GGUF as published.
    """

    a: float
    b: float
    sha256: str

    def probabilities(self, raw: NDArray[Any]) -> NDArray[np.float64]:
        """0…1 [documents], of raw scores [documents]."""
        # The sigmoid, which of a large exponent would overflow.
        return 0.5 * (1 + np.tanh((self.a * raw.astype(np.float64) + self.b) / 2))

    @classmethod
    def read(cls, path: Path) -> Calibration:
        """Read the file; raises `NotCalibrated`."""
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            a, b, sha256 = float(record["a"]), float(record["b"]), str(record["gguf_sha256"])
        except FileNotFoundError:
            raise NotCalibrated(f"there is no {path}; make it with {_MAKE}") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NotCalibrated(
                f"{path} cannot be used: {error!r}; make it anew with {_MAKE}"
            ) from error
        if not (math.isfinite(a) and a > 0 and math.isfinite(b)):
            raise NotCalibrated(
                f"{path} holds a {a:g} and b {b:g}, no rising curve; make it anew with {_MAKE}"
            )
        return cls(a, b, sha256)


def calibration_of(gguf: Path | None, path: Path) -> Calibration | NotCalibrated:
    """What `path` holds for the served `gguf`, or why it does not.

    May read the whole GGUF, as `weights_of` does.
    """
    try:
        calibration = Calibration.read(path)
        _check(calibration, path, gguf)
    except NotCalibrated as error:
        return error
    return calibration


def _check(calibration: Calibration, path: Path, gguf: Path | None) -> None:
    served = weights_of(gguf).sha256
    if served is None:
        raise NotCalibrated(
            "which GGUF is served is not known; name the file that llama-server has in "
            "RERANKER_GGUF"
        )
    if served != calibration.sha256:
        raise NotCalibrated(
            f"{path} was fitted on another GGUF, whose SHA-256 is {calibration.sha256}, and not "
            f"on this one, {served}; serve that one, or take RERANKER_SCORES and "
            f"RERANKER_CALIBRATION away, start, and fit this one with {_MAKE}"
        )
