"""Clients that generators make of the API's description, asking a running service.

tests/generated pins the generators and what they need.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest

from toolkit.debian import skip_without
from toolkit.running import ROOT, Service

PINNED = ROOT / "tests/generated"
QUERY = "when is lunch?"
_SECONDS = 300


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints; fails with all it said if it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the description of the service."""
    folder = tmp_path_factory.mktemp("clients")
    (folder / "openapi.json").write_bytes(httpx.get(f"{service.url}/openapi.json").content)
    return folder


@pytest.fixture(scope="module")
def node_modules() -> Path:
    """What package-lock.json pins; installed once for a checkout."""
    skip_without("npm", shutil.which("npm") is not None)
    modules, lock = PINNED / "node_modules", PINNED / "package-lock.json"
    installed = modules / ".installed"
    if not installed.exists() or installed.read_bytes() != lock.read_bytes():
        run("npm", "ci", "--prefer-offline", "--no-audit", "--no-fund", cwd=PINNED)
        installed.write_bytes(lock.read_bytes())
    return modules


def ranked(service: Service, documents: list[str], **body: Any) -> list[dict[str, Any]]:
    """The results of a plain POST."""
    results: list[dict[str, Any]] = service.rerank(query=QUERY, documents=documents, **body).json()[
        "results"
    ]
    return results


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the generator needs Python 3.11")
def test_openapi_python_client(
    service: Service, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requirements = PINNED / "requirements.txt"
    generator: list[str | Path] = [
        *(Path(sys.executable).with_name("uv"), "tool", "run", "--constraints", requirements),
        *("openapi-python-client", "generate", "--path", "openapi.json", "--meta", "none"),
        *("--output-path", "generated_client", "--fail-on-warning"),
    ]
    run(*generator, cwd=folder)
    monkeypatch.syspath_prepend(str(folder))
    client = import_module("generated_client").Client(base_url=service.url)
    models = import_module("generated_client.models")
    api = "generated_client.api.rerank"
    documents = ["quality meeting", models.TextObject.from_dict({"text": "soup", "id": 7})]

    jina = import_module(f"{api}.v1_rerank").sync(
        client=client, body=models.JinaBody(query=QUERY, documents=documents, top_n=1)
    )
    cohere = import_module(f"{api}.v2_rerank").sync(
        client=client, body=models.CohereBody(query=QUERY, documents=documents)
    )
    tei = import_module(f"{api}.rerank").sync(
        client=client, body=models.TEIBody(query=QUERY, texts=documents, raw_scores=True)
    )
    refused = import_module(f"{api}.v1_rerank").sync(
        client=client, body=models.JinaBody(query=" ", documents=[])
    )

    expected = ranked(service, ["quality meeting", "soup"])
    assert [result.to_dict() for result in jina.results] == expected[:1]
    assert [result.to_dict() for result in cohere.results] == expected
    assert [rank.index for rank in tei] == [result["index"] for result in expected]
    assert refused.detail == "query: must not be empty"


def test_openapi_typescript(service: Service, folder: Path, node_modules: Path) -> None:
    for name in ("package.json", "rank.ts"):
        shutil.copy(PINNED / name, folder)
    os.symlink(node_modules, folder / "node_modules")
    programs = node_modules / ".bin"
    run(programs / "openapi-typescript", "openapi.json", "--output", "api.d.ts", cwd=folder)
    options = [
        "--strict",
        "--skipDefaultLibCheck",
        "--target",
        "es2022",
        "--module",
        "nodenext",
        "--lib",
        "es2022,dom",
    ]
    run(programs / "tsc", *options, "rank.ts", cwd=folder)

    told = json.loads(run("node", "rank.js", service.url, cwd=folder))

    assert told == {
        "best": ranked(service, ["quality meeting", "soup at noon"], top_n=1)[0],
        "rankFields": 1,
        "cohereScore": ranked(service, ["soup"])[0]["relevance_score"],
        "quantization": told["quantization"],
        "refused": "query: must not be empty",
    }
