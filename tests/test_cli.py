"""`python -m app`, as a user of the shell runs it."""

from __future__ import annotations

import csv
import gzip
import json
import pty
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from app import VERSION
from app.commands.documents import Document, DocumentsError, read
from tests.fake_server import FakeHandler
from toolkit.local_server import LocalServer
from toolkit.running import APP, ROOT, Service, environment, free_port, run_app, run_on_terminal

QUERY = "내일 회의 일정"
INSTALLED = "jina-reranker"
DOCUMENTS = ["The kitchen serves soup at noon.", "내일 오후 2시에 품질 미팅이 있습니다", "[b]a[/b]"]


def posted(service: Service, documents: list[str], **body: Any) -> list[dict[str, Any]]:
    """The results of a plain POST."""
    answer = service.rerank(query=QUERY, documents=documents, **body).json()
    results: list[dict[str, Any]] = answer["results"]
    return results


def told(
    service: Service, documents: list[str], sources: list[str] | None = None, **body: Any
) -> list[dict[str, Any]]:
    """The same, each with its text and where that came from; else they are arguments."""
    sources = sources or [f"argument:{n}" for n in range(1, len(documents) + 1)]
    return [
        result | {"text": documents[result["index"]], "source": sources[result["index"]]}
        for result in posted(service, documents, **body)
    ]


