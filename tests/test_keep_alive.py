"""The service keeps itself up, ends whole, and believes no llama-server but its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from models.families import CARDS
from tests.hub import Hub
from toolkit.running import (
    ROOT,
    Service,
    environment,
    free_port,
    free_ports,
    libfaketime,
    wait_until,
)

BODY: dict[str, object] = {"query": "soup?", "documents": ["noon", "two"]}
EMBEDDED = f'{sys.executable} -m models.llama.embedded "$@"'
# Listens on the port of its arguments, and never answers.
SILENT = (
    "import socket, sys, time\n"
    'listener = socket.create_server(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])))\n'
    "time.sleep(1000)"
)
CLAIM_A_GPU = 'printf "Available devices:\\n  CUDA0: NVIDIA H (900 MiB, 800 MiB free)\\n"'


def stand_in(folder: Path, script: str, devices: str = "true") -> str:
    """A llama-server that does what no real one can be made to do."""
    path = folder / "llama-server"
    listing = f"if [[ $1 == --list-devices ]]; then {devices}; exit; fi"
    path.write_text(f"#!/usr/bin/env bash\ncd {ROOT}\n{listing}\n{script}\n")
    path.chmod(0o755)
    return str(path)


def processes_of(service: Service) -> list[psutil.Process]:
    return [service.process, *service.process.children(recursive=True)]


def assert_ended(processes: list[psutil.Process]) -> None:
    wait_until(lambda: not any(alive(process) for process in processes), seconds=5)


def alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module")
def odd(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Started in another folder with relative paths, behind a proxy, its output read by nobody."""
    folder = tmp_path_factory.mktemp("elsewhere")
    stand_in(folder, f"exec {EMBEDDED}")
    (folder / "logs").mkdir()
    with (folder / "logs/llama-server.log").open("wb") as log:
        log.truncate(17 * 2**20)
    start = folder / "start"
    start.write_text(f"#!/usr/bin/env bash\ncd {folder}\nexec {ROOT}/start.sh > >(head -n 1)\n")
    start.chmod(0o755)
    proxy = f"http://127.0.0.1:{free_port()}"
    proxies = {name: proxy for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")}
    # As a file of settings leaves what is not filled in.
    paths = {"LLAMA_SERVER_BIN": "./llama-server", "RERANKER_LOG_DIR": "logs"}
    paths |= {"LLAMA_ARG_UBATCH": "", "LLAMA_ARG_CTX_SIZE": ""}
    service = Service(model, str(start), **paths, **proxies)
    service.launch()
    try:
        wait_until(lambda: asked(service, "/health") or service.process.poll() is not None)
        yield service
    finally:
        service.stop()


def asked(service: Service, path: str) -> bool:
    try:
        return httpx.get(service.url + path, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def test_relative_paths_begin_where_the_user_stands(odd: Service) -> None:
    assert odd.process.is_running(), odd.output
    (log,) = {file.path for file in odd.llama_server.open_files() if file.path.endswith(".log")}
    assert "elsewhere" in log


def test_log_is_bounded(odd: Service) -> None:
    (log,) = {file.path for file in odd.llama_server.open_files() if file.path.endswith(".log")}
    wait_until(lambda: Path(f"{log}.1").exists() and Path(log).stat().st_size < 2**20)


def test_closed_stdout_and_a_tidied_tmp_end_nothing(odd: Service) -> None:
    restarts = Path(odd.front.environ()["RERANKER_RESTARTS"])
    for file in sorted(restarts.parent.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    restarts.parent.rmdir()
    killed = odd.llama_server
    killed.kill()
    killed.wait(5)

    wait_until(lambda: asked(odd, "/health"))
    assert httpx.post(f"{odd.url}/rerank", json=BODY, trust_env=False).status_code == 200
    assert "with status 137: killed, probably for the memory limit of " in odd.output


def test_key_is_new_for_each_start_and_on_no_command_line(odd: Service, service: Service) -> None:
    keys = {each.front.environ()["LLAMA_SERVER_API_KEY"] for each in (odd, service)}
    assert len(keys) == 2
    assert {len(key) for key in keys} == {64}
    lines = [" ".join(process.cmdline()) for process in processes_of(odd) if alive(process)]
    assert not [line for line in lines for key in keys if key in line]
    assert not [key for key in keys if key in odd.output]
    assert httpx.get(f"{odd.llama_server_url}/props", trust_env=False).status_code == 401


@pytest.mark.parametrize("key", ["", "somebody else's"])
def test_llama_server_of_another_is_never_believed(model: Path, tmp_path: Path, key: str) -> None:
    """Ours lives and does not listen, while another answers on its port."""
    other = f"LLAMA_API_KEY={key!r} {EMBEDDED} & until curl -so /dev/null $URL/health; do :; done"
    script = f"{other}\ntouch {tmp_path}/listens\nsleep 1\nkill %1\nexit 7"
    port = str(free_port())
    service = Service(
        model,
        LLAMA_SERVER_BIN=stand_in(tmp_path, script),
        LLAMA_SERVER_PORT=port,
        URL=f"http://127.0.0.1:{port}",
    )
    service.launch()

    assert service.process.wait(60) == 1
    assert (tmp_path / "listens").exists()
    assert "is ready" not in service.output
    assert "Starting uvicorn" not in service.output
    assert "llama-server ended with status 7" in service.output


def test_out_of_memory_after_ready_takes_the_smaller_plan(model: Path, tmp_path: Path) -> None:
    """It does not exec llama-server, whose end is then that of a grandchild."""
    script = f"""{EMBEDDED} &
while kill -0 $!; do
  if [[ -e {tmp_path}/full ]] && ((LLAMA_ARG_CTX_SIZE > 8192)); then
    echo 'CUDA error: out of memory' >&2
    exit 134
  fi
  sleep 0.1
done"""
    binary = stand_in(tmp_path, script, CLAIM_A_GPU)
    with Service(model, LLAMA_SERVER_BIN=binary, LLAMA_ARG_CTX_SIZE="16384") as service:
        everything = processes_of(service)
        (tmp_path / "full").touch()
        wait_until(lambda: "the context is halved to 8192 tokens" in service.output)
        wait_until(service.healthy)

        health = httpx.get(f"{service.url}/health").json()
        assert health["fallback"] == "the context is halved to 8192 tokens"
        assert service.rerank(**BODY).status_code == 200
        everything += processes_of(service)
    assert_ended(everything)


@pytest.mark.parametrize("log", [True, False])
def test_other_deaths_are_no_lack_of_memory(model: Path, tmp_path: Path, log: bool) -> None:
    """Whatever an earlier start has left in the log."""
    (tmp_path / "llama-server.log").write_text("CUDA error: out of memory\n")
    script = 'echo "error loading model: invalid model" >&2; exit 1'
    places = {"RERANKER_LOG_DIR": str(tmp_path)} if log else {}
    binary = stand_in(tmp_path, script, CLAIM_A_GPU)
    service = Service(model, LLAMA_SERVER_BIN=binary, **places)
    service.launch()

    assert service.process.wait(60) == 1
    assert service.output.count("Starting llama-server") == 1
    assert "invalid model" in service.output
    assert "out of memory" not in service.output
    assert "llama-server ended before it was ready" in service.output


def test_endless_deaths_end_with_the_last_lines(model: Path, tmp_path: Path) -> None:
    once = f"[[ -e {tmp_path}/once ]] && {{ echo 'it is broken' >&2; exit 7; }}"
    script = f"{once}\ntouch {tmp_path}/once\nexec {EMBEDDED}"
    # Twenty times as fast, so that nobody waits for the delays.
    hurried = {"LD_PRELOAD": libfaketime(), "FAKETIME": "+0 x20", "RERANKER_HANG_SECONDS": "600"}
    places = {"LLAMA_SERVER_BIN": stand_in(tmp_path, script), "RERANKER_LOG_DIR": str(tmp_path)}
    with Service(model, **places, **hurried) as service:
        everything = processes_of(service)
        service.llama_server.kill()

        assert service.process.wait(60) == 1

    assert "llama-server ended 5 times in 10 minutes, see above" in service.output
    assert "it is broken" in service.output
    assert "llama-server ended with status 7" in service.output
    assert_ended(everything)


def test_front_that_hangs_is_ended(model: Path) -> None:
    with Service(model, RERANKER_HANG_SECONDS="3") as service:
        everything = processes_of(service)
        service.front.suspend()

        assert service.process.wait(30) != 0

    assert "uvicorn has been silent for 3 s" in service.output
    assert "memory limit" not in service.output
    assert_ended(everything)


def test_llama_server_that_hangs_before_it_is_ready(model: Path, tmp_path: Path) -> None:
    script = f"""exec {sys.executable} -c '{SILENT}' "$@\""""
    service = Service(model, LLAMA_SERVER_BIN=stand_in(tmp_path, script), RERANKER_HANG_SECONDS="1")
    service.launch()

    assert service.process.wait(30) == 1
    assert "llama-server was silent for 1 s and was ended" in service.output


@contextmanager
def terminated(process: psutil.Popen) -> Iterator[None]:
    """Send TERM; the status is 0, no process is left, and it takes no time-out of ours."""
    everything = [process, *process.children(recursive=True)]
    yield
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert_ended(everything)


@pytest.mark.parametrize("script", ["sleep 1000", "trap '' TERM; sleep 1000 & wait"])
def test_term_while_devices_are_listed(model: Path, tmp_path: Path, script: str) -> None:
    devices = f"touch {tmp_path}/asked; {script}"
    service = Service(model, LLAMA_SERVER_BIN=stand_in(tmp_path, "exit 1", devices))
    service.launch()
    wait_until((tmp_path / "asked").exists)

    with terminated(service.process):
        pass

    assert "Traceback" not in service.output


def test_term_while_llama_server_loads(model: Path, tmp_path: Path) -> None:
    script = f"touch {tmp_path}/loads; sleep 1000"
    service = Service(model, LLAMA_SERVER_BIN=stand_in(tmp_path, script))
    service.launch()
    wait_until((tmp_path / "loads").exists)

    with terminated(service.process):
        pass


def test_term_while_weights_are_downloaded(tmp_path: Path) -> None:
    for name in ("app", "models", "sidecar"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "start.sh").write_bytes((ROOT / "start.sh").read_bytes())
    files = {"a-Q8_0.gguf": bytes(4 * 2**20), "projector.safetensors": bytes(100)}
    with Hub(CARDS["jina-reranker-v3"].repository, files, stall_after=2**20) as hub:
        variables = {"RERANKER_DOWNLOAD": "true", "HF_ENDPOINT": hub.url}
        ports = free_ports()
        process = psutil.Popen(
            ["bash", "start.sh"],
            cwd=tmp_path,
            env=environment(**variables, **ports, HF_HOME=str(tmp_path / "hub")),
            stderr=subprocess.PIPE,
        )
        assert hub.stalled.wait(30)

        with terminated(process):
            pass


@pytest.mark.parametrize("damaged", ["a-Q8_0.gguf", "projector.safetensors"])
@pytest.mark.parametrize("content", [b"", b"GGUF and no more"])
def test_damaged_weights_are_downloaded_again(
    model: Path, tmp_path: Path, damaged: str, content: bytes
) -> None:
    for name in ("app", "models"):
        (tmp_path / name).symlink_to(ROOT / name)
    folder = tmp_path / "weights/jina-reranker-v3"
    folder.mkdir(parents=True)
    (tmp_path / "run").mkdir()
    files = {
        "a-Q8_0.gguf": (model / "model.gguf").read_bytes(),
        "projector.safetensors": (model / "projector.safetensors").read_bytes(),
    }
    for name, whole in files.items():
        (folder / name).write_bytes(content if name == damaged else whole)
    with Hub(CARDS["jina-reranker-v3"].repository, files) as hub:
        done = subprocess.run(
            [sys.executable, "-m", "app", "plan", "run"],
            cwd=tmp_path,
            env=environment(
                RERANKER_DOWNLOAD="1",
                HF_ENDPOINT=hub.url,
                HF_HOME=str(tmp_path / "hub"),
                **free_ports(),
            ),
            stderr=subprocess.PIPE,
            text=True,
        )

    assert done.returncode == 0, done.stderr
    assert {name: (folder / name).read_bytes() for name in files} == files


@pytest.mark.parametrize("tenths", [0, 1, 2, 4, 8, 12, 16])
def test_term_at_any_moment(model: Path, tenths: int) -> None:
    service = Service(model)
    service.launch()
    time.sleep(tenths / 10)
    everything = processes_of(service)

    service.process.send_signal(signal.SIGTERM)

    # Before the first lines of start.sh are read it is the signal that ends it.
    assert service.process.wait(10) in ((0, -signal.SIGTERM) if tenths < 4 else (0,))
    assert_ended(everything)
    assert not [
        p for p in psutil.process_iter() if alive(p) and os.getsid(p.pid) == service.process.pid
    ]


def test_everything_wrong_is_named_at_once(model: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as first:
        port = str(first.getsockname()[1])
        (tmp_path / "file").touch()
        service = Service(
            model,
            RERANKER_PORT=port,
            RERANKER_LOG_DIR=str(tmp_path / "file/logs"),
            LLAMA_SERVER_BIN="./absent",
        )
        service.launch()

        assert service.process.wait(60) == 1

    lines = service.output.splitlines()
    assert len(lines) == 3
    assert f"port {port} on 127.0.0.1 is in use" in lines[0]
    assert f"RERANKER_LOG_DIR={tmp_path}/file/logs cannot be written" in lines[1]
    assert f"LLAMA_SERVER_BIN={ROOT}/absent cannot be run" in lines[2]


def test_port_of_root_alone(model: Path) -> None:
    least = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text().strip()
    if least == "0":
        pytest.skip("anybody may listen on any port here")
    as_others = "setpriv --bounding-set=-net_bind_service" if os.geteuid() == 0 else ""
    done = subprocess.run(
        f"exec {as_others} ./start.sh",
        shell=True,
        cwd=ROOT,
        env=Service(model, RERANKER_PORT="80").environment,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 1
    assert "port 80 may be listened on by root alone; set RERANKER_PORT" in done.stderr
    assert "Starting llama-server" not in done.stdout
