"""The hand-written sentences in ten languages that the model is judged on, never trained."""

from __future__ import annotations

import json
from pathlib import Path

from training.pairs import Example

_PATH = Path(__file__).parents[1] / "tests/ranking/languages.json"


def language_examples() -> dict[str, list[Example]]:
    """Of each language five queries, each with the same twenty sentences as candidates."""
    content = json.loads(_PATH.read_text())
    return {
        language: [
            Example(query, texts["documents"], relevant) for query, relevant in texts["queries"]
        ]
        for language, texts in content.items()
    }
