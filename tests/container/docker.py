"""The image and the compose project under test."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx

from toolkit.running import ROOT

BASE = re.findall(r"^ARG BASE_IMAGE=(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[0]
NETWORK = "reranker-test"
FILES = ("docker-compose.yml", "docker-compose.cpu.yml", "tests/container/compose.yml")


def docker(*arguments: str, stderr: bool = False, **variables: str) -> str:
    """Run the Docker client in the project's root; what it prints, with standard error if asked."""
    done = subprocess.run(
        ["docker", *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr if stderr else done.stdout


def build(tag: str, *options: str) -> list[str]:
    """Build the image and return the ids of its layers."""
    docker("build", "--network", "host", "--tag", tag, *options, ".")
    layers: list[str] = inspect(tag)["RootFS"]["Layers"]
    return layers


def inspect(name: str) -> Any:
    """What Docker knows of an image, container or volume."""
    return json.loads(docker("inspect", name))[0]


@contextlib.contextmanager
def network() -> Iterator[str]:
    """Make the network that the test's compose file names; the host's address on it.

    The engine's own bridge does not tell that address before its first container. This one has
    IPv6 too.
    """
    prefix = f"fd{secrets.token_hex(1)}:{secrets.token_hex(2)}:{secrets.token_hex(2)}"
    options = ["--ipv6", "--subnet", f"{prefix}::/64", NETWORK]
    with contextlib.suppress(AssertionError):  # Left by a run that was killed.
        docker("network", "rm", NETWORK)
    docker("network", "create", *options)
    try:
        (gateway,) = [
            config["Gateway"]
            for config in inspect(NETWORK)["IPAM"]["Config"]
            if ":" not in config["Subnet"]
        ]
        yield gateway
    finally:
        docker("network", "rm", NETWORK)


class Project:
    """The service of the compose files in `folder`, which holds `.env`, over a stand-in hub."""

    def __init__(self, folder: Path, hub: str, files: Sequence[str] = FILES) -> None:
        self._options = ["compose", "--project-name", "reranker-test"]
        self._options += ["--project-directory", str(folder)]
        self._options += [option for name in files for option in ("--file", str(folder / name))]
        self._hub = hub

    def compose(self, *arguments: str) -> str:
        return docker(*self._options, *arguments, HUB=self._hub)

    @property
    def container(self) -> str:
        return self.compose("ps", "--all", "--quiet").strip()

    @property
    def state(self) -> Any:
        return inspect(self.container)["State"]

    @property
    def healthy(self) -> bool:
        state = self.state
        return bool(state["Status"] == "running" and state["Health"]["Status"] == "healthy")

    @property
    def restarts(self) -> int:
        return int(inspect(self.container)["RestartCount"])

    @property
    def logs(self) -> str:
        return self.compose("logs", "--no-log-prefix")

    @property
    def url(self) -> str:
        return "http://" + self.compose("port", "jina-reranker", "80").strip()

    def run(self, *command: str) -> str:
        """Run a command inside the container."""
        return docker("exec", self.container, *command)

    def kill(self, pattern: str) -> None:
        """`kill -9` the process inside whose command line matches."""
        program = (
            "import os, pathlib, re\n"
            "for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):\n"
            "    line, pid = path.read_bytes().replace(b'\\0', b' ').decode(), path.parent.name\n"
            f"    if re.search({pattern!r}, line) and pid != str(os.getpid()):\n"
            "        os.kill(int(pid), 9)\n"
        )
        self.run(".venv/bin/python", "-c", program)

    def health(self) -> int:
        """Status of `/health`, 0 where nothing answers."""
        try:
            return httpx.get(f"{self.url}/health").status_code
        except httpx.HTTPError:
            return 0
