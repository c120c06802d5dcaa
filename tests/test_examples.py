"""The example programs, with the service and without."""

from __future__ import annotations

import subprocess
import sys

from toolkit.running import ROOT, Service, environment, free_port

ABOUT_QUALITY = "The meeting about quality is tomorrow at two."
ENDED = "When the meeting ended, Minsu asked when the next meeting is."


def search(url: str, query: str) -> tuple[list[str], str]:
    """What the search of memories prints, and what it warns of."""
    done = subprocess.run(
        [sys.executable, "-m", "examples.memory_search", *query.split()],
        cwd=ROOT,
        env=environment(RERANKER_URL=url),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines(), done.stderr


def test_memories_are_ranked_and_found_without_the_service(demo: Service) -> None:
    query = "when is the quality meeting?"

    with_service, nothing = search(demo.url, query)
    without, warning = search(f"http://127.0.0.1:{free_port()}", query)

    assert nothing == ""
    # The full text counts "when", of which the other has two.
    assert (with_service[0], without[0]) == (ABOUT_QUALITY, ENDED)
    assert set(with_service) == set(without)
    assert "reranker unreachable, skipping reranking" in warning


def test_a_query_without_a_word_finds_nothing() -> None:
    assert search(f"http://127.0.0.1:{free_port()}", "?!")[0] == []
