"""What start.sh would start: its settings and defaults."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from app.errors import describe
from app.settings import Settings
from models.files import find_gguf

EMBEDDED = [sys.executable, "-m", "models.embedded_server"]


class SettingError(ValueError):
    """A setting is wrong; the message names it."""


@dataclass(frozen=True)
class Plan:
    """Files, addresses and commands of a start; `settings` are those of the front."""

    settings: Settings
    gguf: Path | None
    download: bool
    host: str
    port: int
    llama_server: list[str] | None
    llama_server_url: str | None
    llama_server_port: int

    @classmethod
    def of_environment(cls) -> Plan:
        """Raises `SettingError`."""
        try:
            settings = Settings()
        except ValidationError as error:
            raise SettingError(describe(error.errors())) from error
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", settings.model):
            raise SettingError(
                f"RERANKER_MODEL is a name such as jina-reranker-v3, not '{settings.model}'"
            )
        return cls(
            settings=settings,
            gguf=settings.gguf
            or find_gguf(Path("weights", settings.model), variable("RERANKER_QUANT")),
            download=variable("RERANKER_DOWNLOAD") == "1",
            host=variable("RERANKER_HOST") or "127.0.0.1",
            port=number("RERANKER_PORT", 7998),
            llama_server=_llama_server(),
            llama_server_url=variable("LLAMA_SERVER_URL") or None,
            llama_server_port=number("LLAMA_SERVER_PORT", 8081),
        )

    @property
    def url(self) -> str:
        """Where this machine reaches the service."""
        host = "127.0.0.1" if self.host == "0.0.0.0" else self.host
        return f"http://{host}:{self.port}"

    @property
    def download_command(self) -> str:
        """What fetches the weights."""
        quant = variable("RERANKER_QUANT")
        return f"python -m models.download {self.settings.model}" + (
            f" --quant {quant}" if quant else ""
        )


def variable(name: str) -> str:
    """An environment variable, empty if it is not set."""
    return os.environ.get(name, "")


def number(name: str, default: int) -> int:
    """A whole number from the environment; raises `SettingError`."""
    value = variable(name)
    try:
        return int(value or default)
    except ValueError as error:
        raise SettingError(f"{name} is a whole number, not '{value}'") from error


def _llama_server() -> list[str] | None:
    binary = variable("LLAMA_SERVER_BIN")
    if binary:
        return [binary] if shutil.which(binary) else None
    for candidate in ("llama-server", "/app/llama-server"):
        if shutil.which(candidate):
            return [candidate]
    if importlib.util.find_spec("xllamacpp"):
        return EMBEDDED
    return None
