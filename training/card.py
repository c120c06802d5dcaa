"""The model card, written from what was measured."""

# ruff: noqa: E501

from __future__ import annotations

Results = dict[str, dict[str, dict[str, float]]]

_CARD = """# demo

A reranker of {parameters:.1f} million parameters with the architecture, prompt and files of jina-reranker-v3: a Qwen3 transformer in
`model.gguf` (F16: 4 layers of 256, byte-level BPE of 8,192 tokens) and `projector.safetensors`. It is for trying the service and for its
tests. **It is not for production**: it compares words and parts of words more than meaning, in texts of a sentence or two.

## How it was made

`make train` makes it of nothing but what a Debian machine with Python has: summaries and descriptions of Debian's packages in eight
languages, names and docstrings of Python's modules, and made-up words in many scripts, where the relevant text shares most of the query's.
{pairs:,} pairs were trained on; {held_out:,} of other packages and modules were held out. It took {minutes:.0f} minutes with {threads}
thread(s) of PyTorch.

First a bag of tokens learns, by in-batch negatives, a direction and a weight for each token. That is written into the transformer as initial weights
(`training/initial.py`), with which a passage's vector is the bag of its own tokens. Then the weights left free are trained on whole prompts
of 2 to 30 documents in random order, with temperature {temperature} and half of the negatives from the same section or package.

## What it scores

nDCG@10 / mean reciprocal rank / how often the relevant document is first. Each query has 20 candidates, one of them relevant. Candidates of
packages and docstrings are half of the same section or package, all held out; the sentences (`tests/ranking/languages.json`) were written
by hand and never trained on. BM25 ranks the same candidates by their lower-cased words.

{table}

`results.json` holds these figures.
"""


def card(
    results: Results,
    parameters: int,
    pairs: int,
    held_out: int,
    minutes: float,
    threads: int,
    temperature: float,
) -> str:
    """The card's text, in Markdown."""
    rankers = list(next(iter(results.values())))
    lines = ["| | " + " | ".join(rankers) + " |", "| --- |" + " --- |" * len(rankers)]
    for name, qualities in results.items():
        cells = (f"{q['ndcg']:.3f} / {q['mrr']:.3f} / {q['top']:.0%}" for q in qualities.values())
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return _CARD.format(
        table="\n".join(lines),
        parameters=parameters / 1e6,
        pairs=pairs,
        held_out=held_out,
        minutes=minutes,
        threads=threads,
        temperature=temperature,
    )
