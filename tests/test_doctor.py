"""`python -m app doctor`: what keeps the service from working, and what to do."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import psutil
import pytest

from app.client import Result
from app.doctor.cgroups import free_in_cgroups
from app.doctor.examine import examine
from app.doctor.gpu import find_devices
from app.doctor.logs import check_log_folder
from app.doctor.memory import Sizes, check_memory, free_memory
from app.doctor.plan import Plan
from app.doctor.scores import compare
from app.doctor.weights import Transformer
from app.settings import Settings
from models.llama.gguf import KINDS
from models.llama.windows import Windows
from toolkit.export import write_projector
from toolkit.running import ROOT, Service, free_port, run_app

README = (ROOT / "README.md").read_text()


def doctor(service: Service, **variables: str) -> tuple[int, str]:
    """Exit status and report, with the settings of `service` but for `variables`."""
    done = run_app("doctor", **{**service.environment, **variables})
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.fixture
def stopped(model: Path) -> Service:
    """Settings of a service that is not started."""
    return Service(model)


@pytest.fixture(scope="module")
def default_service(model: Path) -> Iterator[Service]:
    """The tiny model with keys, in default sizes, under the name of the published one."""
    with Service(
        model, RERANKER_MODEL="jina-reranker-v3", RERANKER_API_KEY="first,second"
    ) as running:
        yield running


def test_running_service(service: Service) -> None:
    status, report = doctor(service)

    assert status == 0
    assert f"running at {service.url} with tiny on cpu" in report
    assert "problem" not in report


def test_findings_as_json(service: Service, stopped: Service) -> None:
    done = run_app("doctor", "--json", **service.environment)
    found = {finding.pop("subject"): finding for finding in json.loads(done.stdout)}

    assert done.returncode == 0
    assert found["service"] == {
        "state": "ok",
        "detail": f"running at {service.url} with tiny on cpu",
        "advice": "",
    }
    wrong = run_app("doctor", "--json", **stopped.environment, LLAMA_SERVER_BIN="/nowhere/server")
    assert wrong.returncode == 1
    assert [each["subject"] for each in json.loads(wrong.stdout) if each["advice"]] == [
        "llama-server"
    ]


class TestServiceOfRerankerURL:
    def test_it_is_asked(self, service: Service, stopped: Service) -> None:
        status, report = doctor(stopped, RERANKER_URL=f"{service.url}/v1/rerank")

        assert (status, report.count("→")) == (0, 0)
        assert f"running at {service.url} with tiny on cpu" in report
        assert "skipped this machine" in report

    def test_the_one_at_the_port_has_this_machine(self, service: Service) -> None:
        status, report = doctor(service, RERANKER_URL=f"http://localhost:{service.port}")

        assert status == 0
        assert "all values finite" in report

    def test_key(self, default_service: Service, stopped: Service) -> None:
        named = {"RERANKER_URL": default_service.url}
        status, report = doctor(stopped, **named, RERANKER_API_KEY="second")
        assert status == 1
        assert "differs from its published scores" in report

    def test_nobody_is_there(self, service: Service) -> None:
        nobody = f"http://127.0.0.1:{free_port()}"
        status, report = doctor(service, RERANKER_URL=nobody)
        assert status == 1
        assert f"problem service: nothing answers at {nobody}" in report

        status, report = doctor(service, RERANKER_URL="localhost:7998")
        assert status == 1
        assert "did you mean http://localhost:7998?" in report


def test_nothing_runs_and_nothing_is_wrong(default_service: Service, stopped: Service) -> None:
    status, report = doctor(stopped)

    assert status == 0
    assert f"port {stopped.port} on 127.0.0.1 is free" in report
    assert "hidden size 64" in report
    assert "64 to 32, all values finite" in report
    context = int(default_service.llama_server.environ()["LLAMA_ARG_CTX_SIZE"])
    assert f"for {context:,} tokens of context" in report


def test_scores_that_are_not_the_published_ones(default_service: Service) -> None:
    status, report = doctor(default_service)

    assert status == 1
    (line, advice) = report.splitlines()[-2:]
    assert re.search(r"problem scores: .* differs from its published scores by \d", line)
    assert "RERANKER_GGUF and RERANKER_PROJECTOR" in advice


def test_key_from_the_environment(default_service: Service) -> None:
    arguments = ["rerank", "a", "b", "--url", default_service.url]

    assert run_app(*arguments, RERANKER_API_KEY="second").returncode == 0
    refused = run_app(*arguments)
    assert refused.returncode == 1
    assert "RERANKER_API_KEY" in refused.stderr


def test_everything_is_broken(
    stopped: Service, service: Service, model: Path, tmp_path: Path
) -> None:
    cut = {}
    for name in ("model.gguf", "projector.safetensors"):
        cut[name] = tmp_path / name
        # Only the last tensor is not whole.
        cut[name].write_bytes((model / name).read_bytes()[:-100])
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = str(stranger.getsockname()[1])
        # That of a llama-server, which is not the service.
        service_port = service.environment["LLAMA_SERVER_PORT"]
        status, report = doctor(
            stopped,
            RERANKER_PORT=service_port,
            RERANKER_GGUF=str(cut["model.gguf"]),
            RERANKER_PROJECTOR=str(cut["projector.safetensors"]),
            LLAMA_SERVER_BIN="/nowhere/llama-server",
            LLAMA_SERVER_PORT=port,
        )

    assert status == 1
    assert f"problem service: port {service_port} on 127.0.0.1 is used by" in report
    assert f"problem llama-server's port: port {port} on 127.0.0.1 is used by" in report
    assert "problem GGUF: model.gguf is cut off" in report
    assert "problem projector: projector.safetensors is not a readable" in report
    assert "problem llama-server: LLAMA_SERVER_BIN=/nowhere/llama-server cannot be" in report
    assert report.count("→") == 5


def test_parts_that_do_not_fit(stopped: Service, tmp_path: Path) -> None:
    write_projector(tmp_path / "other.safetensors", np.ones((4, 32)), np.ones((4, 4)))
    broken = tmp_path / "llama-server"
    broken.write_text("#!/bin/sh\necho libllama.so: cannot open shared object file\nexit 127")
    broken.chmod(0o755)
    status, report = doctor(
        stopped,
        RERANKER_PROJECTOR=str(tmp_path / "other.safetensors"),
        LLAMA_SERVER_BIN=str(broken),
    )

    assert status == 1
    assert "takes hidden states of size 32, the GGUF has size 64" in report
    assert "does not run: libllama.so: cannot open shared object file" in report


def test_missing_weights(stopped: Service, model: Path) -> None:
    missing = {"RERANKER_PROJECTOR": "", "RERANKER_MODEL": "absent"}
    status, report = doctor(stopped, **missing, RERANKER_GGUF=str(model / "modle.gguf"))
    assert status == 1
    assert f"does not exist; did you mean {model / 'model.gguf'}?" in report
    assert "weights/absent/projector.safetensors is missing" in report
    assert "run: python -m models.download absent" in report

    downloaded = {"RERANKER_GGUF": "", "RERANKER_QUANT": "Q8_0", "RERANKER_DOWNLOAD": "1"}
    status, report = doctor(stopped, **missing, **downloaded)
    assert status == 0
    assert "weights/absent/*Q8_0.gguf is missing; start.sh downloads it" in report


def test_llama_server_that_runs_already(stopped: Service, service: Service) -> None:
    status, report = doctor(stopped, **service.as_outside_llama_server)
    assert status == 0
    assert f"a llama-server answers at {service.llama_server_url}" in report

    nobody = f"http://127.0.0.1:{free_port()}"
    status, report = doctor(stopped, LLAMA_SERVER_URL=nobody)
    assert status == 1
    assert f"no llama-server is ready at {nobody}" in report


def test_gpu(stopped: Service, tmp_path: Path) -> None:
    """A GPU cannot be had where tests run: scripts claim one, then run the real server."""
    embedded = f'exec {sys.executable} -m models.llama.embedded "$@"'
    claims_a_gpu = tmp_path / "llama-server"
    claims_a_gpu.write_text(
        "#!/usr/bin/env bash\n"
        "if [[ $1 == --list-devices ]]; then\n"
        'printf "Available devices:\\n  CUDA0: NVIDIA H (900 MiB, 100 MiB free)\\n"\n'
        f"else {embedded}; fi\n"
    )
    driver = tmp_path / "nvidia-smi"
    driver.write_text('#!/bin/sh\necho "GPU 0: NVIDIA H (UUID: GPU-1)"\n')
    for script in (claims_a_gpu, driver):
        script.chmod(0o755)

    status, report = doctor(stopped, LLAMA_SERVER_BIN=str(claims_a_gpu))
    assert status == 1
    assert "GPU: CUDA0 NVIDIA H" in report
    assert "for 32,768 tokens of context, 0.1 GB free" in report
    assert "RERANKER_QUANT=Q4_K_M" in report

    blind = tmp_path / "blind"
    blind.write_text(f"#!/bin/sh\n{embedded}\n")
    blind.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    status, report = doctor(stopped, LLAMA_SERVER_BIN=str(blind), PATH=path)
    assert status == 1
    assert "problem GPU: llama-server does not see NVIDIA H" in report
    assert report.count("→") == 1


@pytest.mark.parametrize("context", ["100000000", "2048"])
def test_advice_on_the_context_helps(
    model: Path, context: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    transformer = Transformer.read(model / "model.gguf")
    monkeypatch.setenv("LLAMA_ARG_CTX_SIZE", context)
    found = check_memory(Plan.of(Settings.load()), transformer, [])
    assert found.state == "problem"
    (advised,) = re.findall(r"set LLAMA_ARG_CTX_SIZE=(\d+)", found.advice)

    monkeypatch.setenv("LLAMA_ARG_CTX_SIZE", advised)
    assert check_memory(Plan.of(Settings.load()), transformer, []).state == "ok"


def test_wrong_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANKER_READOUT", "both")
    monkeypatch.setenv("RERANKER_PORT", "many")

    findings = list(examine())

    assert [(found.subject, found.state) for found in findings] == [("settings", "problem")] * 2
    assert findings[0].detail == "RERANKER_READOUT is prefix or embedding, not 'both'"
    assert findings[1].detail.startswith("RERANKER_PORT is a port")


def test_newest_gguf_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "weights" / "some"
    folder.mkdir(parents=True)
    for seconds, name in enumerate(["a-Q8_0.gguf", "b-BF16.gguf", "b-BF16.prefix.gguf"]):
        (folder / name).touch()
        os.utime(folder / name, (seconds, seconds))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RERANKER_MODEL", "some")
    monkeypatch.delenv("RERANKER_GGUF", raising=False)

    newest = Plan.of(Settings.load()).gguf
    monkeypatch.setenv("RERANKER_QUANT", "Q8_0")

    assert newest == Path("weights/some/b-BF16.gguf")
    assert Plan.of(Settings.load()).gguf == Path("weights/some/a-Q8_0.gguf")


@pytest.mark.parametrize(
    ("size", "slots", "context", "gigabytes"),
    [(0.64e9, 1, 4096, 1.4), (0.64e9, 1, 16384, 2.8), (1.2e9, 2, 32768, 5.3)],
)
def test_memory_of_the_published_model(
    size: float, slots: int, context: int, gigabytes: float
) -> None:
    """The table of docs/operations.md, to which llama.cpp's own few hundred MB come."""
    transformer = Transformer(int(size), False, 28, 1024, 151_936, 16, 8, 128, 128, 131_072)
    sizes = Sizes("prefix", slots, context, 512, True, "F16", "F16")

    needed = sizes.bytes_needed(transformer) / 1e9

    assert gigabytes < needed < gigabytes + 0.5


