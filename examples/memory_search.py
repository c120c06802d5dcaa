"""Search an assistant's memories: full text finds, the service ranks, recency counts.

    python -m examples.memory_search "when is the quality meeting?"

Without the service at `RERANKER_URL` it answers too, in the order of the full text and of recency.
"""

from __future__ import annotations

import re
import sqlite3
import sys
from datetime import datetime, timedelta, timezone

from app.client import Blend, Candidate, Reranker

# How many seconds a search may take, and how many memories of those found are ranked.
SECONDS, FOUND = 5.0, 50

MEMORIES = {
    "The meeting about quality is tomorrow at two.": 1,
    "The quality of the meeting room's chairs is poor, and so is that of the quality tea.": 40,
    "When the meeting ended, Minsu asked when the next meeting is.": 6,
    "내일 오후 2시에 품질 미팅이 있습니다": 2,
    "오늘 점심은 김치찌개를 먹었다": 2,
    "Lunch is at noon in the garden.": 200,
    "Grace is allergic to peanuts.": 300,
}


class Memories:
    """Texts and when they were told, in SQLite."""

    def __init__(self, path: str = ":memory:") -> None:
        self._database = sqlite3.connect(path)
        self._database.execute(
            "CREATE VIRTUAL TABLE IF NOT EXISTS memory USING fts5(text, told UNINDEXED)"
        )

    def add(self, text: str, told: datetime) -> None:
        """Remember a text."""
        with self._database:
            self._database.execute("INSERT INTO memory VALUES (?, ?)", (text, told.isoformat()))

    def find(self, query: str) -> list[Candidate]:
        """What shares the beginning of a word with the query, best first by BM25."""
        words = [f'"{word}"*' for word in re.findall(r"\w+", query)]
        rows = self._database.execute(
            "SELECT text, told FROM memory WHERE memory MATCH ? ORDER BY rank LIMIT ?",
            (" OR ".join(words) or '""', FOUND),
        )
        return [Candidate(text, created_at=datetime.fromisoformat(told)) for text, told in rows]

    def search(self, query: str, reranker: Reranker, top_n: int = 3) -> list[str]:
        """The best memories, with the service or without; never raises for want of it."""
        ranked = reranker.rerank_or_fallback(query, self.find(query), top_n)
        return [memory.text for memory in ranked]


def main() -> None:
    """Search `MEMORIES` for the arguments."""
    memories = Memories()
    for text, days in MEMORIES.items():
        memories.add(text, datetime.now(timezone.utc) - timedelta(days))
    with Reranker(timeout=SECONDS, blend=Blend()) as reranker:
        for text in memories.search(" ".join(sys.argv[1:]) or "quality meeting", reranker):
            print(text)


if __name__ == "__main__":
    main()
