"""The rerank API of Jina, which is also version 1 of Cohere's: one answer that both accept."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import orjson
from fastapi import Request
from pydantic import Field, model_validator
from typing_extensions import NotRequired, TypedDict

from app.dialects import dialect
from app.dialects.dialect import Ranked, Refused
from app.dialects.fields import (
    EXAMPLE_QUERY,
    EXAMPLE_TEXTS,
    WHOLE_PROMPT,
    Query,
    RankFields,
    Side,
    String,
    Texts,
    Tokens,
    TopN,
    join_rank_fields,
    only,
    shown,
)
from app.errors import Problem
from app.scores import Scale, scale_of
from models.rerank import Ranking, Task

NAME = "Jina"
PATHS: Sequence[str] = ("/v1/rerank", "/rerank", "/v1/reranking", "/reranking")
DOCUMENTS: Sequence[str] = ("documents",)

_WHOLE_QUERY = only(
    otherwise="a query is cut to RERANKER_MAX_QUERY_TOKENS of the service; leave it out"
)
_NUMPY = orjson.OPT_SERIALIZE_NUMPY


class JinaBody(dialect.Body):
    """A query and the documents to rank."""

    model_config = shown(
        query=EXAMPLE_QUERY, documents=EXAMPLE_TEXTS, top_n=2, return_documents=True
    )

    model: str | None = Field(None, description="accepted for compatibility; one model is served")
    query: Query
    documents: Texts
    top_n: TopN | None = Field(None, description="results to return; absent, null or 0: all")
    return_documents: bool | None = False
    raw_scores: bool | None = Field(None, description="as in text-embeddings-inference")
    return_embeddings: bool | None = Field(False, description="return the documents' vectors too")
    instruction: String | None = Field(None, description="what makes a document relevant")
    max_doc_length: Tokens | None = Field(None, description="documents are cut to these tokens")
    max_tokens_per_doc: Tokens | None = Field(None, description="another name of max_doc_length")
    long_documents: Literal["cut", "split"] | None = Field(
        None,
        description="documents that are longer are cut, or split into passages of which the best "
        "one counts; absent: as RERANKER_LONG_DOCUMENTS says",
    )
    return_passages: bool | None = Field(
        False, description="split long documents, and return the passage of each that counts"
    )
    max_chunks_per_doc: Tokens | None = Field(
        None, description="passages of a document that are ranked, its first ones"
    )
    rank_fields: RankFields | None = Field(None, description="fields of documents that are objects")

    truncate_prompt_tokens: Annotated[int | None, WHOLE_PROMPT] = Field(None, description="of vLLM")
    truncation_side: Side | None = Field(None, description="of vLLM")
    max_tokens_per_query: Annotated[int | None, _WHOLE_QUERY] = Field(None, description="of vLLM")

    @model_validator(mode="before")
    @classmethod
    def _join_rank_fields(cls, body: Any) -> Any:
        return join_rank_fields(body, "documents")

    def task(self) -> Task:
        """See `dialect.Body.task`."""
        split = None if self.long_documents is None else self.long_documents == "split"
        return Task(
            self.query,
            self.documents,
            self.instruction,
            max_document_tokens=self.max_tokens_per_doc or self.max_doc_length,
            split=True if split is None and self.return_passages else split,
            max_passages=self.max_chunks_per_doc,
            keep_end=self.truncation_side == "left",
        )

    def most(self) -> int | None:
        """See `dialect.Body.most`."""
        return self.top_n

    def scale(self) -> Scale | None:
        """See `dialect.Body.scale`."""
        return self.scores or scale_of(self.raw_scores)


class Usage(TypedDict):
    """Tokens the model read."""

    prompt_tokens: int
    total_tokens: int


class Document(TypedDict):
    """A ranked document."""

    text: str


class Passage(TypedDict):
    """A part of a document, from the character `start` to before `end`, counted in code points."""

    text: str
    start: int
    end: int


class Result(TypedDict):
    """One document's place; `index` is its position in the request."""

    index: int
    relevance_score: float
    document: NotRequired[Document]
    embedding: NotRequired[list[float]]
    passage: NotRequired[Passage]


