"""The family of jina-reranker-v3 and v3.5: listwise, read out of a Qwen3 at marks after texts."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from models import probe
from models.jina.model import JinaReranker
from models.jina.projector import Projector
from models.jina.prompt import SpecialTokens, opening
from models.llama import qwen3
from models.llama.client import LlamaServer
from models.llama.fingerprint import Fingerprint
from models.llama.gguf import read_header
from models.llama.head import HEAD_KEY, HIDDEN_STATES, Head
from models.llama.readout.base import Readout
from models.llama.readout.embedding import EmbeddingReadout
from models.llama.readout.prefix import PrefixReadout
from models.llama.shape import Shape, reading
from models.llama.shape import Wishes as ShapeWishes
from models.llama.windows import PLAIN, WINDOWED, Windows
from models.prepare import PrepareError
from models.prepare import prepared as prepared_copy
from models.rerank import Card, ConfigurationError, Limits, RankingModel
from models.wishes import Wishes

# The logger whose lines uvicorn prints.
_log = logging.getLogger("uvicorn.error")


def _card(name: str, repository: str, companions: Sequence[str] = ()) -> Card:
    return Card(
        name=name,
        kind="listwise",
        score="cosine",
        score_range=(-1.0, 1.0),
        licence="CC BY-NC 4.0",
        repository=repository,
        projector=True,
        companions=companions,
    )


_V3 = _card("jina-reranker-v3", "jinaai/jina-reranker-v3-GGUF")
# Its layers have windows, and its prompt marks the query twice.
_V3_5 = _card(
    "jina-reranker-v3.5",
    "jinaai/jina-reranker-v3.5-GGUF",
    ("jinaai/jina-reranker-v3.5", "jinaai/jina-reranker-v3.5-mlx"),
)

CARDS: Sequence[Card] = (_V3, _V3_5)


def _is_v3_5(card: Card) -> bool:
    return card.name == _V3_5.name


def contradicts(card: Card, gguf: Path) -> str | None:
    """See `Family.contradicts`."""
    header = read_header(gguf)
    reason = qwen3.contradicts(header, windows=_is_v3_5(card)) or _windows_contradict(card, gguf)
    if reason:
        return reason
    rows = sorted(name for name in header.tensors if name.startswith("cls."))
    if rows:
        return f"it holds {rows[0]}, the head of a classifier"
    shown = header.metadata.get(HEAD_KEY, HIDDEN_STATES.meaning)
    if shown != HIDDEN_STATES.meaning:
        return f"its readout head shows {shown!r:.60}, not {HIDDEN_STATES.meaning}"
    return None


def _windows_contradict(card: Card, gguf: Path) -> str | None:
    windows = Windows.of(gguf)
    if windows and not _is_v3_5(card):
        return f"it has {windows}, as {_V3_5.name}"
    if _is_v3_5(card) and not windows:
        return (
            f"neither it nor a config.json beside it tells of windows. If it is a {_V3.name}, set "
            f"RERANKER_MODEL={_V3.name}; else put the config.json of {card.name} beside it"
        )
    return None


def prepared(card: Card, source: Path, readout: str, llama_server: Sequence[str] | None) -> Path:
    """See `Family.prepared`; windows need the copy in any case."""
    if not _is_v3_5(card):
        return prepared_copy(source) if readout == "prefix" else source
    windowed = probe.architecture(llama_server, source.parent) if llama_server else WINDOWED
    copy = prepared_copy(source, windowed=windowed)
    if windowed == WINDOWED and read_header(copy).metadata["general.architecture"] != WINDOWED:
        raise PrepareError(
            f"{copy.name} is a copy for another llama-server, which has windows in {PLAIN}; name "
            "the GGUF that it was made of in RERANKER_GGUF"
        )
    return copy


def shape(card: Card, wishes: ShapeWishes, trained: int | None, on_gpu: bool) -> Shape:
    """See `Family.shape`."""
    return reading(wishes, trained, on_gpu, windows=_is_v3_5(card))


@asynccontextmanager
async def open(card: Card, wishes: Wishes) -> AsyncIterator[RankingModel]:
    """The model of `card` behind a llama-server that runs.

    Raises `ConfigurationError`, `ModelError`, or `ProjectorError` if the projector is none.
    """
    if _is_v3_5(card):
        _check_copy(wishes.gguf)
    projector = Projector.load(wishes.projector_path)
    limits = Limits(wishes.max_query_tokens, wishes.max_document_tokens)
    url, key = wishes.server_url, wishes.llama_server_api_key
    async with LlamaServer(url, wishes.timeout_seconds, key) as server:
        tokens = await SpecialTokens.of(server)
        readout = await _readout(wishes, server, tokens)
        yield await JinaReranker.connect(
            card, server, readout, projector, tokens, limits, marks_twice=_is_v3_5(card)
        )


def _check_copy(gguf: Path | None) -> None:
    """Raise `ConfigurationError` for what llama-server would compute without windows."""
    if gguf is None or HEAD_KEY not in read_header(gguf).metadata:
        raise ConfigurationError(
            f"llama-server must serve the copy of the GGUF in which layers have their windows, and "
            f"RERANKER_GGUF name it: python -m models.prepare --model {_V3_5.name} IN.gguf makes it"
        )


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
