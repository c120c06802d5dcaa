"""What keeps the service from starting, found before anything large is read."""

from __future__ import annotations

import errno
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from app.otlp import endpoint, is_installed
from app.settings import Settings
from models.facts import find_llama_server

LOG = "llama-server.log"


def problems(settings: Settings, binds: bool = True) -> Iterator[str]:
    """A sentence for each; the ports of the service are not tried unless it `binds` them."""
    if not shutil.which("curl"):
        yield "curl is missing; install it"
    collector = endpoint()
    if collector and not is_installed():
        yield (
            f"{collector} asks for traces, whose packages are missing: "
            "pip install -r requirements-otlp.txt, or unset it"
        )
    if binds:
        yield from _port_problem(settings.host, settings.port, "RERANKER_PORT", "RERANKER_HOST")
    if settings.llama_server_url:
        return
    yield from _port_problem("127.0.0.1", settings.llama_server_port, "LLAMA_SERVER_PORT")
    if settings.log_dir:
        yield from _log_problem(settings.log_dir)
    binary = settings.llama_server_bin
    if not find_llama_server(binary):
        yield (
            f"LLAMA_SERVER_BIN={binary} cannot be run: it is no program"
            if binary
            else "no llama-server found. Install llama.cpp and put llama-server on the PATH or in "
            "LLAMA_SERVER_BIN, or install the embedded one: pip install xllamacpp"
        )


def _port_problem(host: str, port: int, variable: str, host_variable: str = "") -> Iterator[str]:
    # Every address, of those kinds that there are.
    everywhere = host == "::"
    name = None if everywhere else host
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        yield f"{host_variable}={host} is no address that is known here: {error.strerror}"
        return
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as listener:
                # As the servers do: a connection that has just ended is no hindrance.
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(address)
        except OSError as error:
            if everywhere and error.errno == errno.EAFNOSUPPORT:
                continue
            yield _told(error, host, port, variable, host_variable)
            return


def _told(error: OSError, host: str, port: int, variable: str, host_variable: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use; stop what listens there or set {variable}"
    if error.errno == errno.EACCES:
        return (
            f"port {port} may be listened on by root alone; set {variable} to one above 1023, or "
            f"allow it: sysctl net.ipv4.ip_unprivileged_port_start={port}"
        )
    return f"{host_variable}={host} is no address of this machine: {error.strerror}"


def _log_problem(folder: Path) -> Iterator[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOG).open("ab"):
            pass
    except OSError as error:
        yield (
            f"RERANKER_LOG_DIR={folder} cannot be written: {error.strerror}; make it a folder that "
            f"user {os.getuid()} may write (chown {os.getuid()} {folder}), or unset it"
        )
