"""`python -m app evaluate`, through a running service."""

from __future__ import annotations

import gzip
import hashlib
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, ClassVar

import pytest

from app.calibration import Calibration, calibration_of
from app.evaluate.beir import read_beir
from app.evaluate.bm25 import top
from app.evaluate.dataset import DataError
from app.evaluate.jsonl import read_jsonl
from tests.fake_server import FakeHandler
from toolkit.browser import open_browser
from toolkit.local_server import LocalServer
from toolkit.running import ROOT, Service, run_app

DEMO = ROOT / "weights/demo"
LISTS = json.loads((DEMO / "held_out.json").read_text())


class Refuses(FakeHandler):
    """Refuses everything, and keeps the keys that it was told."""

    authorizations: ClassVar[list[str | None]] = []

    def respond(self) -> None:
        self.authorizations.append(self.headers["Authorization"])
        self.request_body()
        self.answer(401, b"{}")


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six held-out lists, packed."""
    path = tmp_path_factory.mktemp("lists") / "lists.jsonl.gz"
    lines = [
        {"query": item["query"], "documents": item["documents"], "relevant": [item["relevant"]]}
        for item in LISTS[:6]
    ]
    path.write_bytes(gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode()))
    return path


@pytest.fixture(scope="module")
def evaluated(demo: Service, lists: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    ended = run_app(
        "evaluate",
        str(lists),
        "--url",
        demo.url,
        "--against",
        f"again={demo.url}",
        "--agree",
        "--out",
        str(out),
        COLUMNS="200",
    )
    assert ended.returncode == 0, ended.stderr
    (out / "shown.txt").write_text(ended.stdout)
    return out


def test_reranking_beats_the_order_as_given(evaluated: Path) -> None:
    report = json.loads((evaluated / "report.json").read_text())
    none, reranker, again = report["rankers"]
    assert (report["judged"], none["name"]) == (6, "no reranking")
    assert reranker["gain"]["low"] > 0
    mean = sum(reranker["by_query"]["nDCG@10"].values()) / 6
    assert reranker["means"]["nDCG@10"] == pytest.approx(mean)
    assert reranker["tokens_per_query"] > 100
    assert 0 < reranker["p50_seconds"] <= reranker["p95_seconds"]
    assert reranker["by_depth"].keys() == {"10", "20"}
    assert again["against_first"]["mean"] == 0
    (agreement,) = report["agreement"]
    assert (agreement["tau"], agreement["top_10"], agreement["largest_difference"]) == (1, 1, 0)


def test_the_terminal_shows_each_ranker(evaluated: Path) -> None:
    shown = (evaluated / "shown.txt").read_text()
    report = json.loads((evaluated / "report.json").read_text())
    for ranker in report["rankers"]:
        row = next(line for line in shown.splitlines() if ranker["name"] in line)
        assert f"{ranker['means']['nDCG@10']:.3f}" in row
    assert "report.html" in shown


def test_the_page_needs_nothing_from_elsewhere(evaluated: Path) -> None:
    with open_browser() as browser:
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        errors: list[str] = []
        page.on("console", lambda message: errors.append(message.text))
        page.goto((evaluated / "report.html").as_uri())
        assert asked == [(evaluated / "report.html").as_uri()]
        assert errors == []
        assert page.locator("svg circle").count() == 2
        assert page.get_by_text("Queries that gained most with reranker").is_visible()
        page.locator("details").first.locator("summary").click()
        assert page.locator("details").first.locator("li.relevant").first.is_visible()


def test_a_second_run_asks_nothing_again(demo: Service, lists: Path, evaluated: Path) -> None:
    before = demo.metric("request_documents_count")
    answers = (evaluated / "reranker.jsonl").read_bytes()
    ended = run_app("evaluate", str(lists), "--url", demo.url, "--out", str(evaluated))
    assert ended.returncode == 0, ended.stderr
    assert demo.metric("request_documents_count") == before
    assert (evaluated / "reranker.jsonl").read_bytes() == answers


def test_other_data_do_not_go_on_with_these_answers(
    demo: Service, lists: Path, evaluated: Path
) -> None:
    ended = run_app(
        "evaluate", str(lists), "--queries", "3", "--url", demo.url, "--out", str(evaluated)
    )
    assert ended.returncode == 2
    assert "--restart" in ended.stderr


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    corpus = [
        (f"{i}-{j}", t) for i, item in enumerate(LISTS[:6]) for j, t in enumerate(item["documents"])
    ]
    (folder / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": id, "title": "", "text": text}) + "\n" for id, text in corpus)
    )
    (folder / "queries.jsonl").write_text(
        "".join(
            json.dumps({"_id": f"q{i}", "text": x["query"]}) + "\n" for i, x in enumerate(LISTS[:7])
        )
    )
    rows = [f"q{i}\t{i}-{item['relevant']}\t1" for i, item in enumerate(LISTS[:5])]
    (folder / "qrels/test.tsv").write_text(
        "\n".join(["query-id\tcorpus-id\tscore", *rows, "q5\t5-0\t0", "gone\t1-1\t1"]) + "\n"
    )
    return folder


def test_a_beir_folder_takes_bm25_first(demo: Service, beir: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ended = run_app("evaluate", str(beir), "--depth", "15", "--url", demo.url, "--out", str(out))
    assert ended.returncode == 0, ended.stderr
    report = json.loads((out / "report.json").read_text())
    assert (report["queries"], report["judged"]) == (6, 5)
    remarks = " ".join(report["remarks"])
    assert "1 query (q5): no relevant document known" in remarks
    assert "1 query (gone): judged, but not in the queries" in remarks
    answers = [json.loads(line) for line in (out / "reranker.jsonl").read_text().splitlines()]
    assert all(1 <= len(answer["scores"]) <= 15 for answer in answers)


@pytest.mark.parametrize("with_run", [False, True])
def test_a_query_in_the_corpus_is_no_candidate_for_itself(beir: Path, with_run: bool) -> None:
    text = LISTS[0]["query"]
    with (beir / "corpus.jsonl").open("a") as corpus:
        corpus.write(json.dumps({"_id": "q0", "title": "", "text": text}) + "\n")
    run = beir / "bm25.run"
    run.write_text("".join(f"q0 Q0 {d} 1 {-i} x\n" for i, d in enumerate(["q0", "0-0", "0-1"])))

    data = read_beir(beir, "test", depth=2, run=run if with_run else None)

    (query,) = (query for query in data.queries if query.id == "q0")
    assert len(query.candidates) == 2
    assert "q0" not in query.candidates


def test_a_run_takes_part_as_it_is(demo: Service, beir: Path, tmp_path: Path) -> None:
    run, qrels, topics = tmp_path / "bm25.run", tmp_path / "qrels", tmp_path / "topics.tsv"
    rows = [(f"q{i}", f"{i}-{j}", j) for i in range(5) for j in range(20)]
    # Ranks that lie: scores decide.
    run.write_text("".join(f"{q} Q0 {d} {20 - j} {-j} x\n" for q, d, j in rows))
    qrels.write_text("".join(f"q{i} 0 {i}-{LISTS[i]['relevant']} 1\n" for i in range(5)))
    topics.write_text("".join(f"q{i}\t{LISTS[i]['query']}\n" for i in range(5)))
    options = ["--run", str(run), "--qrels", str(qrels), "--topics", str(topics)]
    options += ["--collection", str(beir / "corpus.jsonl"), "--out", str(tmp_path / "out")]
    ended = run_app("evaluate", *options, "--url", demo.url)
    assert ended.returncode == 0, ended.stderr
    none = json.loads((tmp_path / "out/report.json").read_text())["rankers"][0]
    first = [float(LISTS[i]["relevant"] == 0) for i in range(5)]
    assert none["means"]["P@1"] == pytest.approx(sum(first) / 5)
    run.write_text("q0 Q0 nowhere 1 1 x\nq1 Q0 nor-this 1 1 x\n")
    ended = run_app("evaluate", *options, "--url", demo.url)
    assert ended.returncode == 2
    assert "2 documents (nowhere, nor-this) not in the collection" in ended.stderr


def test_a_key_is_told_to_its_own_service_only(demo: Service, lists: Path, tmp_path: Path) -> None:
    with LocalServer(Refuses) as other:
        ended = run_app(
            "evaluate",
            str(lists),
            "--queries",
            "1",
            "--url",
            demo.url,
            "--against",
            f"other={other.url}",
            "--out",
            str(tmp_path),
            "--patience",
            "0",
            RERANKER_API_KEY="secret",
        )
        assert ended.returncode == 2
        assert Refuses.authorizations == [None]
        ended = run_app(
            "evaluate",
            str(lists),
            "--queries",
            "1",
            "--url",
            demo.url,
            "--against",
            f"other={other.url}",
            "--out",
            str(tmp_path),
            "--patience",
            "0",
            RERANKER_API_KEY_OTHER="for-other",
        )
        assert Refuses.authorizations[1:] == ["Bearer for-other"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"query": "a", "documents": ["b", "c"], "relevant": [2]}', "line 1: relevant names 2"),
        ('{"query": "a", "documents": ["b"], "relevant": ["x"]}', "line 1: relevant is a list"),
        ('{"query": "a", "documents": []}', "line 1: query is a string and documents a list"),
        ('{"query": "a"}', "line 1: query is a string and documents a list"),
        ("{", "line 1: no JSON"),
        ("[]", "line 1: no JSON object"),
        ("\n", "no query with candidates"),
        ('{"query": "a", "documents": ["b"]}', "no relevant document is known"),
        ('{"id": 1, "query": "a", "documents": ["b"]}\n' * 2, "line 2: the id 1 occurs twice"),
    ],
)
def test_wrong_lines_are_named(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "lists.jsonl"
    path.write_text(content)
    ended = run_app("evaluate", str(path), "--out", str(tmp_path / "out"))
    assert ended.returncode == 2
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_folder_without_a_corpus_is_named(tmp_path: Path) -> None:
    ended = run_app("evaluate", str(tmp_path), "--out", str(tmp_path / "out"))
    assert ended.returncode == 2
    assert "corpus.jsonl is missing" in ended.stderr


def test_as_many_numbers_as_documents_are_grades(tmp_path: Path) -> None:
    path = tmp_path / "lists.jsonl"
    path.write_text('{"query": "a", "documents": ["b", "c", "d"], "relevant": [0, 2, 1]}')
    (query,) = read_jsonl(path, 100).queries
    assert list(query.judgements.values()) == [0, 2, 1]


def test_documents_may_have_times(tmp_path: Path) -> None:
    path = tmp_path / "lists.jsonl"
    line: dict[str, Any] = {"query": "a", "documents": ["b", "c"]}
    line["created_at"] = ["2026-08-20T09:00:00Z", None]
    path.write_text(json.dumps(line))
    (query,) = read_jsonl(path, 100).queries
    assert query.created_at == {"1/0": datetime(2026, 8, 20, 9, tzinfo=timezone.utc)}
    assert query.asked_at == query.created_at["1/0"]
    for wrong, told in (
        ({"created_at": []}, "line 1: created_at is a list"),
        ({"asked_at": "noon"}, "line 1: 'noon' is no time"),
    ):
        path.write_text(json.dumps(line | wrong))
        with pytest.raises(DataError, match=told):
            read_jsonl(path, 100)


def test_bm25_finds_words_in_any_script() -> None:
    texts = {
        "en": "a quality meeting",
        "ko": "내일 오후 회의 일정",
        "zh": "明天下午的质量会议",
        "x": "none",
    }
    topics = {"1": "Meeting?", "2": "회의는", "3": "会议"}
    found = top(texts, topics, 2)
    assert {id: ids[0] for id, ids in found.items()} == {"1": "en", "2": "ko", "3": "zh"}
    assert all("x" not in ids for ids in found.values())


@pytest.mark.parametrize("texts", [{}, {"a": ""}, {"a": "!", "b": ""}, {"a": "soup", "b": ""}])
@pytest.mark.parametrize("query", ["", "?!", "🍲", "noon"])
def test_bm25_of_texts_without_a_word(texts: dict[str, str], query: str) -> None:
    assert top(texts, {"q": query}, 5) == {"q": []}


def test_a_calibration_is_written_for_the_gguf_served(demo: Service, tmp_path: Path) -> None:
    data, path = tmp_path / "lists.jsonl", tmp_path / "told" / "calibration.json"
    lines = []
    for item in LISTS[:24]:
        right = item["documents"][item["relevant"]]
        others = [text for text in item["documents"] if text != right]
        lines.append({"query": item["query"], "documents": [right, *others[:3]], "relevant": 0})
    data.write_text("".join(json.dumps(line) + "\n" for line in lines))

    ended = run_app(
        *("evaluate", str(data), "--url", demo.url, "--out", str(tmp_path)),
        *("--calibrate", "--calibration", str(path)),
    )

    assert ended.returncode == 0, ended.stderr
    written = json.loads(path.read_text())
    assert json.loads((tmp_path / "report.json").read_text())["calibration"] == written
    assert written["gguf_sha256"] == hashlib.sha256((DEMO / "model.gguf").read_bytes()).hexdigest()
    assert written["fitted_on"]["queries"] == written["held_out"]["queries"] == 12
    brier, unit = (written["held_out"][name]["brier"] for name in ("calibrated", "unit"))
    # The share of relevant ones, told of every document: 1/4 × 3/4.
    assert brier < 0.1875 < unit
    assert f"{brier:.4f}" in ended.stdout
    assert "Calibration" in (tmp_path / "report.html").read_text()
    served = calibration_of(Path(demo.environment["RERANKER_GGUF"]), path)
    assert isinstance(served, Calibration)
    assert served.a == written["a"]


def test_memories_are_ordered_with_recency_too(demo: Service, tmp_path: Path) -> None:
    memories = str(DEMO / "memories.jsonl")
    ended = run_app(
        *("evaluate", memories, "--queries", "4", "--url", demo.url, "--out", str(tmp_path))
    )

    assert ended.returncode == 0, ended.stderr
    _, reranker, blended = json.loads((tmp_path / "report.json").read_text())["rankers"]
    assert blended["name"] == "reranker + Blend"
    assert blended["p50_seconds"] is None
    # The newest of near-duplicates comes first once recency counts.
    assert reranker["means"]["P@1"] < blended["means"]["P@1"]


def test_too_little_to_calibrate_is_told_before_anything_is_asked(
    lists: Path, tmp_path: Path
) -> None:
    ended = run_app("evaluate", str(lists), "--calibrate", "--out", str(tmp_path / "out"))
    assert ended.returncode == 2
    assert "too few judged pairs to calibrate: half of the queries have 3" in ended.stderr
    assert not (tmp_path / "out").exists()
