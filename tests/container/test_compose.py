"""`docker compose up`, and what befalls a running container."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.container.docker import NETWORK, Project, docker, inspect, network
from tests.golden.cases import CASES
from tests.hub import Hub
from toolkit import tiny_model
from toolkit.running import ROOT, wait_until

SCORES = json.loads((ROOT / "tests/golden/scores.json").read_text())
LINES = (
    "Starting llama-server...",
    "llama-server is ready!",
    "Starting uvicorn...",
    "Application startup complete.",
)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """The published repository with a small model in it, on the address that containers see."""
    folder = tmp_path_factory.mktemp("model")
    tiny_model.make().write(folder)
    files = {
        "projector.safetensors": (folder / "projector.safetensors").read_bytes(),
        "jina-reranker-v3-Q8_0.gguf": (folder / "model.gguf").read_bytes(),
    }
    with network() as host, Hub("jinaai/jina-reranker-v3-GGUF", files, host=host) as running:
        yield running


@pytest.fixture(scope="module")
def project(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A fresh copy of the project, configured and started as the README says."""
    folder = tmp_path_factory.mktemp("project")
    tracked = subprocess.check_output(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True
    )
    for name in tracked.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    shutil.copy(folder / ".env.example", folder / ".env")
    project = Project(folder, hub.url)
    project.compose("down", "--volumes")
    try:
        project.compose("up", "--build", "--detach")
        wait_until(lambda: project.healthy, seconds=180)
        yield project
    finally:
        project.compose("down", "--volumes")


def check_scores(project: Project) -> None:
    case = CASES["korean"]
    body = {"query": case.query, "documents": case.documents, "instruction": case.instruction}
    answer = httpx.post(f"{project.url}/v1/rerank", json=body).raise_for_status().json()
    scores = {result["index"]: result["relevance_score"] for result in answer["results"]}
    assert scores == pytest.approx(dict(enumerate(SCORES["korean"])), abs=1e-3)


def test_first_start_downloads_and_serves(project: Project, hub: Hub) -> None:
    fetched = {path.rpartition("/")[2] for method, path, _ in hub.requests if "resolve" in path}
    assert fetched == hub.files.keys()
    check_scores(project)
    positions = [project.logs.index(line) for line in LINES]
    assert positions == sorted(positions)


def test_runs_with_the_least_rights(project: Project) -> None:
    config = inspect(project.container)["HostConfig"]
    assert config["ReadonlyRootfs"]
    assert config["SecurityOpt"] == ["no-new-privileges:true"]
    status = project.run("cat", "/proc/1/status")
    assert re.findall(r"^Uid:\s+(\d+)", status, re.M) == ["10001"]
    assert re.findall(r"^NoNewPrivs:\s+(\d)", status, re.M) == ["1"]
    for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb"):
        assert int(re.findall(rf"^Cap{kind}:\s+(\w+)", status, re.M)[0], 16) == 0
    with pytest.raises(AssertionError, match="Read-only"):
        project.run("touch", "/srv/reranker/app/x")


def test_logs_are_bounded(project: Project) -> None:
    log = inspect(project.container)["HostConfig"]["LogConfig"]

    assert log == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "5"}}


def test_only_the_front_listens_outside(project: Project) -> None:
    sockets = project.run("cat", "/proc/net/tcp", "/proc/net/tcp6")
    listening = re.findall(r"^ *\d+: (\w+):(\w{4}) \w+:\w{4} 0A ", sockets, re.M)
    ports = {(address, int(port, 16)) for address, port in listening}
    loopback = {(address, port) for address, port in ports if address.endswith("7F")}
    assert ports - loopback == {("0" * 8, 80), ("0" * 32, 80)}
    assert ("0100007F", 8081) in loopback
    known = inspect(project.container)["NetworkSettings"]["Networks"][NETWORK]
    for address in (known["IPAddress"], f"[{known['GlobalIPv6Address']}]"):
        assert httpx.get(f"http://{address}/health", trust_env=False).status_code == 200
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://{address}:8081/health", trust_env=False)


def test_llama_server_killed(project: Project) -> None:
    started = project.state["StartedAt"]

    project.kill("llama-server.*--port")

    wait_until(lambda: project.health() == 503)
    wait_until(lambda: project.health() == 200)
    check_scores(project)
    assert project.restarts == 0
    assert project.state["StartedAt"] == started


def test_uvicorn_killed(project: Project) -> None:
    project.kill("app serve")

    wait_until(lambda: project.restarts == 1)
    wait_until(lambda: project.health() == 200)
    check_scores(project)


def test_second_start_downloads_nothing(project: Project, hub: Hub) -> None:
    hub.requests.clear()

    project.compose("down")
    project.compose("up", "--detach")

    wait_until(lambda: project.healthy)
    check_scores(project)
    assert hub.requests == []


def test_stop(project: Project) -> None:
    # Drain time, and 10 s to end.
    assert inspect(project.container)["Config"]["StopTimeout"] == 40
    start = time.monotonic()
    docker("stop", project.container)

    # Nothing is under way that would be waited for; Docker kills late, which the status would show.
    assert time.monotonic() - start < 10
    assert project.state["ExitCode"] == 0
    assert not project.state["OOMKilled"]