class TestRerank:
    @pytest.mark.parametrize(
        ("options", "body"),
        [
            ([], {}),
            (["--top-n", "1"], {"top_n": 1}),
            (["-i", "prefer soup"], {"instruction": "prefer soup"}),
        ],
    )
    def test_json_is_what_a_post_answers_with_texts(
        self, service: Service, options: list[str], body: dict[str, Any]
    ) -> None:
        done = run_app("rerank", QUERY, *DOCUMENTS, "--json", *options, "--url", service.url)

        assert done.returncode == 0
        assert json.loads(done.stdout) == told(service, DOCUMENTS, **body)

    def test_lines_in_a_pipe(self, service: Service) -> None:
        documents = [*DOCUMENTS, "two\n\tlines \x1b[31m", "long " * 100]
        done = run_app("rerank", QUERY, *documents, RERANKER_URL=service.url)

        texts = [*DOCUMENTS, "two lines [31m", ("long " * 100).strip()]
        assert [line.split("\t") for line in done.stdout.splitlines()] == [
            [
                str(rank),
                f"{result['relevance_score']:.4f}",
                f"argument:{result['index'] + 1}",
                texts[result["index"]],
            ]
            for rank, result in enumerate(posted(service, documents), start=1)
        ]
        assert done.stderr == ""

    @pytest.mark.parametrize("columns", [80, 30])
    def test_table_on_a_terminal(self, service: Service, columns: int) -> None:
        documents = [*DOCUMENTS, "두 줄\n" * 40]
        shown = run_on_terminal(
            [*APP, "rerank", QUERY, *documents, "--url", service.url],
            ROOT,
            environment(TERM="xterm"),
            stream="stdout",
            columns=columns,
        )

        head, *rows = re.sub(r"\x1b\[[\d;]*m", "", shown).splitlines()
        assert head.split()[0] == "rank"
        assert ("█" in shown) == (columns == 80)
        results = posted(service, documents)
        assert len(rows) == len(results)
        for rank, (row, result) in enumerate(zip(rows, results, strict=True), start=1):
            assert cell_len(row) <= columns
            assert row.split()[:2] == [str(rank), f"{result['relevance_score']:.4f}"]
            assert documents[result["index"]][:3] in row

    def test_documents_of_files(self, service: Service, tmp_path: Path) -> None:
        plain = tmp_path / "notes.txt"
        plain.write_bytes(f"\ufeff{DOCUMENTS[0]}\r\n\r\n  {DOCUMENTS[1]}".encode())
        lines = tmp_path / "notes.JSONL"
        # U+2028 ends a line for str.splitlines, not in JSON.
        lines.write_text('"one\u2028line"\n\n{"text": "soup\\nat noon", "id": 7}\n')
        files = ["--file", str(plain), "-f", str(lines)]

        done = run_app(
            "rerank", QUERY, "first", *files, "--json", "--url", service.url, stdin="not read"
        )

        documents = ["first", *DOCUMENTS[:2], "one\u2028line", "soup\nat noon"]
        sources = [f"{plain}:1", f"{plain}:3", f"{lines}:1", f"{lines}:3"]
        assert json.loads(done.stdout) == told(service, documents, ["argument:1", *sources])

    def test_documents_of_standard_input(self, service: Service) -> None:
        files = ["--file", "-"]
        for given in ([], files):
            done = run_app(
                "rerank", QUERY, *given, "--json", "--url", service.url, stdin="\n".join(DOCUMENTS)
            )

            assert json.loads(done.stdout) == told(service, DOCUMENTS, ["-:1", "-:2", "-:3"])

    def test_what_grep_found_stands_in_its_files(self, service: Service, tmp_path: Path) -> None:
        (tmp_path / "a 1.txt").write_text("nothing\n점심: soup at noon: 12:30\n")
        (tmp_path / "b.txt").write_text("soup:7: is good\n")
        grep = ["grep", "-rn", "soup", str(tmp_path)]
        found = subprocess.run(grep, capture_output=True, text=True, check=True).stdout

        done = run_app("rerank", QUERY, "--url", service.url, stdin=found + "absent.txt:3:soup\n")

        rows = [line.split("\t")[2:] for line in done.stdout.splitlines()]
        assert sorted(rows) == [
            ["-:3", "absent.txt:3:soup"],
            [f"{tmp_path}/a 1.txt:2", "점심: soup at noon: 12:30"],
            [f"{tmp_path}/b.txt:1", "soup:7: is good"],
        ]

    def test_sources_on_a_terminal(self, service: Service, tmp_path: Path) -> None:
        (tmp_path / "with-a-long-name.txt").write_text("soup at noon")
        shown = run_on_terminal(
            [*APP, "rerank", QUERY, "-f", "with-a-long-name.txt", "--url", service.url],
            tmp_path,
            environment(TERM="xterm", PYTHONPATH=str(ROOT)),
            stream="stdout",
        )

        assert "with-a-long-name.txt:1" in shown

    def test_nobody_types_documents_unasked(self) -> None:
        _, terminal = pty.openpty()
        done = subprocess.run(
            [*APP, "rerank", QUERY], cwd=ROOT, stdin=terminal, capture_output=True, text=True
        )

        assert done.returncode == 2
        assert "no documents: give them after the query, with --file" in done.stderr

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["rerank", "a", "b", "--url", "localhost:7998"], "http://localhost:7998"),
            (["rerank", "a", "-f", "READMEE.md"], "did you mean README.md?"),
            (["rerank", "a", "-f", "tests"], "tests cannot be read: Is a directory"),
            (["rerank", "a"], "no documents"),
            (["rerank", "a", "-f", "-"], "only empty lines"),
            (["rerank", "a", "b", "--csv", "--tsv"], "exclude each other"),
            (["rerank", "a", "b", "--column", "text"], "--column is for tables"),
            (["rernk", "a"], "Did you mean 'rerank'?"),
            (["rerank", "a", "b", "--top-n", "0"], "--top-n"),
            (["rerank", "a", b"\xff"], "is no Unicode text"),
        ],
    )
    def test_wrong_command_line(self, arguments: list[str | bytes], message: str) -> None:
        done = run_app(*arguments)

        assert done.returncode == 2
        assert message in done.stderr
        assert "Traceback" not in done.stderr

    def test_service_that_is_not_there(self) -> None:
        assert (
            run_app("rerank", "a", "b", "--url", f"http://127.0.0.1:{free_port()}").returncode == 3
        )

    def test_a_connection_is_tested(self, service: Service) -> None:
        done = run_app("rerank", "--check", "--url", service.url)
        nobody = run_app("rerank", "--check", "--url", f"http://127.0.0.1:{free_port()}")
        no_root = run_app("rerank", "--check", "--url", f"{service.url}/v3/nothing")
        with_query = run_app("rerank", "--check", "query")

        assert done.returncode == 0, done.stderr
        assert f"{service.url} answers: tiny ranked 2 documents in " in done.stdout
        assert [each.returncode for each in (nobody, no_root, with_query)] == [3, 1, 2]
        assert "Traceback" not in nobody.stderr + no_root.stderr

    def test_ctrl_c(self) -> None:
        asked, let_go = threading.Event(), threading.Event()

        class Waiting(FakeHandler):
            def respond(self) -> None:
                asked.set()
                let_go.wait()

        with LocalServer(Waiting) as server:
            command = [*APP, "rerank", "a", "b", "--url", server.url]
            with subprocess.Popen(
                command, cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True
            ) as process:
                assert asked.wait(60)
                process.send_signal(signal.SIGINT)
                _, stderr = process.communicate(timeout=60)
            let_go.set()

        assert process.returncode == 130
        assert stderr.endswith("Error: interrupted\n")

    def test_a_wrong_setting_is_no_outage(self) -> None:
        done = run_app("rerank", "a", "b", RERANKER_URL="localhost:7998")

        assert done.returncode == 2
        assert "did you mean http://localhost:7998?" in done.stderr

    def test_refused_request(self, service: Service) -> None:
        done = run_app("rerank", "a", "--url", service.url, stdin="b\n" * 1025)

        assert done.returncode == 1
        assert "more than 1,024 documents in one request" in done.stderr
        assert "in two rounds" in done.stderr
        assert "--rounds" in done.stderr

    def test_more_than_one_request_takes(self, service: Service) -> None:
        class Small(FakeHandler):
            """The service, as if it took two documents."""

            def respond(self) -> None:
                if self.command == "GET":
                    self.answer(200, b'{"data": [{"limits": {"documents": 2}}]}')
                    return
                body = json.loads(self.request_body())
                assert len(body["documents"]) <= 2
                self.answer(200, service.rerank(**body).content)

        with LocalServer(Small) as server:
            options = ("--rounds", "--top-n", "1", "--json", "--url", server.url)
            done = run_app("rerank", QUERY, *DOCUMENTS, *options)

        first = posted(service, DOCUMENTS[:2], top_n=1)[0]["index"]
        texts = [DOCUMENTS[first], DOCUMENTS[2]]
        sources = [f"argument:{first + 1}", "argument:3"]
        (best,) = told(service, texts, sources, top_n=1)
        assert json.loads(done.stdout) == [best | {"index": [first, 2][best["index"]]}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'"fine"\nnot quoted', "line 2 is not JSON"),
        (b'{"title": "a"}', 'line 1 is neither a string nor an object with "text"'),
        (b"\xff", "is not UTF-8 at byte 0"),
        (b"\xff\xfe\x00", "is not the UTF-16 that its byte order mark says"),
        ('"a"'.encode("utf-16-le"), "UTF-16 without a byte order mark"),
        (b"\x1f\x8b\x08", "cannot be unpacked"),
        (b"[" * 100_000, "is not JSON"),
        (b"1" * 5_000, "is not JSON"),
    ],
)
def test_unreadable_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_bytes(content)

    with pytest.raises(DocumentsError, match=message):
        read(path)


