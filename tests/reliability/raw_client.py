"""Requests byte by byte, which no well-behaved client sends."""

from __future__ import annotations

import socket
from http.client import HTTPResponse

from toolkit.running import Service


def connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=30)


def send(client: socket.socket, body: bytes, length: int | None = None) -> None:
    """Send a request whose headers promise `length` bytes."""
    head = f"POST /rerank HTTP/1.1\r\nHost: a\r\nContent-Length: {length or len(body)}\r\n"
    client.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)


def answer(client: socket.socket) -> HTTPResponse:
    """The next answer, whose body is not read yet."""
    response = HTTPResponse(client)
    response.begin()
    return response
