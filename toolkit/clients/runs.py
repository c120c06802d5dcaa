"""A client in an environment of its own, which is kept below `.clients/`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from threading import Lock

from toolkit.clients.catalogue import Client
from toolkit.running import ROOT, Service, environment

Outcome = str
RANKED, AS_GIVEN, OTHERWISE = "ranked", "order as found", "an order of its own"

_CACHE = ROOT / ".clients"
_SECONDS = 300
_installing = Lock()
_SAMPLE = json.loads((ROOT / "clients/sample.json").read_text(encoding="utf-8"))
_ERROR = re.compile(r"^(?:[\w.]+\.)?(\w*(?:Error|Exception|Timeout)\w*)(?:$|:| \[)", re.MULTILINE)


def expected(service: Service) -> list[str]:
    """The sample's documents as the service itself orders them."""
    results = service.rerank(**_SAMPLE).json()["results"]
    return [_SAMPLE["documents"][result["index"]] for result in results]


def run(client: Client, url: str, order: list[str]) -> Outcome:
    """What a client makes of the service at `url`, which should be `order`."""
    try:
        command, folder = _python(client) if client.script.endswith(".py") else _node(client)
    except subprocess.CalledProcessError:
        return "cannot be installed"
    variables = environment(
        RERANKER_URL=url, RERANKER_MODEL="demo", UV_CACHE_DIR=str(_CACHE / "uv")
    )
    try:
        done = subprocess.run(
            [*command, *client.arguments],
            cwd=folder,
            env=variables,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"no answer in {_SECONDS} s"
    told = [line for line in done.stdout.splitlines() if line in _SAMPLE["documents"]]
    if done.returncode:
        # What follows is of Python's end, after the client's.
        errors = _ERROR.findall(done.stderr.partition("Exception ignored")[0])
        return f"raises `{errors[-1]}`" if errors else f"fails: {done.stderr.strip()[-200:]}"
    if told == order:
        return RANKED
    return AS_GIVEN if told == _SAMPLE["documents"] else OTHERWISE


def _python(client: Client) -> tuple[list[str], Path]:
    uv = [sys.executable, "-m", "uv", "run", "--no-project", "--quiet", "--python", sys.executable]
    packages = [option for package in client.packages for option in ("--with", package)]
    return [*uv, *packages, "python", str(ROOT / client.script)], ROOT


def _node(client: Client) -> tuple[list[str], Path]:
    # A module finds packages beside itself alone.
    name = sha256(" ".join(client.packages).encode()).hexdigest()[:12]
    folder = _CACHE / "node" / name
    with _installing:
        if not (folder / "node_modules").is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "package.json").write_text("{}", encoding="utf-8")
            npm = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"]
            npm += ["--loglevel=error", *client.packages]
            subprocess.run(npm, cwd=folder, check=True)
    for file in ("clients/sample.mjs", "clients/sample.json", client.script):
        shutil.copy(ROOT / file, folder)
    return ["node", Path(client.script).name], folder
