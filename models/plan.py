"""What a start does: decided from settings and facts, without a look at the machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from models.facts import Facts, stays_on_cpu
from models.families import family_of
from models.llama import shape as llama
from models.llama.shape import Shape

_CPU_ALONE = {"LLAMA_ARG_N_GPU_LAYERS": "0", "LLAMA_ARG_DEVICE": "none"}


class PlanError(ValueError):
    """There is nothing to start; the message says what to change."""


class Wishes(llama.Wishes, Protocol):
    """The settings that decide."""

    @property
    def model(self) -> str:
        """Name of the model."""

    @property
    def llama_server_port(self) -> int:
        """Where llama-server listens."""

    @property
    def gpu_fallback(self) -> bool:
        """Whether less than wanted may be asked of a GPU that is short of memory."""


@dataclass(frozen=True)
class Server:
    """A llama-server to start: its argv, and what its environment has besides the user's own."""

    command: Sequence[str]
    environment: Mapping[str, str]
    port: int

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Plan:
    """`device` is what computes, `context` the tokens of all `slots` together.

    `fallback` is what was given up for lack of GPU memory, empty if nothing was; `shrinks` tells
    that there is a smaller plan.
    """

    device: str
    slots: int
    context: int
    fallback: str
    shrinks: bool
    servers: Sequence[Server]


def plan(wishes: Wishes, facts: Facts, smaller: int = 0) -> Plan:
    """The plan for these facts, or the one that asks `smaller` times less of the GPU.

    Half the context as long as a request of the longest query and document fits, then the CPU.
    Raises `PlanError`.
    """
    if facts.llama_server is None or facts.gguf is None:
        raise PlanError("there is no llama-server to start, or no GGUF to serve")
    options = facts.options
    on_gpu = bool(facts.devices) and not stays_on_cpu(options)
    wanted = shape_of(wishes, facts.context, on_gpu)
    context, fallback = wanted.context, ""
    for _ in range(smaller if on_gpu else 0):
        if context // 2 < wanted.least_context:
            on_gpu, fallback = False, "the CPU is used"
            wanted = shape_of(wishes, facts.context, on_gpu)
            context = wanted.context
            break
        context //= 2
        fallback = f"the context is halved to {context} tokens"
    # -1 would leave the number of slots to llama-server.
    forced = {**wanted.forced, "LLAMA_ARG_N_PARALLEL": str(wanted.slots)}
    if fallback and on_gpu:
        forced["LLAMA_ARG_CTX_SIZE"] = str(context)
    elif fallback or not facts.listed:
        forced |= _CPU_ALONE
    server = Server(
        command=[
            *facts.llama_server,
            *("--model", str(facts.gguf), "--host", "127.0.0.1"),
            *("--port", str(wishes.llama_server_port)),
        ],
        environment={**_defaults(wishes, wanted, on_gpu), **options, **forced},
        port=wishes.llama_server_port,
    )
    return Plan(
        device=_kind(facts.devices[0].name) if on_gpu else "cpu",
        slots=wanted.slots,
        context=context,
        fallback=fallback,
        shrinks=on_gpu and wishes.gpu_fallback,
        servers=[server],
    )


def shape_of(wishes: Wishes, trained: int | None, on_gpu: bool) -> Shape:
    """What the model wants of its llama-server; `trained` is the model's own context."""
    family, card = family_of(wishes.model)
    return family.shape(card, wishes, trained, on_gpu)


def _defaults(wishes: Wishes, shape: Shape, on_gpu: bool) -> dict[str, str]:
    """What the user's own LLAMA_ARG_… replace."""
    defaults = {
        # Web pages have no business here; the key keeps them out where this is set otherwise.
        "LLAMA_ARG_CORS_ORIGINS": f"http://127.0.0.1:{wishes.llama_server_port}",
        "LLAMA_ARG_CTX_SIZE": str(shape.context),
        "LLAMA_ARG_ENDPOINT_SLOTS": "0",
        "LLAMA_ARG_LOG_VERBOSITY": "2",
        "LLAMA_ARG_N_GPU_LAYERS": "99",
        "LLAMA_ARG_UI": "0",
        **shape.defaults,
    }
    if not on_gpu:
        # There it is slower, and its rounding moves scores by percents.
        defaults["LLAMA_ARG_FLASH_ATTN"] = "off"
    return defaults


def _kind(device: str) -> str:
    """`cuda` of CUDA0."""
    return device.rstrip("0123456789").lower()