class Version(TypedDict):
    """Of Cohere's API."""

    version: str


class Units(TypedDict):
    """What Cohere would count: a unit for each 100 documents."""

    search_units: int


class Meta(TypedDict):
    """Cohere's part of the answer."""

    api_version: Version
    billed_units: Units
    warnings: NotRequired[list[str]]


class JinaAnswer(TypedDict):
    """Results, most relevant first, and the indices of documents cut, or not ranked in time."""

    id: str
    model: str
    usage: Usage
    results: list[Result]
    meta: Meta
    truncated: NotRequired[list[int]]
    unranked: NotRequired[list[int]]


class JinaError(TypedDict):
    """What is wrong and what to do: `detail` for clients of Jina, `message` for Cohere's."""

    detail: str
    message: str


Body: type[dialect.Body] = JinaBody
Answer = JinaAnswer
Error = JinaError


def speaks(request: Request, body: Mapping[str, Any]) -> bool:
    """See `Dialect.speaks`."""
    return "documents" in body


def error(problem: Problem) -> JinaError:
    """See `Dialect.error`."""
    return {"detail": problem.detail, "message": problem.detail}


def answer(ranked: Ranked[JinaBody]) -> JinaAnswer:
    """See `Dialect.answer`."""
    if ranked.body.return_embeddings and ranked.ranking.vectors is None:
        raise Refused("return_embeddings", f"{ranked.card.name} makes no vectors of documents")
    tokens = ranked.ranking.prompt_tokens
    answer: JinaAnswer = {
        "id": ranked.request_id,
        "model": ranked.card.name,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "results": [_result(ranked, index, score) for index, score in ranked.best_first()],
        "meta": meta("1", ranked.ranking),
    }
    if ranked.ranking.truncated:
        answer["truncated"] = list(ranked.ranking.truncated)
    if ranked.ranking.unranked:
        answer["unranked"] = list(ranked.ranking.unranked)
    return answer


def meta(version: str, ranking: Ranking) -> Meta:
    """Cohere's part of an answer."""
    units = max(1, math.ceil(len(ranking.scores) / 100))
    meta: Meta = {"api_version": {"version": version}, "billed_units": {"search_units": units}}
    warnings = list(_warnings(ranking))
    if warnings:
        meta["warnings"] = warnings
    return meta


def _warnings(ranking: Ranking) -> Iterator[str]:
    if ranking.query_truncated:
        yield "the query was cut: it is longer than RERANKER_MAX_QUERY_TOKENS"
    if ranking.truncated:
        documents = ", ".join(map(str, ranking.truncated))
        yield (
            f'documents that were cut: {documents}; with "long_documents": "split" the best '
            "passage of each counts"
        )
    if ranking.unranked:
        first, last = ranking.unranked[0], ranking.unranked[-1]
        yield f"documents that were not ranked, for lack of time: {first} to {last}"


def _result(ranked: Ranked[JinaBody], index: int, score: float) -> Result:
    result: Result = {"index": index, "relevance_score": score}
    if ranked.body.return_documents:
        result["document"] = {"text": ranked.body.documents[index]}
    if ranked.body.return_embeddings and (vectors := ranked.ranking.vectors) is not None:
        # One by one: orjson holds the interpreter's lock, and so the event loop, for a whole call.
        vector = orjson.dumps(vectors[index], option=_NUMPY)
        result["embedding"] = orjson.Fragment(vector)  # type: ignore[typeddict-item]
    if ranked.body.return_passages and ranked.ranking.passages:
        result["passage"] = _passage(ranked.body.documents[index], ranked.ranking.passages[index])
    return result


def _passage(document: str, characters: range) -> Passage:
    start, end = characters.start, characters.stop
    return {"text": document[start:end], "start": start, "end": end}
