"""The model card, written from what was measured."""

# ruff: noqa: E501

from __future__ import annotations

Results = dict[str, dict[str, dict[str, float]]]

_CARD = """# demo

A reranker of {millions:.1f} million parameters with the architecture, prompt and files of jina-reranker-v3: Qwen3 with
{layers} layers of {hidden}, a byte-level BPE of {vocabulary:,} tokens, and a projector. It is for trying the service and for tests.
**It is not for production**: it knows a few thousand words, and matches more than it understands.

Made by `make train` from nothing but what a Debian machine with Python has: summaries and descriptions of Debian's packages in eight
languages, names and docstrings of Python's modules, and made-up texts in many scripts where the relevant one shares most with the
query. {pairs:,} pairs; packages and modules with a share of {held_out:,} more were held out and judged below.
Training took {minutes:.0f} minutes on two cores.

## What it scores

nDCG@10 / mean reciprocal rank / how often the relevant one is first. Each query has {candidates} candidates, one of them relevant: for
packages and docstrings half of the others are of the same section or package, for sentences all are of the same language
(`tests/ranking/languages.json`, written by hand). BM25 ranks the same candidates by lower-cased words.

{table}

These figures are in `results.json`, written by the same command.
"""


def card(results: Results, **facts: float) -> str:
    """The text of the card; `facts` are named as in it."""
    rankers = list(next(iter(results.values())))
    lines = ["| | " + " | ".join(rankers) + " |", "| --- |" + " --- |" * len(rankers)]
    for name, qualities in results.items():
        cells = (f"{q['ndcg']:.3f} / {q['mrr']:.3f} / {q['top']:.0%}" for q in qualities.values())
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return _CARD.format(table="\n".join(lines), **facts)
