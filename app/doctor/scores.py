"""The scores of a running service, against those that the model card publishes."""

from __future__ import annotations

from collections.abc import Sequence

from app.client import Reranker, RerankerError, Result
from app.doctor.finding import Finding, ok, problem, skipped

MODEL = "jina-reranker-v3"
# The example of https://huggingface.co/jinaai/jina-reranker-v3, whose output is bfloat16's.
QUERY = "What are the health benefits of green tea?"
DOCUMENTS = (
    "Green tea contains antioxidants called catechins that may help reduce inflammation and "
    "protect cells from damage.",
    "El precio del café ha aumentado un 20% este año debido a problemas en la cadena de "
    "suministro.",
    "Studies show that drinking green tea regularly can improve brain function and boost "
    "metabolism.",
    "Basketball is one of the most popular sports in the United States.",
    "绿茶富含儿茶素等抗氧化剂，可以降低心脏病风险，还有助于控制体重。",
    "Le thé vert est riche en antioxydants et peut améliorer la fonction cérébrale.",
)
# By index; the card does not show those of the two documents about something else.
PUBLISHED = {0: 0.2976, 4: 0.2258, 2: 0.1911, 5: 0.1640}
# Room for quantized weights.
_TOLERANCE = 0.05
_TIMEOUT_SECONDS = 120.0


def check_scores(url: str, keys: Sequence[str], model: str | None) -> Finding:
    """Whether the running service, which serves `model`, scores the example as published."""
    subject = "scores"
    if model is None:
        return skipped(subject, "start the service, then run this again to compare them")
    if model != MODEL:
        return skipped(subject, f"there are published ones for {MODEL}, not for {model}")
    key = next(iter(keys), None)
    try:
        with Reranker(url, api_key=key, timeout=_TIMEOUT_SECONDS) as client:
            return compare(client.rerank(QUERY, DOCUMENTS, scores="cosine"))
    except RerankerError as error:
        return problem(subject, str(error), "follow that, or see the log of the service")


def compare(results: Sequence[Result]) -> Finding:
    """Results of the example against the published cosines."""
    subject = "scores"
    scores = {result.index: result.relevance_score for result in results}
    difference = max(abs(scores[index] - score) for index, score in PUBLISHED.items())
    best = {result.index for result in results[: len(PUBLISHED)]}
    told = f"the model card's example differs from its published scores by {difference:.3f} at most"
    if best == PUBLISHED.keys() and difference <= _TOLERANCE:
        return ok(subject, told)
    return problem(
        subject,
        told,
        f"check that RERANKER_GGUF and RERANKER_PROJECTOR are those of {MODEL}, and compare with "
        "RERANKER_QUANT=BF16",
    )