def test_published_scores() -> None:
    # Those of vLLM's tests of jina-reranker-v3, another implementation.
    scores = [0.294921875, -0.16015625, 0.189453125, -0.1708984375, 0.2255859375, 0.1640625]
    results = [Result(i, scores[i]) for i in sorted(range(6), key=lambda i: -scores[i])]
    assert compare(results).state == "ok"

    wrong = [Result(result.index, result.relevance_score + 0.1) for result in results]
    assert compare(wrong).state == "problem"


def test_sizes_of_ggml_types() -> None:
    for name, kind in KINDS.items():
        number = gguf.GGMLQuantizationType[name]
        assert kind == (number, *gguf.GGML_QUANT_SIZES[number])


def test_missing_weights_of_another_model_than_the_running_one(
    service: Service, stopped: Service
) -> None:
    """As beside a running demo, where nothing is set: it needs no weights of the default model."""
    unset = {"RERANKER_GGUF": "", "RERANKER_PROJECTOR": "", "RERANKER_MODEL": "absent"}
    status, report = doctor(service, **unset)

    assert (status, report.count("→")) == (0, 0)
    assert "weights/absent/*.gguf is missing; the running service serves tiny" in report

    status, report = doctor(stopped, **unset)
    assert (status, report.count("→")) == (1, 2)


