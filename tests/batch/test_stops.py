"""Every request is answered once, whatever stops a job."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.batch.job import (
    BATCH,
    REQUESTS,
    batch,
    check,
    done,
    failures_of,
    progress_of,
    read_lines,
    start,
    write_lines,
)
from toolkit.running import EXACT, ROOT, Service, environment, free_port, wait_until


def test_kills_lose_nothing_and_repeat_nothing(
    service: Service, requests: Path, out: Path, expected: dict[str, Any]
) -> None:
    command = (requests, "--out", out)
    for until in (4, 13, 27):
        job = start(*command, url=service.url)
        wait_until(lambda until=until: done(out) >= until)  # type: ignore[misc]
        job.kill()
        job.wait()
        assert done(out) < len(REQUESTS)

    with out.open("ab") as answers, progress_of(out).open("ab") as progress:
        answers.write(b'{"id": "r39", "resul')
        progress.write(b"39 12")
    already = done(out)
    last = batch(*command, url=service.url)

    assert last.returncode == 0, last.stderr
    assert "60 requests done, 0 of them failed. " in last.stdout
    assert f"Now {60 - already} requests with {2 * (60 - already)} documents in " in last.stdout
    check(out, REQUESTS, expected)
    assert not failures_of(out).exists()
    assert last.stderr == ""
    answered = out.read_bytes()
    assert batch(*command, url="http://127.0.0.1:1").returncode == 0
    assert out.read_bytes() == answered


def test_ctrl_c(service: Service, requests: Path, out: Path, expected: dict[str, Any]) -> None:
    job = start(requests, "--out", out, url=service.url)
    wait_until(lambda: done(out) >= 5)
    job.send_signal(signal.SIGINT)
    _, stderr = job.communicate()

    assert job.returncode == 130
    assert stderr == "Error: interrupted. The same command continues.\n"
    assert 5 <= done(out) < len(REQUESTS)
    assert batch(requests, "--out", out, url=service.url).returncode == 0
    check(out, REQUESTS, expected)


def test_restarts_of_the_service(
    model: Path, exact_gguf: Path, requests: Path, out: Path, expected: dict[str, Any]
) -> None:
    with Service(model, RERANKER_GGUF=str(exact_gguf), **EXACT) as own:
        job = start(requests, "--out", out, "--patience", "60", url=own.url)
        wait_until(lambda: done(out) >= 5)
        own.llama_server.kill()
        wait_until(lambda: done(out) >= 15)
        own.stop()
        own.launch()
        assert job.wait() == 0

    check(out, REQUESTS, expected)
    assert not failures_of(out).exists()


def test_full_disk(service: Service, requests: Path, out: Path, expected: dict[str, Any]) -> None:
    limit = ["bash", "-c", 'ulimit -f 1; exec "$@"', "bash"]
    command = [*BATCH, str(requests), "--out", str(out)]
    stopped = subprocess.run(
        [*limit, *command],
        cwd=ROOT,
        env=environment(RERANKER_URL=service.url),
        capture_output=True,
        text=True,
    )

    assert stopped.returncode == 2
    assert "File too large" in stopped.stderr
    assert 0 < done(out) == len(read_lines(out)) < len(REQUESTS)
    assert batch(requests, "--out", out, url=service.url).returncode == 0
    check(out, REQUESTS, expected)


def test_unreachable_service(service: Service, few: Path, out: Path) -> None:
    command = (few, "--out", out, "--patience", "1")

    stopped = batch(*command, url=f"http://127.0.0.1:{free_port()}")

    assert stopped.returncode == 3
    assert stopped.stderr.endswith("No answer for 1 s. The same command continues.\n")
    assert not failures_of(out).exists()
    assert batch(*command, url=service.url).returncode == 0
    assert len(read_lines(out)) == 3


def test_no_reranker_there(service: Service, few: Path, out: Path) -> None:
    stopped = batch(few, "--out", out, url=f"{service.url}/elsewhere")

    assert stopped.returncode == 2
    assert done(out) == 0
    assert not failures_of(out).exists()


def test_answers_of_another_job_are_kept(service: Service, few: Path, out: Path) -> None:
    out.write_text("precious\n")
    refused = batch(few, "--out", out, url=service.url)
    assert refused.returncode == 2
    assert "--restart" in refused.stderr
    assert out.read_text() == "precious\n"
    assert batch(few, "--out", out, "--restart", url=service.url).returncode == 0
    assert len(read_lines(out)) == 3

    write_lines(few, REQUESTS[:2])
    refused = batch(few, "--out", out, url=service.url)
    assert refused.returncode == 2
    assert "was begun with other requests" in refused.stderr
    assert len(read_lines(out)) == 3
    assert batch(few, "--out", out, "--restart", url=service.url).returncode == 0
    assert len(read_lines(out)) == 2


def test_one_job_at_a_time(few: Path, out: Path) -> None:
    command = (few, "--out", out)
    job = start(*command, url="http://127.0.0.1:1")
    wait_until(lambda: progress_of(out).exists() and progress_of(out).stat().st_size > 0)
    second = batch(*command, url="http://127.0.0.1:1")
    job.kill()
    job.wait()

    assert second.returncode == 2
    assert "another batch is writing" in second.stderr
