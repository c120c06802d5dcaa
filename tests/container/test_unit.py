"""The unit file under a real systemd, in a container with the project where the unit wants it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.container.docker import build, docker
from toolkit import tiny_model
from toolkit.running import ROOT, wait_until

IMAGE = "jina-reranker-test:systemd"
DOCKERFILE = """
FROM jina-reranker-test
USER 0
RUN apt-get update && apt-get install -y --no-install-recommends systemd
RUN useradd --system jina-reranker && cp -a /srv/reranker /opt/jina-reranker
HEALTHCHECK NONE
ENTRYPOINT ["/lib/systemd/systemd"]
"""
SETTINGS = """
RERANKER_MODEL=tiny
RERANKER_LOG_DIR=/var/lib/jina-reranker
LLAMA_ARG_CTX_SIZE=4096
"""
UNIT = "jina-reranker.service"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A container with systemd as its first process."""
    build("jina-reranker-test")
    files = tmp_path_factory.mktemp("machine")
    (files / "Dockerfile").write_text(DOCKERFILE)
    docker("build", "--network", "host", "--tag", IMAGE, str(files))
    options = ["--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined"]
    options += ["--security-opt", "apparmor=unconfined", "--tmpfs", "/run", "--tmpfs", "/tmp"]
    options += ["--volume", "/sys/fs/cgroup:/sys/fs/cgroup", "--cgroupns", "host"]
    name = docker("run", "--detach", *options, IMAGE).strip()
    try:
        model = files / "tiny"
        model.mkdir()
        tiny_model.make().write(model)
        (files / "settings").write_text(SETTINGS)
        docker("cp", str(model), f"{name}:/opt/jina-reranker/weights/")
        docker("cp", str(files / "settings"), f"{name}:/etc/jina-reranker.env")
        docker("cp", str(ROOT / "systemd" / UNIT), f"{name}:/etc/systemd/system/")
        docker("exec", name, "chown", "-R", "jina-reranker", "/opt/jina-reranker/weights")
        yield name
    finally:
        docker("rm", "--force", "--volumes", name)


def test_unit_starts_serves_and_stops(machine: str) -> None:
    def run(*command: str) -> str:
        return docker("exec", machine, *command)

    def state() -> str:
        return run("systemctl", "show", "--property", "ActiveState,NRestarts,Result", UNIT)

    def log() -> str:
        return run("journalctl", "--unit", UNIT, "--no-pager")

    wait_until(lambda: "systemd" in run("cat", "/proc/1/comm"))
    run("systemctl", "daemon-reload")
    run("systemctl", "start", UNIT)
    wait_until(lambda: "Application startup complete" in log() or "NRestarts=0" not in state())
    body = '{"query": "a", "documents": ["b"]}'
    url = "http://127.0.0.1:7998/rerank"
    answer = run("curl", "-sS", url, "-H", "Content-Type: application/json", "-d", body)
    run("systemctl", "stop", UNIT)

    assert '"relevance_score"' in answer, log()
    stopped = {"ActiveState=inactive", "NRestarts=0", "Result=success"}
    assert set(state().split()) == stopped, log()
