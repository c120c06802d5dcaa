"""Context and memory: whether llama-server fits, and which context would."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.doctor.cgroups import free_in_cgroups
from app.doctor.finding import Finding, ok, problem
from app.doctor.plan import Plan
from app.doctor.weights import Transformer
from app.settings import Settings
from models.facts import Device
from models.llama.gguf import KINDS
from models.llama.shape import Shape
from models.plan import shape_of

# Tokens around the query and one document in the vocabulary of jina-reranker-v3, rounded up.
_TEMPLATE_TOKENS = 160
_OVERHEAD_BYTES = 300_000_000
_STEP = 1024
# Activations that an encoder holds at once, each as wide as its hidden states.
_ROWS_OF_ENCODER = 16
_SHORTEST_PAIR = 128
# The rest is for whatever else grows.
_USABLE = 0.9


@dataclass(frozen=True)
class Sizes:
    """What decides, beside the weights, how much memory llama-server takes.

    `context` is in tokens, of all slots together; `batch` is None where it is the whole context.
    """

    readout: str
    slots: int
    context: int
    batch: int | None
    flash_attention: bool
    cache_type_k: str
    cache_type_v: str
    swa_full: bool = False

    @classmethod
    def of(cls, settings: Settings, transformer: Transformer, on_gpu: bool) -> Sizes:
        """As start.sh sets them."""
        shape = shape_of(settings, transformer.context, on_gpu)
        flash_attention = settings.llama_arg_flash_attn or ("auto" if on_gpu else "off")
        return cls(
            readout=settings.readout,
            slots=shape.slots,
            context=shape.context,
            batch=settings.llama_arg_ubatch or (None if settings.readout == "embedding" else 512),
            flash_attention=flash_attention == "on" or (on_gpu and flash_attention == "auto"),
            cache_type_k=settings.llama_arg_cache_type_k.upper(),
            cache_type_v=settings.llama_arg_cache_type_v.upper(),
            swa_full=settings.llama_arg_swa_full,
        )

    def bytes_needed(self, transformer: Transformer) -> int:
        """Weights, readout head, KV cache and compute buffers."""
        keys = transformer.key_size * _bytes_per_element(self.cache_type_k)
        values = transformer.value_size * _bytes_per_element(self.cache_type_v)
        cache = self._cached(transformer) * transformer.key_heads * (keys + values)
        needed = transformer.file_size + cache + _OVERHEAD_BYTES
        batch = self.batch or self.context
        if self.readout == "embedding":
            # Two rows of logits for each token.
            needed += batch * 2 * transformer.vocabulary * 4
        elif not transformer.has_readout_head:
            needed += 2 * transformer.vocabulary * transformer.hidden_size
        if not self.flash_attention:
            # Attention scores in F32, and their copy in F16.
            needed += batch * self.context * transformer.heads * (4 + 2)
        return int(needed)

    def _cached(self, transformer: Transformer) -> int:
        """Tokens that the cache of keys and values holds, of all layers together."""
        windows = transformer.windows
        if windows is None or self.swa_full:
            return self.context * transformer.layers
        # Behind its window, a layer keeps room for the batch that is computed.
        kept = self.slots * (windows.size + (self.batch or self.context))
        windowed = sum(windows.pattern)
        full = self.context * (transformer.layers - windowed)
        return full + windowed * min(self.context, kept)


def check_memory(plan: Plan, transformer: Transformer, devices: Sequence[Device]) -> Finding:
    """Whether weights and context fit what is free."""
    subject = "memory"
    shape = shape_of(plan.settings, transformer.context, on_gpu=bool(devices))
    free = _free_on(devices) if devices else free_memory()
    if shape.encodes:
        return _check_encoder(plan.settings, transformer, shape, free, on_gpu=bool(devices))
    wanted = Sizes.of(plan.settings, transformer, on_gpu=bool(devices))
    least = wanted.slots * _least_slot(plan)
    if wanted.context < least:
        return problem(
            subject,
            f"a context of {wanted.context:,} tokens is too small for one truncated document and "
            "its query",
            f"set LLAMA_ARG_CTX_SIZE={least}, or lower RERANKER_MAX_DOCUMENT_TOKENS",
        )
    needed = wanted.bytes_needed(transformer)
    told = f"{needed / 1e9:.1f} GB for {wanted.context:,} tokens of context"
    if free is None:
        return ok(subject, f"{told}; how much is free cannot be told here")
    told += f", {free / 1e9:.1f} GB free"
    largest = _largest_context(wanted, transformer, free)
    if needed <= _USABLE * free:
        more = f"; LLAMA_ARG_CTX_SIZE={largest} would fit" if largest > wanted.context else ""
        return ok(subject, told + more)
    if largest < least:
        advice = "free some, or use smaller weights: RERANKER_QUANT=Q4_K_M"
    else:
        advice = f"set LLAMA_ARG_CTX_SIZE={largest}"
    return problem(subject, told, advice)


def _check_encoder(
    settings: Settings, transformer: Transformer, shape: Shape, free: int | None, on_gpu: bool
) -> Finding:
    """Whether the weights of an encoder and its longest pair fit `free` bytes."""
    subject = "memory"
    flash_attention = settings.llama_arg_flash_attn or ("auto" if on_gpu else "off")
    attends_whole = flash_attention == "off" or (flash_attention == "auto" and not on_gpu)

    def needed(tokens: int) -> int:
        scores = 4 * tokens**2 * transformer.heads if attends_whole else 0
        activations = 4 * tokens * _ROWS_OF_ENCODER * transformer.hidden_size
        return transformer.file_size + _OVERHEAD_BYTES + scores + activations

    longest = settings.llama_arg_ubatch or shape.batch or 0
    told = f"{needed(longest) / 1e9:.1f} GB for pairs of up to {longest:,} tokens"
    if free is None:
        return ok(subject, f"{told}; how much is free cannot be told here")
    told += f", {free / 1e9:.1f} GB free"
    if needed(longest) <= _USABLE * free:
        return ok(subject, told)
    fitting = [n for n in range(longest, 0, -_SHORTEST_PAIR) if needed(n) <= _USABLE * free]
    if not fitting or fitting[0] < _SHORTEST_PAIR:
        return problem(subject, told, "free some, or use smaller weights: RERANKER_QUANT=Q4_K_M")
    return problem(subject, told, f"set RERANKER_MAX_LENGTH={fitting[0]}")


def free_memory() -> int | None:
    """Bytes that a process can still get, within the limit of a container; None if not known."""
    try:
        meminfo = Path("/proc/meminfo").read_text()
    except OSError:
        return None
    free = 1024 * int(re.findall(r"MemAvailable: +(\d+) kB", meminfo)[0])
    in_cgroups = free_in_cgroups()
    return free if in_cgroups is None else min(free, in_cgroups)


def _free_on(devices: Sequence[Device]) -> int | None:
    free = [device.free for device in devices if device.free is not None]
    return sum(free) if len(free) == len(devices) else None


def _largest_context(sizes: Sizes, transformer: Transformer, free: int) -> int:
    """Tokens of the largest context that fits `free` bytes, 0 if none does."""
    largest = sizes.slots * transformer.context
    fitting = (
        context
        for context in range(largest, 0, -_STEP)
        if replace(sizes, context=context).bytes_needed(transformer) <= _USABLE * free
    )
    return next(fitting, 0)


def _least_slot(plan: Plan) -> int:
    """Tokens of the prompt for one truncated document and its query."""
    limits = plan.settings
    return _TEMPLATE_TOKENS + 2 * limits.max_query_tokens + limits.max_document_tokens


def _bytes_per_element(kind: str) -> float:
    return KINDS[kind].bytes / KINDS[kind].elements
