"""What the documentation names is there, and the README stays short."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import typer.main
from markdown_it import MarkdownIt
from markdown_it.token import Token

from app.__main__ import cli
from toolkit.running import ROOT

PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("weights/**/README.md")],
    key=lambda page: page.relative_to(ROOT),
)
# The changelog tells of what was there once.
OF_TODAY = [page for page in PAGES if page.name != "CHANGELOG.md"]
_FOLDERS = (
    "app bench clients deploy docs examples models sidecar systemd tests toolkit training weights"
).split()
_LONG = 100
# Commits written from then on have short subjects.
RULED = datetime(2026, 11, 28, 10, tzinfo=timezone.utc).timestamp()
_IN_A_FOLDER = re.compile(rf"(?<![\w/.~-])(?:{'|'.join(_FOLDERS)}|\.ci)/[\w./-]*\w")
_FILE = re.compile(r"(?<![\w/.~<>-])(?:\./)?([\w.-][\w./-]*\.(?:lock|py|service|sh|toml|yml)\b)")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def tokens(page: Path) -> Iterator[Token]:
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text()):
        yield token
        yield from token.children or []


def code(page: Path) -> list[str]:
    """What stands in code spans and blocks."""
    return [t.content for t in tokens(page) if t.type in ("code_inline", "code_block", "fence")]


def targets(page: Path) -> list[str]:
    """Where links and pictures lead."""
    found = (token.attrGet("href") or token.attrGet("src") for token in tokens(page))
    return [str(target) for target in found if target]


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub writes them into links."""
    parsed = list(tokens(page))
    headings = [
        parsed[place + 1].content.lower()
        for place, token in enumerate(parsed)
        if token.type == "heading_open"
    ]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}


def is_ignored(path: str) -> bool:
    """Whether git passes the path over, as it does with what commands make."""
    return not subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT).returncode


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", OF_TODAY, ids=name_of)
def test_a_long_page_begins_with_its_contents(page: Path) -> None:
    text = page.read_text()
    if len(text.splitlines()) > _LONG and page.parent.name == "docs":
        beginning, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
        named = re.findall(r"\[([^]]+)\]\(#", beginning)
        assert named == [section.splitlines()[0] for section in sections]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in targets(page):
        scheme, host, path, _, anchor = urlsplit(target)
        if scheme or host:
            continue
        linked = page.parent / unquote(path) if path else page
        if not linked.exists() or (anchor and anchor not in anchors(linked)):
            broken.append(target)

    assert not broken


def test_pages_are_reached_from_the_readme() -> None:
    reached, found = {ROOT / "README.md"}, [ROOT / "README.md"]
    while found:
        page = found.pop()
        for target in targets(page):
            linked = (page.parent / urlsplit(target).path).resolve()
            if linked in PAGES and linked not in reached:
                reached.add(linked)
                found.append(linked)

    assert {page for page in PAGES if page.parent == ROOT / "docs"} <= reached


@pytest.mark.parametrize("page", OF_TODAY, ids=name_of)
def test_targets_of_make_exist(page: Path) -> None:
    known = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    named = re.findall(r"\bmake ([a-z-]+)", "\n".join(code(page)))

    assert set(named) <= set(known)


@pytest.mark.parametrize("page", OF_TODAY, ids=name_of)
def test_modules_that_are_run_exist(page: Path) -> None:
    named = re.findall(r"python3? -m ([\w.]+)", "\n".join(code(page)))

    assert [module for module in named if not find_spec(module)] == []


@pytest.mark.parametrize("page", OF_TODAY, ids=name_of)
def test_commands_and_their_options_exist(page: Path) -> None:
    commands = typer.main.get_command(cli).commands  # type: ignore[attr-defined]
    for name, rest in re.findall(r"python -m app ([a-z]+)([^\n|]*)", "\n".join(code(page))):
        assert name in commands
        options = {option for parameter in commands[name].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= options, name


@pytest.mark.parametrize("page", OF_TODAY, ids=name_of)
def test_paths_exist(page: Path) -> None:
    files = [file for folder in _FOLDERS for file in (ROOT / folder).rglob("*")]
    files += [*ROOT.glob("*"), *ROOT.glob(".ci/*")]
    paths = {f"/{file.relative_to(ROOT)}" for file in files}
    text = "\n".join(code(page))
    named = set(_IN_A_FOLDER.findall(text) + re.findall(r"requirements[\w-]*\.txt", text))
    # A file may be named without its folder.
    lost = {file for file in _FILE.findall(text) if not any(p.endswith(f"/{file}") for p in paths)}

    lost |= {path for path in named if not (ROOT / path).exists()}
    assert {path for path in lost if not is_ignored(path)} == set()


def test_subjects_of_commits_are_short() -> None:
    def git(*arguments: str) -> str:
        return subprocess.check_output(["git", *arguments], cwd=ROOT, text=True).strip()

    if not (ROOT / ".git").exists() or git("rev-parse", "--is-shallow-repository") == "true":
        pytest.skip("the history is not here")
    commits = [
        line.partition(" ") for line in git("log", "--no-merges", "--format=%at %s").split("\n")
    ]

    long = [subject for at, _, subject in commits if int(at) > RULED and len(subject) > 72]
    assert long == []
