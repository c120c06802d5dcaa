from __future__ import annotations

import subprocess
import sys

from tests.running import ROOT

_IMPORT_MODELS = """
import importlib, pkgutil, sys
sys.modules["fastapi"] = sys.modules["app"] = None  # importing either fails
import models
for module in pkgutil.iter_modules(models.__path__):
    importlib.import_module(f"models.{module.name}")
"""


def test_models_need_neither_app_nor_fastapi() -> None:
    subprocess.run([sys.executable, "-c", _IMPORT_MODELS], cwd=ROOT, check=True)
