"""Pairs of key and value as a GGUF's metadata hold them."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_UINT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 6, 7, 8, 9

Value = str | int | float | Sequence[bool] | NDArray[np.float32]


def pair(key: str, value: Value) -> bytes:
    """Text, a number of 32 bits, truths, or float32."""
    return string(key) + _typed(value)


def string(text: str) -> bytes:
    """Text behind its length in bytes."""
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _typed(value: Value) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + string(value)
    if isinstance(value, int):
        return struct.pack("<II", _UINT32, value)
    if isinstance(value, float):
        return struct.pack("<If", _FLOAT32, value)
    kind, dtype = (_FLOAT32, "<f4") if isinstance(value, np.ndarray) else (_BOOL, "?")
    return struct.pack("<IIQ", _ARRAY, kind, len(value)) + np.asarray(value, dtype).tobytes()
