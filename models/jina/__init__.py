"""The family of jina-reranker-v3: listwise, read out of a Qwen3 at the marker after each text."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from models.jina.model import JinaReranker
from models.jina.projector import Projector
from models.jina.prompt import SpecialTokens, opening
from models.llama import qwen3
from models.llama.client import LlamaServer
from models.llama.fingerprint import Fingerprint
from models.llama.gguf import GGUFHeader
from models.llama.head import HEAD_KEY, HIDDEN_STATES, Head
from models.llama.readout.base import Readout
from models.llama.readout.embedding import EmbeddingReadout
from models.llama.readout.prefix import PrefixReadout
from models.llama.shape import Shape, reading
from models.llama.shape import Wishes as ShapeWishes
from models.prepare import prepared as prepared_copy
from models.rerank import Card, Limits, RankingModel
from models.wishes import Wishes

# The logger whose lines uvicorn prints.
_log = logging.getLogger("uvicorn.error")

CARDS: Sequence[Card] = (
    Card(
        name="jina-reranker-v3",
        kind="listwise",
        score="cosine",
        score_range=(-1.0, 1.0),
        licence="CC BY-NC 4.0",
        repository="jinaai/jina-reranker-v3-GGUF",
        projector=True,
    ),
)


def contradicts(header: GGUFHeader) -> str | None:
    """Why a GGUF with this header is none of this family; None if it may be one."""
    reason = qwen3.contradicts(header)
    if reason:
        return reason
    rows = sorted(name for name in header.tensors if name.startswith("cls."))
    if rows:
        return f"it holds {rows[0]}, the head of a classifier"
    shown = header.metadata.get(HEAD_KEY, HIDDEN_STATES.meaning)
    if shown != HIDDEN_STATES.meaning:
        return f"its readout head shows {shown!r:.60}, not {HIDDEN_STATES.meaning}"
    return None


def prepared(_: Card, source: Path, readout: str) -> Path:
    """See `Family.prepared`."""
    return prepared_copy(source) if readout == "prefix" else source


def shape(wishes: ShapeWishes, trained: int | None, on_gpu: bool) -> Shape:
    """See `Family.shape`."""
    return reading(wishes, trained, on_gpu)


@asynccontextmanager
async def open(card: Card, wishes: Wishes) -> AsyncIterator[RankingModel]:
    """The model of `card` behind a llama-server that runs.

    Raises `ConfigurationError`, `ModelError`, or `ProjectorError` if the projector is none.
    """
    projector = Projector.load(wishes.projector_path)
    limits = Limits(wishes.max_query_tokens, wishes.max_document_tokens)
    url, key = wishes.server_url, wishes.llama_server_api_key
    async with LlamaServer(url, wishes.timeout_seconds, key) as server:
        tokens = await SpecialTokens.of(server)
        readout = await _readout(wishes, server, tokens)
        yield await JinaReranker.connect(card, server, readout, projector, tokens, limits)


async def _readout(wishes: Wishes, server: LlamaServer, tokens: SpecialTokens) -> Readout:
    """The readout wished for, or `embedding` where the GGUF is unknown or has no head."""
    cache_types = (wishes.llama_arg_cache_type_k, wishes.llama_arg_cache_type_v)
    fingerprint = await Fingerprint.of(server, opening(tokens), wishes.gguf, cache_types)
    head = Head.read(wishes.gguf) if wishes.gguf else None
    if wishes.readout == "prefix" and head is not None:
        _log.info("reading hidden states through prefix: %s has the head", wishes.gguf)
        return await PrefixReadout.connect(server, head, fingerprint)
    reason = "as set" if wishes.readout == "embedding" else "no GGUF with the readout head"
    _log.info("reading hidden states through embedding: %s", reason)
    return await EmbeddingReadout.connect(server, fingerprint)