def write_table(path: Path, *rows: list[str], **options: Any) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file, **options).writerows(rows)
    return path


def test_rows_of_csv(tmp_path: Path) -> None:
    rows = ["id", "Text"], ["1", 'soup,\n"hot"'], ["2", " "], ["3"], ["4", "x" * 200_000]
    path = write_table(tmp_path / "menu.CSV", *rows)

    assert read(path) == [
        Document('soup,\n"hot"', f"{path}:2"),
        Document("x" * 200_000, f"{path}:6"),
    ]
    assert [document.text for document in read(path, column="id")] == ["1", "2", "3", "4"]
    one = write_table(tmp_path / "one", ["whatever"], ["soup"])
    assert read(one, "csv") == [Document("soup", f"{one}:2")]


def test_rows_of_tsv(tmp_path: Path) -> None:
    path = tmp_path / "menu.tsv"
    path.write_text('id\tpassage\r\n1\t"Soup" is hot\r\n2\t"open\r\n')

    assert read(path) == [Document('"Soup" is hot', f"{path}:2"), Document('"open', f"{path}:3")]


@pytest.mark.parametrize(
    ("content", "column", "message"),
    [
        ("a,b\n1,2", None, "has the columns a, b; say which one has the documents: --column"),
        ("a,b\n1,2", "c", "has the columns a, b; there is no 'c': --column"),
        ('text\n"open', None, "line 2 is no CSV"),
    ],
)
def test_table_that_cannot_be_read(
    tmp_path: Path, content: str, column: str | None, message: str
) -> None:
    path = tmp_path / "menu.csv"
    path.write_text(content)

    with pytest.raises(DocumentsError, match=message):
        read(path, column=column)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("name", ["notes.txt", "notes.txt.gz", "notes.jsonl", "notes.jsonl.gz"])
