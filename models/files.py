"""Which files of a folder are a model's, by their names."""

from __future__ import annotations

from pathlib import Path

# How the names of copies that `models.prepare` made end.
PREPARED = ".prefix.gguf"
_GGUF = ".gguf"


def find_gguf(folder: Path, quant: str = "") -> Path | None:
    """The newest GGUF of `folder` that is of `quant` (any if empty); None if there is none.

    Prepared copies, which stand beside their sources, are passed over.
    """
    found: list[tuple[int, str, Path]] = []
    for path in folder.glob("*"):
        if is_quant(path.name, quant) and path.is_file():
            found.append((path.stat().st_mtime_ns, path.name, path))
    return max(found)[2] if found else None


def is_quant(name: str, quant: str = "") -> bool:
    """Whether a file so named is a GGUF of `quant` and no prepared copy; case is no difference.

    The quant is the last part of the name: F16 is not found in `x-BF16.gguf`.
    """
    stem, quant = name.casefold(), quant.casefold()
    if not stem.endswith(_GGUF) or is_prepared(stem):
        return False
    stem = stem.removesuffix(_GGUF)
    return not quant or stem == quant or stem.endswith((f"-{quant}", f".{quant}"))


def is_prepared(name: str) -> bool:
    """Whether a file so named is a copy that `models.prepare` made."""
    return name.casefold().endswith(PREPARED)
