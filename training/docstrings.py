"""Names and docstrings of the Python modules installed here."""

from __future__ import annotations

import ast
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from training.pairs import Pair

_MOST_CHARACTERS = 160
_Definition = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def docstring_pairs() -> list[Pair]:
    """A pair for each public function and class with a docstring, its name spelled in words."""
    pairs: dict[str, Pair] = {}
    for key in ("stdlib", "purelib"):
        root = Path(sysconfig.get_path(key))
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).parts
            if not {"site-packages", "test", "tests", "idlelib"} & set(parts):
                for pair in _pairs_of(path, ".".join(parts)):
                    pairs.setdefault(pair.document, pair)
    return list(pairs.values())


def _pairs_of(path: Path, module: str) -> Iterator[Pair]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, _Definition) and not node.name.startswith("_"):
            document = " ".join((ast.get_docstring(node) or "").split())[:_MOST_CHARACTERS]
            words = _words(node.name)
            if len(document) > 40 and len(words) > 1:
                package = module.split(".")[0]
                # Methods of one name are alike, so the name is part of where a pair is from.
                yield Pair(" ".join(words), document, f"python {package}", f"{module} {node.name}")


def _words(name: str) -> list[str]:
    spaced = "".join(f" {c}" if c.isupper() else c for c in name.replace("_", " "))
    return spaced.lower().split()
