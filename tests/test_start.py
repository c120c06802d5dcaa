"""start.sh, from the first line to the last process."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from toolkit import tiny_model
from toolkit.running import ROOT, Service, wait_until


def test_life_and_death(model: Path) -> None:
    with Service(model) as service:
        lines = service.output.splitlines()
        starting, ready, uvicorn = (
            lines.index(line)
            for line in (
                "Starting llama-server...",
                "llama-server is ready!",
                "Starting uvicorn...",
            )
        )
        assert starting < ready < uvicorn
        assert "Uvicorn running on" in service.output
        everything = [service.process, *service.process.children(recursive=True)]
        assert len(everything) >= 3

        assert service.stop() == 0

        _, alive = psutil.wait_procs(everything, timeout=0)
        assert alive == []


def test_interrupt_stops_it_too(model: Path) -> None:
    with Service(model) as service:
        everything = service.process.children(recursive=True)
        service.process.send_signal(signal.SIGINT)

        assert service.process.wait(10) == 0
        assert psutil.wait_procs(everything, timeout=0)[1] == []


def test_llama_server_listens_on_loopback_only(service: Service) -> None:
    addresses = {
        connection.laddr.ip
        for connection in service.llama_server.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}


def test_killed_llama_server_comes_back(model: Path) -> None:
    with Service(model) as service:
        killed = service.llama_server
        killed.kill()
        killed.wait(5)

        response = service.rerank(query="a", documents=["b"])
        assert response.status_code == 503
        assert "Retry-After" in response.headers
        assert "try again" in response.json()["detail"]
        health = httpx.get(f"{service.url}/health")
        assert health.status_code == 503
        assert "llama-server" in health.json()["detail"]

        wait_until(service.healthy)
        assert service.llama_server.pid != killed.pid
        assert service.rerank(query="a", documents=["b"]).status_code == 200


def test_killed_front_ends_the_service(model: Path) -> None:
    with Service(model) as service:
        llama_server = service.llama_server
        service.front.kill()

        assert service.process.wait(10) == 128 + signal.SIGKILL
        assert not llama_server.is_running()
        assert "uvicorn ended with status 137" in service.output


def test_hanging_llama_server_is_one_timeout_for_all_who_wait(model: Path) -> None:
    with Service(model, RERANKER_TIMEOUT_SECONDS="1") as service:
        service.llama_server.suspend()
        with ThreadPoolExecutor() as clients:
            # The second one waits for the slot that the first one has.
            asked = [clients.submit(service.rerank, query="a", documents=["b"]) for _ in range(2)]
            responses = [client.result() for client in asked]
        service.llama_server.resume()

        assert [response.status_code for response in responses] == [504, 504]
        assert "RERANKER_TIMEOUT_SECONDS" in responses[0].json()["detail"]
        first, second = (response.elapsed.total_seconds() for response in responses)
        assert second == pytest.approx(first, rel=0.5)
        wait_until(lambda: service.rerank(query="a", documents=["b"]).status_code == 200)


def test_options_of_the_prefix_readout(service: Service) -> None:
    variables = service.llama_server.environ()

    assert variables["LLAMA_ARG_EMBEDDINGS"] == "0"
    assert "LLAMA_ARG_UBATCH" not in variables
    assert variables["LLAMA_ARG_CACHE_RAM"] == "0"
    assert variables["LLAMA_ARG_N_PARALLEL"] == "1"


def test_gpu_gets_its_name_and_two_slots(model: Path, tmp_path: Path) -> None:
    """A GPU cannot be had where tests run: a script claims one, then runs the real server."""
    claims_a_gpu = tmp_path / "llama-server"
    claims_a_gpu.write_text(
        "#!/usr/bin/env bash\n"
        'if [[ $1 == --list-devices ]]; then printf "Available devices:\\n  CUDA0: H (1 MiB)\\n"\n'
        f'else exec {sys.executable} -m models.llama.embedded "$@"; fi\n'
    )
    claims_a_gpu.chmod(0o755)

    with Service(model, LLAMA_SERVER_BIN=str(claims_a_gpu)) as service:
        health = httpx.get(f"{service.url}/health").json()
        with service.llama_server_client() as llama_server:
            props = llama_server.get("/props").json()
        variables = service.llama_server.environ()

    assert health["device"] == "cuda"
    assert props["total_slots"] == 2
    assert props["default_generation_settings"]["n_ctx"] == 16384
    assert variables["LLAMA_ARG_N_GPU_LAYERS"] == "99"
    assert "LLAMA_ARG_FLASH_ATTN" not in variables


def test_options_of_llama_server_pass_through(model: Path) -> None:
    options = {
        "LLAMA_ARG_CTX_SIZE": "8192",
        "LLAMA_ARG_N_PARALLEL": "2",
        "LLAMA_ARG_N_GPU_LAYERS": "0",
    }
    with Service(model, **options) as service:
        with service.llama_server_client() as llama_server:
            props = llama_server.get("/props").json()
        assert props["total_slots"] == 2
        assert props["default_generation_settings"]["n_ctx"] == 4096


def test_llama_server_that_runs_already(embedding_service: Service, model: Path) -> None:
    with Service(model, **embedding_service.as_outside_llama_server) as second:
        assert "Starting llama-server" not in second.output
        assert "reading hidden states through embedding" in second.output
        body = {"query": "soup", "documents": ["noon", "two"]}
        answers = [service.rerank(**body).json() for service in (second, embedding_service)]
        assert answers[0]["results"] == answers[1]["results"]


def test_prepared_llama_server_that_runs_already(service: Service, model: Path) -> None:
    gguf = service.environment["RERANKER_GGUF"]
    with Service(model, **service.as_outside_llama_server, RERANKER_GGUF=gguf) as second:
        assert "reading hidden states through prefix" in second.output
        assert second.rerank(query="soup", documents=["noon"]).status_code == 200


def test_prepares_the_gguf_once(tmp_path: Path) -> None:
    tiny_model.make().write(tmp_path)
    with Service(tmp_path) as service:
        assert "reading hidden states through prefix" in service.output
    (prepared,) = tmp_path.glob("*.prefix.gguf")
    first = prepared.stat()

    with Service(tmp_path):
        (again,) = tmp_path.glob("*.prefix.gguf")
        assert (again, again.stat().st_ino) == (prepared, first.st_ino)


def test_help() -> None:
    done = subprocess.run(["./start.sh", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    assert "LLAMA_SERVER_URL" in done.stdout


def test_log_of_llama_server_has_a_place(model: Path, tmp_path: Path) -> None:
    with Service(model, RERANKER_LOG_DIR=str(tmp_path), LLAMA_ARG_LOG_VERBOSITY="4") as service:
        assert "load_tensors" in (tmp_path / "llama-server.log").read_text()
        assert "load_tensors" not in service.output


def test_small_batch_is_noticed_and_planned_for(service: Service, model: Path) -> None:
    body = {"query": "soup", "documents": ["noon " * 400, "two " * 400, "meeting " * 400]}
    limits = {"RERANKER_MAX_QUERY_TOKENS": "64", "RERANKER_MAX_DOCUMENT_TOKENS": "512"}
    with Service(model, RERANKER_READOUT="embedding", LLAMA_ARG_UBATCH="1024", **limits) as small:
        answer = small.rerank(**body).json()

    assert len(answer["results"]) == 3
    one_prompt = service.rerank(**body).json()["usage"]["prompt_tokens"]
    assert answer["usage"]["prompt_tokens"] > one_prompt + 400
