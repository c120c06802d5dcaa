"""What every client here is asked, and how it tells the order: texts, best first, one a line."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

URL = os.environ["RERANKER_URL"]
MODEL = os.environ["RERANKER_MODEL"]

_sample = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
QUERY: str = _sample["query"]
DOCUMENTS: list[str] = _sample["documents"]


def tell(order: Iterable[int]) -> None:
    """Print the documents at these indices."""
    for index in order:
        print(DOCUMENTS[index])
