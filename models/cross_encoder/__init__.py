"""The family of XLM-RoBERTa cross-encoders: pointwise, a query and a document read together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from models.cross_encoder.classifier import Classifier
from models.cross_encoder.model import CrossEncoder
from models.cross_encoder.pairs import Marks, Pairs
from models.cross_encoder.tokenizer import Tokenizer
from models.llama import bert
from models.llama.client import LlamaServer
from models.llama.fingerprint import Fingerprint
from models.llama.gguf import read_header
from models.llama.readout.pooled import PooledReadout
from models.llama.shape import Shape, pooling
from models.llama.shape import Wishes as ShapeWishes
from models.rerank import Card, ConfigurationError, RankingModel
from models.wishes import Wishes

_JINA_V2 = "jina-reranker-v2-base-multilingual"


def _card(name: str, licence: str, repository: str) -> Card:
    return Card(
        name=name,
        kind="pointwise",
        score="probability",
        score_range=(0.0, 1.0),
        licence=licence,
        repository=repository,
        instructed=False,
    )


CARDS: Sequence[Card] = (
    _card(_JINA_V2, "CC BY-NC 4.0", f"gpustack/{_JINA_V2}-GGUF"),
    _card("bge-reranker-v2-m3", "Apache 2.0", "gpustack/bge-reranker-v2-m3-GGUF"),
)

# The others read what fits of a document.
_READS_ALL = {_JINA_V2}

# SentencePiece's, as llama.cpp names it; the vocabulary of XLM-RoBERTa is one.
_TOKENIZER = "t5"
# What llama-server is recognised by, and tokens of each: no pair can be set to be shorter.
_KNOWN_PAIR = ("What is a panda?", "The giant panda is a bear species endemic to China.")
_KNOWN_TOKENS = 12


def contradicts(_: Card, gguf: Path) -> str | None:
    """See `Family.contradicts`."""
    header = read_header(gguf)
    metadata, tensors = header.metadata, header.tensors
    architecture = metadata.get("general.architecture")
    if architecture != "bert":
        return f"its architecture is {architecture!r}, not bert"
    if (tokenizer := metadata.get("tokenizer.ggml.model")) != _TOKENIZER:
        return f"its tokenizer is {tokenizer!r}, not {_TOKENIZER}, that of XLM-RoBERTa"
    for name in ("cls.weight", "cls.output.weight"):
        if name not in tensors:
            return f"it has no {name}, the classifier that scores"
    rows = tensors["cls.output.weight"].shape[1:]
    if rows not in ((), (1,)):
        return f"its classifier tells {rows[0]} labels apart, not one"
    return None


def prepared(_: Card, source: Path, __: str, ___: Sequence[str] | None) -> Path:
    """See `Family.prepared`: the file as published."""
    return source


def shape(_: Card, wishes: ShapeWishes, trained: int | None, on_gpu: bool) -> Shape:
    """See `Family.shape`."""
    return pooling(wishes, trained, on_gpu)


@asynccontextmanager
async def open(card: Card, wishes: Wishes) -> AsyncIterator[RankingModel]:
    """The model of `card` behind a llama-server that runs.

    Raises `ConfigurationError`, `ModelError`, or `GGUFError` if the classifier is damaged.
    """
    if wishes.gguf is None:
        raise ConfigurationError(
            f"RERANKER_GGUF is not set: {card.name} needs the GGUF that llama-server serves, since "
            "its classifier is applied by this service"
        )
    classifier = Classifier.read(wishes.gguf)
    url, key = wishes.server_url, wishes.llama_server_api_key
    async with LlamaServer(url, wishes.timeout_seconds, key) as server:
        marks = await Marks.of(server)
        tokenizer = Tokenizer(server, marks.end)
        known = marks.pair(*await tokenizer.ids(_KNOWN_PAIR, _KNOWN_TOKENS))
        fingerprint = await Fingerprint.computed(known, wishes.gguf, bert.first_state)
        readout = await PooledReadout.connect(server, fingerprint)
        most = min(wishes.max_length or readout.max_tokens, readout.max_tokens)
        pairs = Pairs(marks, most, wishes.max_query_tokens, card.name in _READS_ALL)
        yield CrossEncoder(card, server, readout, tokenizer, pairs, classifier)
