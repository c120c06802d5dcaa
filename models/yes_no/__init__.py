"""The family of Qwen3-Reranker: each document is judged by the next word, yes or no."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from models.llama import qwen3
from models.llama.client import LlamaServer
from models.llama.fingerprint import Fingerprint
from models.llama.gguf import read_header
from models.llama.head import HEAD_KEY, Head
from models.llama.readout.base import SerialReadout
from models.llama.readout.embedding import EmbeddingReadout
from models.llama.readout.prefix import PrefixReadout
from models.llama.shape import Shape, reading
from models.llama.shape import Wishes as ShapeWishes
from models.prepare import prepared as prepared_copy
from models.rerank import Card, ConfigurationError, Limits, RankingModel
from models.wishes import Wishes
from models.yes_no.answer import CLASSIFIER, YES_MINUS_NO
from models.yes_no.model import YesNoReranker
from models.yes_no.prompt import SpecialTokens, opening

# The logger whose lines uvicorn prints.
_log = logging.getLogger("uvicorn.error")


def _card(name: str, repository: str) -> Card:
    return Card(
        name=name,
        kind="pointwise",
        score="probability",
        score_range=(0.0, 1.0),
        licence="Apache 2.0",
        repository=repository,
    )


CARDS: Sequence[Card] = (
    _card("Qwen3-Reranker-0.6B", "ggml-org/Qwen3-Reranker-0.6B-Q8_0-GGUF"),
    _card("Qwen3-Reranker-4B", "giladgd/Qwen3-Reranker-4B-GGUF"),
    _card("Qwen3-Reranker-8B", "giladgd/Qwen3-Reranker-8B-GGUF"),
)


def contradicts(_: Card, gguf: Path) -> str | None:
    """See `Family.contradicts`."""
    header = read_header(gguf)
    reason = qwen3.contradicts(header)
    if reason:
        return reason
    rows = sorted(name for name in header.tensors if name.startswith("cls.") and name != CLASSIFIER)
    if rows:
        return f"it holds {rows[0]}, the head of a classifier"
    shown = header.metadata.get(HEAD_KEY, YES_MINUS_NO.meaning)
    if shown != YES_MINUS_NO.meaning:
        return f"its readout head shows {shown!r:.60}, not {YES_MINUS_NO.meaning}"
    return None


def prepared(_: Card, source: Path, readout: str, __: Sequence[str] | None) -> Path:
    """See `Family.prepared`."""
    return prepared_copy(source, YES_MINUS_NO) if readout == "prefix" else source


def shape(_: Card, wishes: ShapeWishes, trained: int | None, on_gpu: bool) -> Shape:
    """See `Family.shape`."""
    return reading(wishes, trained, on_gpu)


@asynccontextmanager
async def open(card: Card, wishes: Wishes) -> AsyncIterator[RankingModel]:
    """The model of `card` behind a llama-server that runs.

    Raises `ConfigurationError`, `GGUFError` or `ModelError`.
    """
    limits = Limits(wishes.max_query_tokens, wishes.max_document_tokens)
    url, key = wishes.server_url, wishes.llama_server_api_key
    async with LlamaServer(url, wishes.timeout_seconds, key) as server:
        tokens = await SpecialTokens.of(server)
        readout = await _readout(wishes, server, tokens)
        yield await YesNoReranker.connect(card, server, readout, tokens, limits)


async def _readout(wishes: Wishes, server: LlamaServer, tokens: SpecialTokens) -> SerialReadout:
    """The readout wished for, or `embedding` where the GGUF has no head."""
    if wishes.gguf is None:
        raise ConfigurationError(
            "RERANKER_GGUF must name the file that llama-server serves: what tells yes from no "
            "is read out of it"
        )
    cache_types = (wishes.llama_arg_cache_type_k, wishes.llama_arg_cache_type_v)
    fingerprint = await Fingerprint.of(server, opening(tokens), wishes.gguf, cache_types)
    head = Head.read(wishes.gguf)
    if wishes.readout == "prefix" and head is not None:
        _log.info("reading yes and no through prefix: %s has the head", wishes.gguf)
        return await PrefixReadout.connect(server, head, fingerprint)
    reason = "as set" if wishes.readout == "embedding" else "no GGUF with the readout head"
    _log.info("reading yes and no through embedding: %s", reason)
    matrix = head.matrix if head else YES_MINUS_NO.matrix(wishes.gguf)
    return await EmbeddingReadout.connect(server, fingerprint, matrix)