@pytest.mark.parametrize("listed", ["BLAS: OpenBLAS (0 MiB, 0 MiB free)", "BLAS: OpenBLAS"])
def test_a_library_is_no_gpu(tmp_path: Path, listed: str) -> None:
    blas = tmp_path / "llama-server"
    blas.write_text(f"#!/bin/sh\necho 'Available devices:\n  {listed}'\n")
    blas.chmod(0o755)

    assert find_devices(Plan.of(Settings.load({"LLAMA_SERVER_BIN": str(blas)}))) == []


def _files(root: Path, contents: dict[str, str]) -> Path:
    for name, content in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_free_memory_in_cgroups_of_version_2(tmp_path: Path) -> None:
    root = _files(
        tmp_path,
        {
            "proc/self/cgroup": "0::/system.slice/some.service\n",
            "sys/fs/cgroup/cgroup.controllers": "memory\n",
            "sys/fs/cgroup/system.slice/memory.max": "5000\n",
            "sys/fs/cgroup/system.slice/memory.current": "4000\n",
            "sys/fs/cgroup/system.slice/memory.stat": "anon 10\nactive_file 20\ninactive_file 30\n",
            "sys/fs/cgroup/system.slice/some.service/memory.max": "max\n",
            "sys/fs/cgroup/system.slice/some.service/memory.current": "3000\n",
        },
    )
    assert free_in_cgroups(root) == 5000 - 4000 + 20 + 30

    own = {"sys/fs/cgroup/system.slice/some.service/memory.max": "3500\n"}
    assert free_in_cgroups(_files(root, own)) == 3500 - 3000


