"""A service that applications are told of by RERANKER_URL, be it on this machine or another."""

from __future__ import annotations

import os
from collections.abc import Iterator

from app.client import RerankerError
from app.client.server import Server
from app.doctor.finding import Finding, problem, skipped
from app.doctor.ports import check_health
from app.doctor.scores import check_scores
from app.settings import Settings

_VARIABLE = "RERANKER_URL"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def named(settings: Settings) -> str | None:
    """The address of RERANKER_URL, unless that is where start.sh listens with these settings."""
    address = os.environ.get(_VARIABLE)
    if not address:
        return None
    try:
        server = Server(address, _VARIABLE)
    except RerankerError:
        return address
    own = server.host in (*_LOOPBACK, settings.host) and server.port == settings.port
    return None if own else address


def examine_named(address: str, settings: Settings) -> Iterator[Finding]:
    """Whether the service at `address` answers, and its scores."""
    finding, model = _check(address)
    yield finding
    told = f"{_VARIABLE} names another service; unset it to check what start.sh needs"
    yield skipped("this machine", told)
    yield check_scores(address, settings.api_keys, model)


def _check(address: str) -> tuple[Finding, str | None]:
    subject = "service"
    try:
        server = Server(address, _VARIABLE)
    except RerankerError as error:
        return problem(subject, str(error), f"correct {_VARIABLE}, or unset it"), None
    told = f"nothing answers at {server} as this service does"
    answer = check_health(server)
    return answer or (problem(subject, told, f"start it, or correct {_VARIABLE}"), None)
