"""Summaries and descriptions of Debian's packages, in the languages they are translated to."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from training.pairs import Pair

LANGUAGES = ("en", "de", "es", "fr", "ja", "ko", "ru", "zh_CN")
_APT_HELPER = "/usr/lib/apt/apt-helper"
_MOST_CHARACTERS = 160


def package_pairs(cache: Path) -> list[Pair]:
    """A pair for each source package and language, from apt's lists, which `cache` keeps.

    Raises `CalledProcessError` where apt cannot fetch them, `FileNotFoundError` without apt.
    """
    lists = cache / "apt"
    if not any(lists.glob("*Translation-en*")):
        (lists / "partial").mkdir(parents=True, exist_ok=True)
        options = ["-o", f"Dir::State::lists={lists.resolve()}"]
        options += ["-o", f"Acquire::Languages={','.join(LANGUAGES)}"]
        subprocess.run(["apt-get", "-qq", *options, "update"], check=True)
    sources, sections = {}, {}
    for stanza in _stanzas(lists, "*main_binary-*_Packages*"):
        name = stanza["Package"]
        sources[name] = stanza.get("Source", name).split(" ")[0]
        sections[name] = stanza.get("Section", "")
    pairs: dict[tuple[str, str], Pair] = {}
    for language in LANGUAGES:
        pattern = f"*main_i18n_Translation-{language.replace('_', '%5f')}*"
        for stanza in _stanzas(lists, pattern):
            name = stanza["Package"]
            source = sources.get(name, name)
            summary, _, text = stanza.get(f"Description-{language}", "").partition("\n")
            description = _clean(text)
            if summary and len(description) > 40:
                topic = f"{language} {sections.get(name, '')}"
                pair = Pair(summary.strip(), description, topic, source)
                pairs.setdefault((language, source), pair)
    return list(pairs.values())


def _stanzas(lists: Path, pattern: str) -> Iterator[dict[str, str]]:
    for path in sorted(lists.glob(pattern)):
        text = subprocess.check_output([_APT_HELPER, "cat-file", str(path)], text=True)
        for stanza in text.split("\n\n"):
            fields = re.findall(r"^([\w-]+): (.*(?:\n .*)*)", stanza, re.MULTILINE)
            if fields:
                yield dict(fields)


def _clean(text: str) -> str:
    """The first paragraphs on one line, cut between words; a lone dot stands between two."""
    paragraphs = re.sub(r"\n? \.(?=\n|$)", "\n", text)
    return " ".join(paragraphs.split())[:_MOST_CHARACTERS].rsplit(" ", 1)[0]
