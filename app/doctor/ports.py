"""The ports of the service and of its llama-server: free, or ours already."""

from __future__ import annotations

import socket
from typing import Any

import httpx

from app.client.server import Server
from app.doctor.finding import Finding, ok, problem
from app.doctor.plan import Plan

_SECONDS = 5.0


def check_service(plan: Plan) -> tuple[Finding, str | None]:
    """Whether the service can listen, or does; then with the name of its model."""
    subject, settings = "service", plan.settings
    if not _listens(settings.host, settings.port):
        return ok(subject, f"not running; port {settings.port} on {settings.host} is free"), None
    answer = check_health(Server(settings.url, "RERANKER_PORT"))
    return answer or (_taken(subject, settings.host, settings.port, "RERANKER_PORT"), None)


def check_health(server: Server) -> tuple[Finding, str | None] | None:
    """What the service at an address says of itself and its model; None if it is no service."""
    subject = "service"
    match _get_json(server.endpoint("/health"), server.auth):
        case {"status": "ok", "model": str(model), "device": str(device)}:
            return ok(subject, f"running at {server} with {model} on {device}"), model
        case {"detail": str(detail)}:
            told = f"running at {server}, but not ready: {detail}"
            advice = "wait until it has started; if it does not, see its log"
            return problem(subject, told, advice), None
    return None


def check_llama_server_port(plan: Plan, running: bool) -> Finding:
    """Whether llama-server can listen, or one that runs already answers."""
    subject = "llama-server's port"
    if plan.settings.llama_server_url:
        if _get_json(f"{plan.settings.llama_server_url}/health") == {"status": "ok"}:
            return ok(subject, f"a llama-server answers at {plan.settings.llama_server_url}")
        return problem(
            subject,
            f"no llama-server is ready at {plan.settings.llama_server_url}",
            "start it, or unset LLAMA_SERVER_URL",
        )
    if running:
        return ok(subject, "used by the running service")
    host, port = "127.0.0.1", plan.settings.llama_server_port
    if _listens(host, port):
        return _taken(subject, host, port, "LLAMA_SERVER_PORT")
    return ok(subject, f"port {port} on {host} is free")


def _taken(subject: str, host: str, port: int, variable: str) -> Finding:
    return problem(
        subject,
        f"port {port} on {host} is used by something else",
        f"stop what listens there, or set {variable} to another port",
    )


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), _SECONDS):
            return True
    except OSError:
        return False


def _get_json(url: str | httpx.URL, auth: httpx.Auth | None = None) -> Any:
    """The JSON that `url` answers, with whatever status; None if there is none."""
    try:
        return httpx.get(url, auth=auth, timeout=_SECONDS, trust_env=False).json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return None
