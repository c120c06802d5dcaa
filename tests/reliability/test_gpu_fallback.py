"""A GPU without enough memory: a script claims one, and fails as llama.cpp does.

A real GPU cannot be had where tests run. What is small enough, or asks nothing of the GPU, runs in
the real server.
"""

from __future__ import annotations

import sys
from pathlib import Path

import httpx

from toolkit.running import Service, wait_until

# Two slots, which is what a GPU gets.
_CONTEXT = {"LLAMA_ARG_CTX_SIZE": "16384"}

_SMALL_GPU = """#!/usr/bin/env bash
if [[ $1 == --list-devices ]]; then
  printf 'Available devices:\\n  CUDA0: NVIDIA Small (2048 MiB, 1500 MiB free)\\n'
  exit
fi
if ((LLAMA_ARG_N_GPU_LAYERS > 0 && LLAMA_ARG_CTX_SIZE > MOST_CONTEXT)); then
  echo 'ggml_backend_cuda_buffer_type_alloc_buffer: allocating 3584.00 MiB on device 0:' \\
    'cudaMalloc failed: out of memory' >&2
  echo 'alloc_tensor_range: failed to allocate CUDA0 buffer of size 3758096384' >&2
  echo 'llama_init_from_model: failed to initialize the context' >&2
  exit 1
fi
exec PYTHON -m models.llama.embedded "$@"
"""


def small_gpu(folder: Path, most_context: int) -> str:
    """A llama-server on a GPU with room for a context of `most_context` tokens."""
    script = folder / "llama-server"
    text = _SMALL_GPU.replace("MOST_CONTEXT", str(most_context))
    script.write_text(text.replace("PYTHON", sys.executable))
    script.chmod(0o755)
    return str(script)


def test_half_the_context(model: Path, tmp_path: Path) -> None:
    with Service(model, LLAMA_SERVER_BIN=small_gpu(tmp_path, 8192), **_CONTEXT) as service:
        health = httpx.get(f"{service.url}/health").json()
        with service.llama_server_client() as llama_server:
            props = llama_server.get("/props").json()
        assert service.rerank(query="a", documents=["b"]).status_code == 200

    assert health["device"] == "cuda"
    assert health["fallback"] == "the context is halved to 8192 tokens"
    assert (props["default_generation_settings"]["n_ctx"], props["total_slots"]) == (4096, 2)
    assert service.output.count("the context is halved to 8192 tokens") == 1


def test_then_the_cpu(model: Path, tmp_path: Path) -> None:
    settings = _CONTEXT | {"RERANKER_LOG_DIR": str(tmp_path)}
    with Service(model, LLAMA_SERVER_BIN=small_gpu(tmp_path, 0), **settings) as service:
        health = httpx.get(f"{service.url}/health").json()
        variables = service.llama_server.environ()

    assert health["device"] == "cpu"
    assert health["fallback"] == "the CPU is used"
    assert variables["LLAMA_ARG_N_GPU_LAYERS"] == "0"
    assert variables["LLAMA_ARG_CTX_SIZE"] == "16384"
    assert variables["LLAMA_ARG_FLASH_ATTN"] == "off"
    lines = service.output.splitlines()
    halved, on_cpu = (
        [i for i, line in enumerate(lines) if line.endswith(what)]
        for what in ("the context is halved to 8192 tokens", "the CPU is used")
    )
    assert len(halved) == len(on_cpu) == 1
    assert halved < on_cpu


def test_context_that_cannot_be_halved(model: Path, tmp_path: Path) -> None:
    context = {"LLAMA_ARG_CTX_SIZE": "4096", "LLAMA_ARG_N_PARALLEL": "1"}
    service = Service(model, LLAMA_SERVER_BIN=small_gpu(tmp_path, 0), **context)
    service.launch()
    wait_until(lambda: "the CPU is used" in service.output)
    service.stop()

    assert "halved" not in service.output


def test_refused(model: Path, tmp_path: Path) -> None:
    service = Service(model, LLAMA_SERVER_BIN=small_gpu(tmp_path, 0), RERANKER_GPU_FALLBACK="0")
    service.launch()

    assert service.process.wait(60) == 1
    assert "cudaMalloc failed: out of memory" in service.output
    assert "llama-server ended before it was ready" in service.output


def test_other_deaths_are_no_lack_of_memory(model: Path, tmp_path: Path) -> None:
    dies = tmp_path / "llama-server"
    dies.write_text(
        "#!/usr/bin/env bash\n"
        '[[ $1 != --list-devices ]] || exec printf "Available devices:\\n  CUDA0: H (1 MiB)\\n"\n'
        'echo "error: invalid argument: $1" >&2; exit 1\n'
    )
    dies.chmod(0o755)
    service = Service(model, LLAMA_SERVER_BIN=str(dies), RERANKER_LOG_DIR=str(tmp_path))
    service.launch()

    assert service.process.wait(60) == 1
    assert service.output.count("Starting llama-server") == 1
    assert "error: invalid argument" in service.output
