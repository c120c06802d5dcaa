"""The folder for the log of llama-server."""

from __future__ import annotations

import os
from pathlib import Path

from app.doctor.finding import Finding, ok, problem
from app.start.problems import LOG


def check_log_folder(folder: Path) -> Finding:
    """Whether start.sh can write there; it makes the folder if it is missing."""
    subject = "log"
    log = folder / LOG
    path = next(path for path in (log, *log.parents) if path.exists())
    mode = os.W_OK if path == log else os.W_OK | os.X_OK
    if os.access(path, mode) and path.is_dir() == (path != log):
        return ok(subject, f"goes to {log}")
    return problem(
        subject,
        f"RERANKER_LOG_DIR={folder}: {path} is no folder that user {os.getuid()} may write",
        f"chown {os.getuid()} {path}, or set RERANKER_LOG_DIR to a folder that can be",
    )
