"""The demo says what to type, and it works; what the README says to type works as well."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from toolkit.running import ROOT, Service, wait_until

# Blocks of the README by their first words, and what runs them instead of this module.
ELSEWHERE = {
    "make demo": "these tests, and whoever runs them",
    "cp .env.example .env": "tests/container",
    "docker compose": "tests/container",
    "python3 -m venv": "the Makefile, tests/test_download.py and tests/test_start.py",
}


def blocks() -> list[str]:
    """What the README shows to be typed, or to be answered."""
    parsed = MarkdownIt("commonmark").parse((ROOT / "README.md").read_text())
    return [token.content.strip() for token in parsed if token.type in ("code_block", "fence")]


def block(beginning: str) -> str:
    """The only block that begins so."""
    (found,) = [each for each in blocks() if each.startswith(beginning)]
    return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    # Without the variables of another model: the demo's own files.
    service = Service(tmp_path_factory.mktemp("demo"), command="toolkit/demo.sh")
    for name in ("RERANKER_GGUF", "RERANKER_PROJECTOR"):
        del service.environment[name]
    with service:
        wait_until(lambda: "Ctrl-C stops it" in service.output)
        yield service
        assert service.stop() == 0


def typed(demo: Service, command: str) -> str:
    """What `command` prints in a shell that knows the demo as the README does."""
    here = command.replace("http://127.0.0.1:7998", demo.url)
    here = here.replace(".venv/bin/python", sys.executable)
    environment = demo.environment | {"RERANKER_URL": demo.url, "RERANKER_MODEL": "demo"}
    shell = ["bash", "-euo", "pipefail", "-c", here]
    return subprocess.check_output(shell, cwd=ROOT, env=environment, text=True)


def test_demo_prints_a_request_that_ranks(demo: Service) -> None:
    command = re.search(r"^  (curl .*?\]\}')$", demo.output, re.DOTALL | re.MULTILINE)
    assert command

    answer = json.loads(typed(demo, command[1] + " -s"))

    assert answer["model"] == "demo"
    assert [result["index"] for result in answer["results"]] == [1, 0]


def test_every_block_of_the_readme_is_tried_somewhere() -> None:
    here = ("curl ", '{"id"', "RERANKER_URL=", "from app.client", ".venv/bin/python -m app")
    unknown = [each for each in blocks() if not each.startswith((*here, *ELSEWHERE))]

    assert not unknown


def test_the_readmes_request_has_the_readmes_answer(demo: Service) -> None:
    told = json.loads(block('{"id"'))

    answer = json.loads(typed(demo, block("curl ") + " -s"))

    def without_numbers(answer: dict[str, Any]) -> dict[str, Any]:
        places = [result["index"] for result in answer["results"]]
        return answer | {"id": "", "results": places}

    assert without_numbers(answer) == without_numbers(told)
    found, shown = ([r["relevance_score"] for r in each["results"]] for each in (answer, told))
    assert found == pytest.approx(shown, abs=1e-4)


def test_the_readmes_python(demo: Service, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(block("from app.client") + "\nprint(best[0].text)\n")

    assert typed(demo, f"PYTHONPATH=. .venv/bin/python {program}") == "soup at noon\n"


def test_the_readmes_shell(demo: Service) -> None:
    check, rerank = block(".venv/bin/python -m app").splitlines()

    assert re.match(
        rf"{demo.url}/? answers: demo ranked 2 documents in [\d.]+ s, scores ", typed(demo, check)
    )
    first, _ = typed(demo, rerank).splitlines()
    assert first.split("\t")[-1] == "soup at noon"
