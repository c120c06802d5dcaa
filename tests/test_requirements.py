"""Every package that the code imports is one that it declares."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import packages_distributions

import pytest

from toolkit.running import ROOT

OURS = {"app", "bench", "models", "tests", "toolkit", "training"}


def declared(*files: str) -> set[str]:
    lines = [line for file in files for line in (ROOT / file).read_text().splitlines()]
    names = [re.match(r"[A-Za-z0-9_.-]+", line) for line in lines if not line.startswith("-")]
    return {_normal(name[0]) for name in names if name}


def imported(folder: str) -> set[str]:
    """Top-level names of other people's modules that Python files below `folder` import."""
    names = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(str(node.module).split(".")[0])
    return names - OURS - set(sys.stdlib_module_names)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


_EXTRAS = ("requirements-demo.txt", "requirements-evaluate.txt", "requirements-otlp.txt")
_SERVICE = ("requirements.txt", *_EXTRAS)
_DEVELOPMENT = (*_SERVICE, "requirements-dev.txt", "requirements-torch.txt")


@pytest.mark.parametrize(
    ("folder", "files"),
    [
        ("app", _SERVICE),
        ("models", _SERVICE),
        ("bench", _DEVELOPMENT),
        ("toolkit", _DEVELOPMENT),
        ("training", _DEVELOPMENT),
    ],
)
def test_what_is_imported_is_declared(folder: str, files: tuple[str, ...]) -> None:
    distributions = packages_distributions()
    missing = [
        module
        for module in imported(folder)
        # PyTorch is not installed where the tests run: its modules are named like their packages.
        if not {_normal(name) for name in distributions.get(module, [module])} & declared(*files)
    ]

    assert missing == []
