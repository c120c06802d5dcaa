"""What cannot work ends start.sh with one clear message, before it serves anything."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

import numpy as np
import psutil
import pytest

from app.settings import Settings
from app.start.exposure import is_open
from toolkit import tiny_model
from toolkit.export import write_gguf, write_projector
from toolkit.running import ROOT, Service, environment, free_port, free_ports, libfaketime


def start(**variables: str) -> subprocess.CompletedProcess[str]:
    """Run start.sh to its end."""
    return subprocess.run(
        ["./start.sh"],
        cwd=ROOT,
        env=environment(**free_ports() | variables),
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_llama_server_with_another_gguf(
    embedding_service: Service, service: Service, model: Path
) -> None:
    unprepared = Service(
        model,
        **embedding_service.as_outside_llama_server,
        RERANKER_GGUF=service.environment["RERANKER_GGUF"],
    )
    unprepared.launch()

    assert unprepared.process.wait(60) != 0
    assert "does it serve the GGUF of RERANKER_GGUF?" in unprepared.output


def test_unknown_argument() -> None:
    done = subprocess.run(["./start.sh", "--port"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "Usage" in done.stderr


def test_missing_weights() -> None:
    done = start(RERANKER_MODEL="absent", RERANKER_QUANT="Q4_K_M")

    assert done.returncode == 1
    assert "python -m models.download absent --quant Q4_K_M" in done.stderr


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("RERANKER_READOUT", "RERANKER_READOUT is prefix or embedding"),
        ("RERANKER_MAX_DOCUMENTS", "RERANKER_MAX_DOCUMENTS is a whole number"),
    ],
)
def test_wrong_setting(model: Path, variable: str, message: str) -> None:
    service = Service(model, **{variable: "many"})
    service.launch()

    assert service.process.wait(60) != 0
    assert message in service.output
    assert "Traceback" not in service.output


def test_model_name_is_no_path() -> None:
    done = start(RERANKER_MODEL="../weights")

    assert done.returncode == 1
    assert "RERANKER_MODEL" in done.stderr


@pytest.mark.parametrize(
    ("host", "key", "is_warned"),
    [("0.0.0.0", "", True), ("127.0.0.1", "", False), ("localhost", "", False), ("::", "k", False)],
)
def test_a_service_that_is_open_to_others(host: str, key: str, is_warned: bool) -> None:
    keys = {"RERANKER_API_KEY": key} if key else {}

    assert is_open(Settings.load({"RERANKER_HOST": host, **keys})) == is_warned


def test_an_open_service_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").touch()
    gguf = str(tmp_path / "model.gguf")

    done = start(RERANKER_HOST="0.0.0.0", RERANKER_GGUF=gguf, RERANKER_PROJECTOR=gguf)

    assert "no RERANKER_API_KEY is set: whoever reaches" in done.stderr


@pytest.mark.parametrize("name", ["qwen3-reranker-0.6b", "Jina-Reranker-v3"])
def test_known_name_in_another_case(name: str) -> None:
    done = start(RERANKER_MODEL=name)

    assert done.returncode == 1
    assert f"RERANKER_MODEL={name}: it is written" in done.stderr


@pytest.mark.parametrize("variable", ["RERANKER_PORT", "LLAMA_SERVER_PORT"])
def test_port_in_use(model: Path, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        service = Service(model, **{variable: port})
        service.launch()

        assert service.process.wait(60) == 1

    assert f"port {port}" in service.output
    assert variable in service.output


@pytest.mark.parametrize("listens", [True, False])
def test_llama_server_that_never_answers(model: Path, listens: bool) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if listens:
            silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        # Twenty times as fast, so that nobody waits a minute.
        hurried = {"LD_PRELOAD": libfaketime(), "FAKETIME": "+0 x20"}
        service = Service(model, LLAMA_SERVER_URL=url, **hurried)
        service.launch()

        assert service.process.wait(30) == 1

    assert f"no llama-server answers at {url}; start it or unset" in service.output


def assert_start_fails(service: Service, message: str) -> None:
    """One clear message, a status that is not 0 and no process left."""
    service.launch()

    assert service.process.wait(60) != 0
    assert message in service.output
    assert "Traceback" not in service.output
    assert not [
        process
        for process in psutil.process_iter()
        if process.is_running() and os.getsid(process.pid) == service.process.pid
    ]


@pytest.mark.parametrize("readout", ["prefix", "embedding"])
def test_broken_gguf(model: Path, tmp_path: Path, readout: str) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes((model / "model.gguf").read_bytes()[:50_000])

    service = Service(model, RERANKER_GGUF=str(broken), RERANKER_READOUT=readout)
    assert_start_fails(service, "broken.gguf is cut off")


def test_corrupted_gguf(model: Path, tmp_path: Path) -> None:
    content = bytearray((model / "model.gguf").read_bytes())
    content[5_000:9_000] = b"\xff" * 4_000
    corrupted = tmp_path / "corrupted.gguf"
    corrupted.write_bytes(content)

    assert_start_fails(
        Service(model, RERANKER_GGUF=str(corrupted)), "corrupted.gguf is not a GGUF file"
    )


def test_projector_of_another_model(model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    write_projector(other, np.ones((4, 32)), np.ones((4, 4)))

    assert_start_fails(
        Service(model, RERANKER_PROJECTOR=str(other)),
        "hidden states of size 32, the model has size 64",
    )


def test_truncated_projector(model: Path, tmp_path: Path) -> None:
    truncated = tmp_path / "truncated.safetensors"
    truncated.write_bytes((model / "projector.safetensors").read_bytes()[:-100])

    assert_start_fails(
        Service(model, RERANKER_PROJECTOR=str(truncated)),
        "truncated.safetensors is not a readable safetensors file",
    )


def test_too_little_memory(model: Path, tmp_path: Path) -> None:
    """A KV cache of 6.4 GB, and an address space of 4."""
    script = tmp_path / "start"
    script.write_text("#!/usr/bin/env bash\nulimit -v 4000000; exec ./start.sh\n")
    script.chmod(0o755)

    assert_start_fails(
        Service(model, str(script), LLAMA_ARG_CTX_SIZE="8388608"),
        "llama-server ended before it was ready, see above",
    )


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tiny_model.make().write(tmp_path)
    tmp_path.chmod(0o555)
    # Root may write everywhere but for this.
    as_others = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    variables = {
        "RERANKER_MODEL": "tiny",
        "RERANKER_GGUF": str(tmp_path / "model.gguf"),
        "RERANKER_PROJECTOR": str(tmp_path / "projector.safetensors"),
        "RERANKER_PORT": str(free_port()),
        "LLAMA_SERVER_PORT": str(free_port()),
    }

    done = subprocess.run(
        [*as_others, "./start.sh"],
        cwd=ROOT,
        env=environment(**free_ports() | variables),
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "RERANKER_READOUT=embedding does without" in done.stderr
    assert "Traceback" not in done.stderr


def test_model_that_reads_special_tokens_out_of_text(model: Path, tmp_path: Path) -> None:
    tiny = tiny_model.make()
    tokenizer = json.loads(tiny.tokenizer.to_str())
    for token in tokenizer["added_tokens"]:
        token["special"] = False
    write_gguf(tmp_path / "model.gguf", tiny.config, tiny.tensors, tokenizer)
    service = Service(model, RERANKER_GGUF=str(tmp_path / "model.gguf"))
    service.launch()

    assert service.process.wait(60) != 0
    assert "out of plain text" in service.output


def test_context_too_small(model: Path) -> None:
    service = Service(model, LLAMA_ARG_CTX_SIZE="2048")
    service.launch()

    assert service.process.wait(60) != 0
    assert "takes 2,047 tokens at once" in service.output
    assert "Raise LLAMA_ARG_CTX_SIZE to at least 3" in service.output
