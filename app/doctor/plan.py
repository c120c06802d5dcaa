"""What start.sh would start: its settings, and what it finds where they leave a choice."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from app.settings import Settings
from models.files import find_gguf

EMBEDDED = [sys.executable, "-m", "models.embedded_server"]


@dataclass(frozen=True)
class Plan:
    """Files and commands of a start; `running` is the model of a service that runs already."""

    settings: Settings
    gguf: Path | None
    llama_server: list[str] | None
    running: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> Plan:
        """Look for what the settings leave open."""
        folder = Path("weights", settings.model)
        gguf = settings.gguf or find_gguf(folder, settings.quant or "")
        return cls(settings, gguf, _llama_server(settings))

    @property
    def download_command(self) -> str:
        """What fetches the weights."""
        quant = self.settings.quant
        return f"python -m models.download {self.settings.model}" + (
            f" --quant {quant}" if quant else ""
        )


def _llama_server(settings: Settings) -> list[str] | None:
    if settings.llama_server_bin:
        named = str(settings.llama_server_bin)
        return [named] if shutil.which(named) else None
    for candidate in ("llama-server", "/app/llama-server"):
        if shutil.which(candidate):
            return [candidate]
    if importlib.util.find_spec("xllamacpp"):
        return EMBEDDED
    return None
