"""A request walks one way through the house: app, models, the sidecar."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from toolkit.running import ROOT

PACKAGES = ("app", "bench", "examples", "models", "tests", "toolkit", "training")
# What each may import of the others.
BELOW = {
    "app": {"models"},
    "bench": {"app", "models", "toolkit"},
    "examples": {"app"},
    "models": set(),
    "tests": {"app", "examples", "models", "toolkit"},
    "toolkit": {"app", "models"},
    "training": {"models", "toolkit"},
}
# All that the application knows of models, besides what a start decides and its doctor examines.
SEAM = {"models.rerank", "models.open", "models.weights"}
OUTSIDE_OF_REQUESTS = ("app/start/", "app/doctor/", "app/commands/plan.py")
# One for each family.
ROOMS = tuple(
    f"models.{path.parent.name}"
    for path in (ROOT / "models").glob("*/__init__.py")
    if path.parent.name != "llama"
)

_IMPORT_MODELS = """
import importlib, pkgutil, sys
sys.modules["fastapi"] = sys.modules["app"] = None  # importing either fails
import models
for module in pkgutil.walk_packages(models.__path__, "models."):
    importlib.import_module(module.name)
"""


def modules() -> dict[str, Path]:
    """Every module of the project by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def imports(name: str, *, at_start: bool = False) -> frozenset[str]:
    """The project's modules that `name` imports, those inside functions too unless `at_start`."""
    path = MODULES[name]
    tree = ast.parse(path.read_text())
    nodes = ast.iter_child_nodes(tree) if at_start else ast.walk(tree)
    base = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                parent = base.rsplit(".", node.level - 1)[0] if node.level > 1 else base
                module = f"{parent}.{module}".rstrip(".")
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                found.add(inner if inner in MODULES else module)
    return frozenset(module for module in found if module in MODULES and module != name)


def test_models_need_neither_app_nor_fastapi() -> None:
    subprocess.run([sys.executable, "-c", _IMPORT_MODELS], cwd=ROOT, check=True)


def test_there_is_no_circle() -> None:
    # A package takes names out of its modules; these do not need the package's own names.
    graph = {name: imports(name, at_start=True) for name in MODULES}
    tuple(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("package", PACKAGES)
def test_no_package_climbs(package: str) -> None:
    climbs = {
        (name, imported)
        for name in MODULES
        if name.split(".")[0] == package
        for imported in imports(name)
        if imported.split(".")[0] not in BELOW[package] | {package}
    }
    assert not climbs


def test_the_sidecar_knows_no_model() -> None:
    known = {
        (name, imported)
        for name in MODULES
        if name.startswith("models.llama")
        for imported in imports(name)
        if imported.startswith((*ROOMS, "models.families", "models.rerank", "models.open"))
    }
    assert not known


def test_the_sidecar_names_no_model() -> None:
    named = {
        (name, word)
        for name, path in MODULES.items()
        if name.startswith("models.llama")
        for word in ("jina", "qwen3-reranker", "yes_no", "yes/no", "bge")
        if word in path.read_text().lower()
    }
    assert not named


def test_requests_know_models_by_the_seam_alone() -> None:
    beside = {
        (name, imported)
        for name, path in MODULES.items()
        if name.startswith("app")
        and not str(path.relative_to(ROOT)).startswith(OUTSIDE_OF_REQUESTS)
        for imported in imports(name)
        if imported.startswith("models") and imported not in SEAM
    }
    assert not beside


def test_commands_start_without_the_front() -> None:
    # Each start of the service runs some, and waits for what they import.
    program = "import app.__main__, sys; sys.exit('fastapi' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0
