"""Long documents cut and split: is the answer found wherever it stands, and what does it cost?

`python -m bench.long_documents` asks the demo model for the one of four long documents that holds
the text a query is about, and asks small requests beside a document of a megabyte.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import random
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import track
from rich.table import Table

from toolkit.running import ROOT, Service, wait_until

_DEMO = ROOT / "weights/demo"
_PLACES = (0.1, 0.5, 0.95)
_DOCUMENTS, _TEXTS = 4, 10
_LIMIT = 128


def main() -> None:
    """Measure, print and write both."""
    parser = argparse.ArgumentParser(prog="python -m bench.long_documents", description=__doc__)
    parser.add_argument("--queries", type=int, default=25)
    parser.add_argument("--small", type=int, default=20, help="small requests, alone and beside")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        Service(_copy(Path(folder)), RERANKER_TIMEOUT_SECONDS="3600") as service,
    ):
        found = list(_found(service, arguments.queries))
        beside = _beside(service, arguments.small)
    _show(found, beside)
    results = {"machine": platform.processor() or platform.machine(), "queries": arguments.queries}
    results |= {"first places": found, "beside a megabyte": beside}
    arguments.out.write_text(json.dumps(results, indent=1) + "\n")


def _copy(folder: Path) -> Path:
    """The demo's weights where copies of them may be written."""
    for name in ("model.gguf", "projector.safetensors"):
        shutil.copy(_DEMO / name, folder)
    return folder


def _found(service: Service, queries: int) -> Iterator[dict[str, Any]]:
    """For each place of the answer: how often its document is first, and seconds of a request."""
    lists = json.loads((_DEMO / "held_out.json").read_text())
    texts = [text for item in lists for text in item["documents"]]
    source = random.Random(1)
    for place in track(_PLACES, description="cut and split"):
        row: dict[str, Any] = {"place": place}
        asked = []
        for item in lists[:queries]:
            relevant = source.randrange(_DOCUMENTS)
            documents = [source.sample(texts, _TEXTS) for _ in range(_DOCUMENTS)]
            documents[relevant][int(place * _TEXTS)] = item["documents"][item["relevant"]]
            asked.append((item["query"], ["\n".join(each) for each in documents], relevant))
        for way in ("cut", "split"):
            start = time.perf_counter()
            firsts = [
                _results(service, query, documents, way)[0]["index"] == relevant
                for query, documents, relevant in asked
            ]
            row[way] = {
                "first": sum(firsts) / len(firsts),
                "seconds": (time.perf_counter() - start) / len(asked),
            }
        yield row


def _results(service: Service, query: str, documents: list[str], way: str) -> Any:
    answer = service.rerank(
        query=query, documents=documents, long_documents=way, max_doc_length=_LIMIT
    )
    return answer.raise_for_status().json()["results"]


def _beside(service: Service, count: int) -> dict[str, float]:
    """Median seconds of small requests, alone and beside a document of a megabyte that is split."""
    alone = _small(service, count)
    large = {
        "query": "soup",
        "documents": ["soup at noon. " * 75_000],
        "long_documents": "split",
    }
    with httpx.Client(base_url=service.url, timeout=None) as client:
        asking = threading.Thread(target=_until_closed, args=(client, large), daemon=True)
        asking.start()
        wait_until(lambda: service.metric("requests_in_flight") >= 2)
        beside = _small(service, count)
        still = service.metric("requests_in_flight") >= 2
    return {"alone": alone, "beside": beside, "ratio": beside / alone, "still going": still}


def _until_closed(client: httpx.Client, body: dict[str, Any]) -> None:
    with contextlib.suppress(httpx.HTTPError):
        client.post("/rerank", json=body)


def _small(service: Service, count: int) -> float:
    seconds = []
    for i in range(count):
        start = time.perf_counter()
        service.rerank(query=f"when is meeting {i}?", documents=["at two", f"{i} soups"])
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _show(found: list[dict[str, Any]], beside: dict[str, float]) -> None:
    table = Table("answer at", "first, cut", "first, split", "s, cut", "s, split")
    for row in found:
        cut, split = row["cut"], row["split"]
        table.add_row(
            f"{row['place']:.0%}",
            f"{cut['first']:.0%}",
            f"{split['first']:.0%}",
            f"{cut['seconds']:.2f}",
            f"{split['seconds']:.2f}",
        )
    Console().print(table)
    print(f"a small request beside a megabyte takes {beside['ratio']:.1f} times as long as alone")


if __name__ == "__main__":
    main()
