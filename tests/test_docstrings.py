"""What docstrings, comments and pages call by a dotted name exists."""

from __future__ import annotations

import ast
import importlib
import io
import re
import subprocess
import tokenize

from toolkit.running import ROOT

PACKAGES = ("app", "bench", "examples", "models", "tests", "training")
_NAME = re.compile(rf"(?<![\w./-])(?:{'|'.join(PACKAGES)})(?:\.[A-Za-z_]\w*)+(?![\w/])")
# Files of that name and ending, such as `app/models.py`, are no modules.
_ENDINGS = ("py", "sh", "json", "md", "gguf", "toml", "yml")


def _tracked(*patterns: str) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return listed.stdout.split()


def _prose(path: str) -> str:
    """Docstrings and comments of a Python file, other files whole."""
    text = (ROOT / path).read_text()
    if not path.endswith(".py"):
        return text
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = [
        ast.get_docstring(node) or ""
        for node in ast.walk(ast.parse(text))
        if isinstance(node, documented)
    ]
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return "\n".join([*docstrings, *(t.string for t in tokens if t.type == tokenize.COMMENT)])


def exists(name: str) -> bool:
    """Whether `name` is a module, or something in one; what needs PyTorch is looked for only."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        module = ".".join(parts[:length])
        if not ROOT.joinpath(*parts[:length]).with_suffix(".py").is_file() and not (
            ROOT.joinpath(*parts[:length], "__init__.py").is_file()
        ):
            continue
        if length == len(parts):
            return True
        try:
            found: object = importlib.import_module(module)
        except ModuleNotFoundError as error:
            return str(error.name).split(".")[0] not in PACKAGES
        for part in parts[length:]:
            if not hasattr(found, part):
                return part in getattr(found, "__annotations__", {})
            found = getattr(found, part)
        return True
    return False


def names(path: str) -> set[str]:
    found = {match[0] for match in _NAME.finditer(_prose(path))}
    return {name for name in found if not name.endswith(tuple(f".{e}" for e in _ENDINGS))}


def test_dotted_names_exist() -> None:
    paths = _tracked("*.py", "*.md", "*.sh", "Makefile")
    missing = {path: [name for name in names(path) if not exists(name)] for path in paths}

    assert {path: gone for path, gone in missing.items() if gone} == {}


def test_a_name_that_moved_is_noticed() -> None:
    assert exists("models.llama.readout.prefix.PrefixReadout")
    assert exists("models.llama.readout.prefix")
    assert not exists("models.llama.readout.base.PrefixReadout")
    assert not exists("models.nowhere")