def test_free_memory_in_a_container_of_version_1(tmp_path: Path) -> None:
    """Its group is mounted as the topmost one, under a name that is not seen inside."""
    root = _files(
        tmp_path,
        {
            "proc/self/cgroup": "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000000\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "900000\n",
            "sys/fs/cgroup/memory/memory.stat": "inactive_file 1\ntotal_inactive_file 5000\n",
        },
    )
    assert free_in_cgroups(root) == 1_000_000 - 900_000 + 5000


def test_no_cgroups(tmp_path: Path) -> None:
    assert free_in_cgroups(tmp_path) is None


def test_free_memory_of_this_machine() -> None:
    free = free_memory()
    assert free
    assert 0 < free <= psutil.virtual_memory().total


def test_log_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    folder = tmp_path / "folder"
    (folder / "llama-server.log").mkdir(parents=True)

    for good in (tmp_path, tmp_path / "absent" / "deeper"):
        assert check_log_folder(good).state == "ok"
    for bad in (file, file / "below", folder):
        found = check_log_folder(bad)
        assert found.state == "problem"
        assert f"RERANKER_LOG_DIR={bad}" in found.detail
    assert sorted(tmp_path.iterdir()) == [file, folder]


def test_option_that_llama_server_does_not_know(stopped: Service) -> None:
    wrong = {"LLAMA_ARG_CTXSIZE": "8192", "LLAMA_ARG_THREADS": "1"}
    status, report = doctor(stopped, **wrong)

    assert status == 1
    assert "does not know LLAMA_ARG_CTXSIZE (did you mean LLAMA_ARG_CTX_SIZE?)" in report
    assert "THREADS" not in report


def test_layers_with_windows_keep_these_alone() -> None:
    plain = Transformer(639_000_000, False, 28, 1024, 151_936, 16, 8, 128, 128, 131_072)
    windows = Windows(1024, (*[True] * 16, *[False] * 12))
    sizes = Sizes("prefix", 1, 131_072, 512, True, "F16", "F16")
    layer = 8 * (128 + 128) * 2

    saved = sizes.bytes_needed(plain) - sizes.bytes_needed(replace(plain, windows=windows))

    assert saved == 16 * layer * (131_072 - 1024 - 512)
    whole = replace(sizes, swa_full=True)
    assert whole.bytes_needed(replace(plain, windows=windows)) == sizes.bytes_needed(plain)


@pytest.mark.parametrize("card", ["4 GB", "8 GB", "24 GB"])
def test_what_the_readme_says_fits_a_card(card: str) -> None:
    (row,) = re.findall(rf"^\| {card} \| (.+) \| ([\d.]+) GB \|$", README, re.MULTILINE)
    settings = dict(re.findall(r"`(\w+)=(\w+)`", row[0]))
    weights = {"Q4_K_M": 397_000_000, "Q8_0": 639_000_000, "BF16": 1_198_000_000}
    size = weights[settings.get("RERANKER_QUANT", "Q8_0")]
    transformer = Transformer(size, False, 28, 1024, 151_936, 16, 8, 128, 128, 131_072)

    needed = Sizes.of(Settings.load(settings), transformer, on_gpu=True).bytes_needed(transformer)

    assert needed / 1e9 == pytest.approx(float(row[1]), abs=0.1)
    assert needed < 0.9 * float(card.split()[0]) * 1e9
