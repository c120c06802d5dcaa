"""What a start decides, without a process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from models.facts import Device, Facts, find_devices
from models.plan import Plan, plan
from toolkit.running import is_alive, wait_until

CUDA = Device("CUDA0", "NVIDIA H", 80 * 2**30)
ON_CPU = Facts(llama_server=["/bin/llama-server"], gguf=Path("/weights/a.gguf"), context=131_072)
ON_GPU = replace(ON_CPU, devices=[CUDA])


@dataclass(frozen=True)
class Wishes:
    """The defaults."""

    model: str = "jina-reranker-v3"
    readout: str = "prefix"
    max_length: int | None = None
    llama_server_port: int = 8081
    gpu_fallback: bool = True
    llama_arg_ctx_size: int | None = None
    llama_arg_n_parallel: int | None = None


DEFAULTS = Wishes()


def environment(decided: Plan) -> dict[str, str]:
    (server,) = decided.servers
    return dict(server.environment)


def test_cpu() -> None:
    decided = plan(DEFAULTS, ON_CPU)

    assert (decided.device, decided.slots, decided.context) == ("cpu", 1, 16384)
    assert not decided.shrinks
    (server,) = decided.servers
    assert server.url == "http://127.0.0.1:8081"
    assert " ".join(server.command) == (
        "/bin/llama-server --model /weights/a.gguf --host 127.0.0.1 --port 8081"
    )
    variables = environment(decided)
    assert variables["LLAMA_ARG_CTX_SIZE"] == "16384"
    assert variables["LLAMA_ARG_N_PARALLEL"] == "1"
    assert variables["LLAMA_ARG_FLASH_ATTN"] == "off"
    assert variables["LLAMA_ARG_CACHE_RAM"] == "0"
    assert "LLAMA_ARG_UBATCH" not in variables


def test_gpu() -> None:
    decided = plan(DEFAULTS, ON_GPU)

    assert (decided.device, decided.slots, decided.context) == ("cuda", 2, 32768)
    assert decided.shrinks
    assert "LLAMA_ARG_FLASH_ATTN" not in environment(decided)


def test_embedding() -> None:
    decided = plan(replace(DEFAULTS, readout="embedding"), ON_GPU)

    assert (decided.slots, decided.context) == (1, 4096)
    variables = environment(decided)
    assert variables["LLAMA_ARG_EMBEDDINGS"] == "1"
    assert variables["LLAMA_ARG_POOLING"] == "none"
    assert variables["LLAMA_ARG_BATCH"] == variables["LLAMA_ARG_UBATCH"] == "4096"


BGE = replace(DEFAULTS, model="bge-reranker-v2-m3")
PAIRS_ON_CPU = replace(ON_CPU, context=8192)


def test_a_cross_encoder_takes_whole_pairs() -> None:
    decided = plan(BGE, PAIRS_ON_CPU)

    assert (decided.slots, decided.context) == (2, 2 * 8192)
    variables = environment(decided)
    assert variables["LLAMA_ARG_EMBEDDINGS"] == "1"
    assert variables["LLAMA_ARG_POOLING"] == "cls"
    assert variables["LLAMA_ARG_BATCH"] == variables["LLAMA_ARG_UBATCH"] == "8192"


def test_a_shorter_pair_takes_less() -> None:
    decided = plan(replace(BGE, max_length=256, llama_arg_n_parallel=3), PAIRS_ON_CPU)

    assert decided.context == 3 * 256
    assert environment(decided)["LLAMA_ARG_UBATCH"] == "256"


def test_no_pair_is_longer_than_the_model_was_made_for() -> None:
    assert plan(replace(BGE, max_length=100_000), PAIRS_ON_CPU).context == 2 * 8192


def test_a_cross_encoder_short_of_gpu_memory_goes_to_the_cpu() -> None:
    facts = replace(PAIRS_ON_CPU, devices=[CUDA])

    assert plan(BGE, facts).context == 8 * 8192
    assert plan(BGE, facts, smaller=1).fallback == "the CPU is used"


def test_web_pages_are_kept_out() -> None:
    variables = environment(plan(DEFAULTS, ON_CPU))

    assert variables["LLAMA_ARG_CORS_ORIGINS"] == "http://127.0.0.1:8081"
    assert variables["LLAMA_ARG_UI"] == variables["LLAMA_ARG_ENDPOINT_SLOTS"] == "0"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LLAMA_ARG_CACHE_RAM", "100"),
        ("LLAMA_ARG_FLASH_ATTN", "on"),
        ("LLAMA_ARG_LOG_VERBOSITY", "4"),
        ("LLAMA_ARG_N_GPU_LAYERS", "20"),
        ("LLAMA_ARG_THREADS", "3"),
        ("LLAMA_ARG_UI", "1"),
        ("LLAMA_ARG_WHATEVER_COMES", "x y"),
    ],
)
def test_option_of_the_user_wins(name: str, value: str) -> None:
    assert environment(plan(DEFAULTS, replace(ON_CPU, options={name: value})))[name] == value


@pytest.mark.parametrize("options", [{"LLAMA_ARG_N_GPU_LAYERS": "0"}, {"LLAMA_ARG_DEVICE": "none"}])
def test_user_stays_on_the_cpu(options: dict[str, str]) -> None:
    decided = plan(DEFAULTS, replace(ON_GPU, options=options))
    assert (decided.device, decided.slots, decided.shrinks) == ("cpu", 1, False)


def test_devices_that_were_not_listed_in_time_are_not_used() -> None:
    decided = plan(DEFAULTS, replace(ON_CPU, listed=False))
    assert decided.device == "cpu"
    assert environment(decided)["LLAMA_ARG_DEVICE"] == "none"


def test_context_of_the_model() -> None:
    wishes = replace(DEFAULTS, llama_arg_ctx_size=0)
    facts = replace(ON_GPU, options={"LLAMA_ARG_CTX_SIZE": "0"})

    assert plan(wishes, facts).context == 131_072
    assert environment(plan(wishes, facts))["LLAMA_ARG_CTX_SIZE"] == "0"
    assert environment(plan(wishes, facts, 1))["LLAMA_ARG_CTX_SIZE"] == "65536"


def test_slots_that_llama_server_would_choose() -> None:
    facts = replace(ON_GPU, options={"LLAMA_ARG_N_PARALLEL": "-1"})
    assert environment(plan(DEFAULTS, facts))["LLAMA_ARG_N_PARALLEL"] == "2"


@pytest.mark.parametrize(
    ("wishes", "contexts"),
    [
        (DEFAULTS, [32768, 16384, 8192]),
        (replace(DEFAULTS, llama_arg_n_parallel=1), [16384, 8192, 4096]),
        (replace(DEFAULTS, llama_arg_ctx_size=20000), [20000, 10000]),
        (replace(DEFAULTS, llama_arg_ctx_size=4096, llama_arg_n_parallel=1), [4096]),
        (replace(DEFAULTS, readout="embedding"), [4096]),
    ],
)
def test_smaller_plans(wishes: Wishes, contexts: list[int]) -> None:
    on_gpu = [plan(wishes, ON_GPU, smaller) for smaller in range(len(contexts))]
    assert [decided.context for decided in on_gpu] == contexts
    assert [decided.device for decided in on_gpu] == ["cuda"] * len(contexts)
    assert on_gpu[0].fallback == ""
    for decided in on_gpu[1:]:
        assert decided.fallback == f"the context is halved to {decided.context} tokens"
        assert environment(decided)["LLAMA_ARG_CTX_SIZE"] == str(decided.context)

    last = plan(wishes, ON_GPU, len(contexts))

    assert (last.device, last.fallback, last.shrinks) == ("cpu", "the CPU is used", False)
    assert environment(last)["LLAMA_ARG_N_GPU_LAYERS"] == "0"
    assert environment(last)["LLAMA_ARG_DEVICE"] == "none"
    assert plan(wishes, ON_GPU, len(contexts) + 3) == last


def test_smaller_plan_halves_what_the_user_set() -> None:
    wishes = replace(DEFAULTS, llama_arg_ctx_size=16384)
    facts = replace(ON_GPU, options={"LLAMA_ARG_CTX_SIZE": "16384"})
    assert environment(plan(wishes, facts, 1))["LLAMA_ARG_CTX_SIZE"] == "8192"


def test_smaller_plan_that_is_not_wanted() -> None:
    assert not plan(replace(DEFAULTS, gpu_fallback=False), ON_GPU).shrinks


LISTED = """load_backend: loaded something
Available devices:
  BLAS: OpenBLAS (0 MiB, 0 MiB free)
  CUDA0: NVIDIA H (81920 MiB, 80000 MiB free)
  CUDA1: NVIDIA H (81920 MiB, 70000 MiB free)