def test_encodings_of_files(tmp_path: Path, name: str, encoding: str) -> None:
    documents = [*DOCUMENTS, "one\u2028line"]
    lines = map(json.dumps, documents) if "jsonl" in name else documents
    content = "\r\n".join(lines).encode(encoding)
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)

    assert [document.text for document in read(path)] == documents


@pytest.mark.parametrize("command", ["serve", "rerank", "batch", "doctor"])
def test_help(command: str) -> None:
    done = run_app(command, "--help")

    assert done.returncode == 0
    assert f"python -m app {command}" in done.stdout
    assert "Exit status" in done.stdout


def test_version() -> None:
    assert run_app("--version").stdout == f"{INSTALLED} {VERSION}\n"


class TestInstalled:
    """The command that pip makes of the entry point."""

    @pytest.fixture
    def command(self, tmp_path: Path) -> Path:
        declared = rf'\[project.scripts\]\n{INSTALLED} = "([\w.]+):(\w+)"'
        (entry,) = re.findall(declared, (ROOT / "pyproject.toml").read_text())
        command = tmp_path / INSTALLED
        module, name = entry
        command.write_text(f"#!{sys.executable}\nfrom {module} import {name}\n{name}()\n")
        command.chmod(0o755)
        return command

    def run(self, command: Path, *arguments: str, **variables: str) -> str:
        env = environment(PYTHONPATH=str(ROOT), **variables)
        return subprocess.check_output(
            [command, *arguments], env=env, cwd=command.parent, text=True
        )

    def test_it_runs_anywhere(self, command: Path) -> None:
        assert f"Usage: {INSTALLED} rerank" in self.run(command, "rerank", "--help")

    def test_a_shell_completes_it(self, command: Path) -> None:
        script = f"""
        source <(COMP_WORDS={INSTALLED} _JINA_RERANKER_COMPLETE=source_bash {INSTALLED})
        COMP_WORDS=({INSTALLED} rerank --to) COMP_CWORD=2
        _jina_reranker_completion {INSTALLED}
        echo "${{COMPREPLY[@]}}"
        """
        path = f"{command.parent}:/usr/bin:/bin"
        env = environment(PYTHONPATH=str(ROOT)) | {"PATH": path}

        assert subprocess.check_output(["bash", "-c", script], env=env, text=True) == "--top-n\n"


def test_long_documents_are_told_and_split(service: Service) -> None:
    documents = ["noon " * 2500, "soup at noon"]
    cut = run_app("rerank", QUERY, *documents, "--json", "--url", service.url)
    split = run_app("rerank", QUERY, *documents, "--json", "--split", "--url", service.url)

    assert "cut: 1; --split" in cut.stderr
    told = {result["index"]: result for result in json.loads(cut.stdout)}
    assert told[0]["truncated"] is True
    assert "truncated" not in told[1]
    assert split.stderr == ""
    passages = {result["index"]: result["passage"] for result in json.loads(split.stdout)}
    assert passages[0] in documents[0]
    assert len(passages[0]) < len(documents[0])
    assert passages[1] == documents[1]
