"""Under faults each answer is right or a clear error: `python -m tests.reliability.faults`."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import typer

from tests.reliability.report import RESULTS, report
from tests.reliability.traffic import Load, Question, known_questions, tiny_service
from toolkit.running import Service, wait_until

RECOVERY_SECONDS = 120
SETTLING_SECONDS = 30
# Files that the front may keep for the next request: connections to llama-server.
SPARE_FILES = 16
HALF_OPEN = 48
BEGINNINGS = (
    b"",
    b"POST /rerank HTTP/1.1\r\nHost: a\r\nContent-",
    b"POST /rerank HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    b'Content-Length: 100\r\n\r\n{"query": "so',
)


def main(
    kills: int = 4,
    hangs: int = 3,
    clients: int = 8,
    timeout_seconds: int = 10,
    out: Path = RESULTS,
) -> None:
    """Kill llama-server KILLS times and stop it HANGS times for longer than the time-out.

    Meanwhile CLIENTS load the service, and others begin requests that they never finish.
    """
    with tiny_service(RERANKER_TIMEOUT_SECONDS=str(timeout_seconds)) as service:
        known = known_questions(service.url, count=20)
        front = service.front
        files, processes = front.num_fds(), _processes(service)
        with Load(service.url, known, clients) as load:
            with half_open_connections(service.port):
                after_kills = [_kill(service, known[0]) for _ in range(kills)]
                after_hangs = [_hang(service, known[0], load) for _ in range(hangs)]
            load.wait_for_more("right", 2 * clients)
        checks = {
            "every answer is the known one or a clear error": not load.outcomes.wrong,
            "the next request is answered": _answers(service, known[0]),
            # The request for the metrics is one itself.
            "no request is left": _settles(lambda: service.metric("requests_in_flight") == 1),
            "no prompt waits for a slot": service.metric("prompts_waiting") == 0,
            "no connection is left": _settles(lambda: front.num_fds() <= files + SPARE_FILES),
            "no process is left": _settles(lambda: _processes(service) == processes),
        }
    figures = {
        "clients": clients,
        "half-open connections": HALF_OPEN,
        "time-out in seconds": timeout_seconds,
        "requests": load.outcomes.total,
        "outcomes": load.outcomes.counts,
        "seconds to recover from each kill": after_kills,
        "seconds to recover from each hang": after_hangs,
        "wrong answers": load.outcomes.wrong[:10],
    }
    report("faults", figures, checks, out)


@contextmanager
def half_open_connections(port: int) -> Iterator[None]:
    """Connections whose clients begin a request and fall silent."""
    with ExitStack() as connections:
        for i in range(HALF_OPEN):
            client = connections.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(BEGINNINGS[i % len(BEGINNINGS)])
        yield


def _kill(service: Service, question: Question) -> float:
    service.llama_server.kill()
    return _seconds_until_right(service, question)


def _hang(service: Service, question: Question, load: Load) -> float:
    timeouts = load.outcomes.counts["504"]
    llama_server = service.llama_server
    llama_server.suspend()
    wait_until(lambda: load.outcomes.counts["504"] > timeouts, RECOVERY_SECONDS)
    llama_server.resume()
    return _seconds_until_right(service, question)


def _seconds_until_right(service: Service, question: Question) -> float:
    start = time.monotonic()
    wait_until(lambda: _answers(service, question), RECOVERY_SECONDS)
    return round(time.monotonic() - start, 1)


def _answers(service: Service, question: Question) -> bool:
    response = httpx.post(service.url + question.path, json=question.body, timeout=60)
    return question.is_answered_by(response)


def _processes(service: Service) -> list[str]:
    return sorted(process.name() for process in service.process.children(recursive=True))


def _settles(condition: Callable[[], bool]) -> bool:
    try:
        wait_until(condition, SETTLING_SECONDS)
    except AssertionError:
        return False
    return True


if __name__ == "__main__":
    typer.run(main)