"""


@pytest.mark.parametrize(
    ("listed", "options", "names"),
    [
        (LISTED, {}, ["CUDA0", "CUDA1"]),
        (LISTED, {"LLAMA_ARG_DEVICE": "CUDA1"}, ["CUDA1"]),
        (LISTED, {"LLAMA_ARG_DEVICE": "none"}, []),
        (LISTED, {"LLAMA_ARG_N_GPU_LAYERS": "0"}, []),
        ("Available devices:\n  BLAS: OpenBLAS (0 MiB, 0 MiB free)\n", {}, []),
        ("Available devices:\n  BLAS: Accelerate (0 MiB, 0 MiB free)\n  MTL0: M4\n", {}, ["MTL0"]),
        ("Available devices:\n  zDNN: IBM (0 MiB, 0 MiB free)\n  ZenDNN: AMD\n", {}, []),
        ("Available devices:\n  Vulkan0: Radeon (8192 MiB, 8000 MiB free)\n", {}, ["Vulkan0"]),
        ("Available devices:\n  (none)\n", {}, []),
        ("error: invalid argument: --list-devices\n", {}, []),
    ],
)
def test_devices(tmp_path: Path, listed: str, options: dict[str, str], names: list[str]) -> None:
    script = tmp_path / "llama-server"
    script.write_text(f"#!/bin/sh\ncat <<'END'\n{listed}END\n")
    script.chmod(0o755)

    devices = find_devices([str(script)], options)

    assert [device.name for device in devices] == names


def test_devices_that_are_never_listed(tmp_path: Path) -> None:
    script = tmp_path / "llama-server"
    script.write_text(f"#!/bin/sh\nsleep 1000 & echo $! > {tmp_path}/child\nwait\n")
    script.chmod(0o755)

    with pytest.raises(TimeoutError, match=r"--list-devices did not end in 1 s"):
        find_devices([str(script)], {}, seconds=1)

    child = int((tmp_path / "child").read_text())
    wait_until(lambda: not is_alive(child))


def test_program_that_cannot_be_run(tmp_path: Path) -> None:
    assert find_devices([str(tmp_path / "absent")], {}) == []
