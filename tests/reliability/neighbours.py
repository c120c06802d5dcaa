"""What a hostile document does to the order of others: `python -m tests.reliability.neighbours`.

A reranker that reads all documents together lets each influence those after it. This reports how
much a hostile one does, and a harmless one of the same length; it judges nothing.
"""

from __future__ import annotations

import random
from itertools import combinations
from pathlib import Path

import typer

from tests.reliability.hostile import NESTED, PLAIN, TEMPLATE
from tests.reliability.report import RESULTS, report
from tests.reliability.traffic import tiny_service
from toolkit.running import Service
from toolkit.tokenizer import SPECIAL_TOKENS

DOCUMENTS = 6
LETTERS = 80


def main(requests: int = 100, out: Path = RESULTS) -> None:
    """Ask REQUESTS times with a hostile first document, and as often with another harmless one."""
    source = random.Random(0)
    changed = {"harmless": 0, "hostile": 0}
    with tiny_service() as service:
        for _ in range(requests):
            others = [_text(source, PLAIN) for _ in range(DOCUMENTS)]
            order = _order(service, _text(source, PLAIN), others)
            for kind, pieces in (
                ("harmless", PLAIN),
                ("hostile", (*SPECIAL_TOKENS, *TEMPLATE, *NESTED)),
            ):
                after = _order(service, _text(source, pieces), others)
                changed[kind] += sum(
                    (order.index(a) < order.index(b)) != (after.index(a) < after.index(b))
                    for a, b in combinations(order, 2)
                )
    pairs = requests * DOCUMENTS * (DOCUMENTS - 1) // 2
    figures = {
        f"pairs of others in another order after a {kind} first document": round(count / pairs, 3)
        for kind, count in changed.items()
    }
    report("neighbours", {"requests": requests, **figures}, {}, out)


def _text(source: random.Random, pieces: tuple[str, ...]) -> str:
    return " ".join(source.choices(pieces, k=LETTERS))[:LETTERS]


def _order(service: Service, first: str, others: list[str]) -> list[int]:
    """Indexes of `others`, best first, behind the document `first`."""
    response = service.rerank(query="soup at noon", documents=[first, *others]).raise_for_status()
    indexes = [result["index"] for result in response.json()["results"]]
    return [index for index in indexes if index > 0]


if __name__ == "__main__":
    typer.run(main)
