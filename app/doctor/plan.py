"""What start.sh would start: its settings, and what it finds where they leave a choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.settings import Settings
from models.facts import find_llama_server
from models.files import find_gguf


@dataclass(frozen=True)
class Plan:
    """Files and commands of a start; `running` is the model of a service that runs already."""

    settings: Settings
    gguf: Path | None
    llama_server: Sequence[str] | None
    running: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> Plan:
        """Look for what the settings leave open."""
        folder = Path("weights", settings.model)
        gguf = settings.gguf or find_gguf(folder, settings.quant or "")
        return cls(settings, gguf, find_llama_server(settings.llama_server_bin))

    @property
    def download_command(self) -> str:
        """What fetches the weights."""
        quant = self.settings.quant
        return f"python -m models.download {self.settings.model}" + (
            f" --quant {quant}" if quant else ""
        )
