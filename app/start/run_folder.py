"""The folder out of which start.sh runs: one file for each process, and its own settings."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from app.settings import Settings
from app.start.problems import LOG
from models.facts import EMBEDDED, Facts
from models.plan import Plan, Server

_KEY_BYTES = 32


def write(folder: Path, settings: Settings, facts: Facts, plan: Plan | None, here: Path) -> None:
    """Replace what start.sh runs; `plan` is None where llama-server runs already.

    `settings` and `front.env` are lines of shell, `servers/<number>/` is what sidecar/keeper.sh
    reads. Only this user can read them: they hold a new key for each llama-server. Relative
    paths in options of llama-server begin `here`.
    """
    key = secrets.token_hex(_KEY_BYTES) if plan else settings.llama_server_api_key
    url = plan.servers[0].url if plan else settings.server_url
    memory = f"{facts.memory / 1e9:.1f} GB" if facts.memory else ""
    common = {"hang_seconds": f"{settings.hang_seconds:g}", "memory_limit": memory}
    outside = {} if plan else {"outside_url": url}
    front = {
        "LLAMA_SERVER_API_KEY": key,
        "LLAMA_SERVER_URL": url,
        "RERANKER_DEVICE": plan.device if plan else settings.device,
        "RERANKER_FALLBACK": plan.fallback if plan else "",
        "RERANKER_GGUF": str(facts.gguf or ""),
        # RERANKER_PORT may have held both.
        "RERANKER_HOST": settings.host,
        "RERANKER_PORT": str(settings.port),
        "RERANKER_PROJECTOR": str(settings.projector_path),
        "RERANKER_RESTARTS": str(folder / "restarts"),
    }
    (folder / "restarts").touch()
    shutil.rmtree(folder / "servers", ignore_errors=True)
    for number, server in enumerate(plan.servers if plan else ()):
        own = {
            "directory": "." if tuple(facts.llama_server or ()) == EMBEDDED else str(here),
            "key": key,
            "log": str(settings.log_dir / LOG) if settings.log_dir else "",
            "restarts": str(folder / "restarts"),
            "shrinks": str(int(plan.shrinks)) if plan else "0",
            "url": server.url,
        }
        _write_server(folder / "servers" / str(number), server, common | own, key)
    _write(folder / "front.env", front, export=True)
    own = {
        "drain_seconds": f"{settings.drain_seconds:g}",
        "fallback": plan.fallback if plan else "",
        "front_url": settings.url,
    }
    _write(folder / "settings", common | outside | own)


def _write_server(folder: Path, server: Server, settings: Mapping[str, str], key: str) -> None:
    folder.mkdir(parents=True)
    (folder / "command").write_bytes(b"".join(os.fsencode(part) + b"\0" for part in server.command))
    # Beside ours, those that the user wants llama-server to take.
    keys = ",".join(filter(None, [key, os.environ.get("LLAMA_API_KEY")]))
    _write(folder / "environment", {**server.environment, "LLAMA_API_KEY": keys}, export=True)
    _write(folder / "settings", settings)


def _write(path: Path, variables: Mapping[str, str], export: bool = False) -> None:
    """Lines that a shell reads."""
    command = "export " if export else ""
    lines = (f"{command}{name}={shlex.quote(value)}\n" for name, value in variables.items())
    path.write_text("".join(lines), errors="surrogateescape")
