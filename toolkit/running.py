"""Run the service as a user does: start.sh in a process of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import httpx
import psutil

from toolkit.debian import skip_without

ROOT = Path(__file__).parents[1]
START_UP_SECONDS = 60.0
# What points the service at a llama-server, or closes one.
_LLAMA_SERVER = ("LLAMA_SERVER_URL", "LLAMA_SERVER_API_KEY", "LLAMA_API_KEY")
_NOT_INHERITED = ("RERANKER_", "LLAMA_ARG_", "HF_", "OTEL_", "COLUMNS", *_LLAMA_SERVER)
APP = [sys.executable, "-m", "app"]

# Full precision, so that scores can be compared with the reference.
EXACT = {
    "LLAMA_ARG_FLASH_ATTN": "off",
    "LLAMA_ARG_CACHE_TYPE_K": "f32",
    "LLAMA_ARG_CACHE_TYPE_V": "f32",
    "LLAMA_ARG_CTX_SIZE": "4096",
}


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def free_ports() -> dict[str, str]:
    """Variables of ports for a service that nobody listens on now."""
    return {name: str(free_port()) for name in ("RERANKER_PORT", "LLAMA_SERVER_PORT")}


def wait_until(condition: Callable[[], bool], seconds: float = START_UP_SECONDS) -> None:
    """Poll `condition` until it holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def libfaketime() -> str:
    """Debian's library that sets the clock of a process; skips the test without."""
    libraries = [*Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")]
    skip_without("faketime", bool(libraries))
    return str(libraries[0])


def environment(**variables: str) -> dict[str, str]:
    """The environment of a clean shell, this Python first on its PATH; keeps LLAMA_SERVER_BIN."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)
    }
    inherited["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return inherited | variables


def run_on_terminal(
    command: list[str],
    cwd: Path,
    env: dict[str, str],
    stream: Literal["stdout", "stderr"] = "stderr",
    columns: int = 80,
) -> str:
    """Run `command` to its end with a terminal as `stream`; what it showed there."""
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    stdout = end if stream == "stdout" else None
    stderr = end if stream == "stderr" else None
    shown = b""
    with subprocess.Popen(command, cwd=cwd, env=env, stdout=stdout, stderr=stderr) as process:
        os.close(end)
        # Read while it runs: a terminal that nobody reads makes it wait.
        with contextlib.suppress(OSError):  # How a terminal's end is told.
            while chunk := os.read(terminal, 100_000):
                shown += chunk
    os.close(terminal)
    assert process.returncode == 0, shown
    return shown.decode()


def run_app(
    *arguments: str | bytes, stdin: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of `python -m app` to its end, in a clean shell but for `variables`."""
    return subprocess.run(
        [*APP, *arguments],
        cwd=ROOT,
        env=environment(**variables),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
    )


class Service:
    """start.sh with a model folder; a context manager that leaves no process behind."""

    def __init__(self, model: Path, command: str = "./start.sh", **variables: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.output_path = model / f"output-{self.port}.log"
        self._command = command
        self.environment = environment(
            **{
                "RERANKER_MODEL": "tiny",
                "RERANKER_GGUF": str(model / "model.gguf"),
                "RERANKER_PROJECTOR": str(model / "projector.safetensors"),
                "RERANKER_PORT": str(self.port),
                "LLAMA_SERVER_PORT": str(free_port()),
                # A tiny model gains nothing from more, and on a busy machine they wait in turns.
                "LLAMA_ARG_THREADS": "1",
                **variables,
            }
        )

    def __enter__(self) -> Service:
        self.launch()
        wait_until(lambda: self.healthy() or self.process.poll() is not None)
        assert self.healthy(), self.output
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def launch(self) -> None:
        """Start without waiting."""
        with self.output_path.open("wb") as output:
            self.process = psutil.Popen(
                [self._command],
                cwd=ROOT,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self) -> int:
        """Send TERM and return the exit status; fails if it takes over 10 s."""
        if self.process.is_running():
            self.process.send_signal(signal.SIGTERM)
        return int(self.process.wait(10))

    @property
    def output(self) -> str:
        """What start.sh and its processes printed so far."""
        return self.output_path.read_text(errors="replace")

    @property
    def llama_server_url(self) -> str:
        """Where llama-server listens."""
        return f"http://127.0.0.1:{self.environment['LLAMA_SERVER_PORT']}"

    @property
    def llama_server_key(self) -> str:
        """The key that the front gives llama-server, empty if it wants none."""
        return str(self.front.environ().get("LLAMA_SERVER_API_KEY", ""))

    @property
    def as_outside_llama_server(self) -> dict[str, str]:
        """The settings of another service that uses the llama-server of this one."""
        return {
            "LLAMA_SERVER_URL": self.llama_server_url,
            "LLAMA_SERVER_API_KEY": self.llama_server_key,
        }

    @property
    def llama_server_headers(self) -> dict[str, str]:
        """What a call to the llama-server behind the service needs."""
        key = self.llama_server_key
        return {"Authorization": f"Bearer {key}"} if key else {}

    def llama_server_client(self) -> httpx.Client:
        """A client of the llama-server behind the service, with its key."""
        headers = self.llama_server_headers
        return httpx.Client(base_url=self.llama_server_url, headers=headers, timeout=3600)

    def child(self, pattern: str) -> psutil.Process:
        """The one process below start.sh whose command line matches."""
        children = self.process.children(recursive=True)
        (found,) = [child for child in children if re.search(pattern, _command(child))]
        return found

    @property
    def llama_server(self) -> psutil.Process:
        """The process of llama-server."""
        return self.child("--port")

    @property
    def front(self) -> psutil.Process:
        """The process of the front."""
        return self.child("app serve")

    def healthy(self) -> bool:
        """Whether it would rank now."""
        try:
            return httpx.get(f"{self.url}/health").status_code == 200
        except httpx.HTTPError:
            return False

    def metric(self, name: str) -> float:
        """The metric `reranker_<name>`, which has no labels."""
        # A llama-server that hangs keeps it waiting for seconds.
        text = httpx.get(f"{self.url}/metrics", timeout=30).text
        (value,) = re.findall(rf"^reranker_{name} (\S+)$", text, re.MULTILINE)
        return float(value)

    def rerank(self, **body: object) -> httpx.Response:
        """The answer of `POST /rerank`."""
        return httpx.post(f"{self.url}/rerank", json=body, timeout=120)


def _command(process: psutil.Process) -> str:
    # The helpers of start.sh come and go.
    with contextlib.suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""
