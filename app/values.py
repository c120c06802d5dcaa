"""What a setting's text may be: each function reads one kind of value.

All take the text of an environment variable that is not empty, and raise `ValueError` with what is
allowed, worded to follow "VARIABLE is".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

_Value = TypeVar("_Value")

TRUE = frozenset({"1", "true", "yes", "on", "enabled"})
FALSE = frozenset({"0", "false", "no", "off", "disabled"})
_SECONDS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
LONGEST_SECONDS = 7 * 86_400.0
_BYTES = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}
# Schemes of HTTP and their ports.
_HTTP = {"http": 80, "https": 443}
# What llama-server, asyncio and this machine can all count.
_MOST = 2**31 - 1
# White space around a value; characters such as U+00A0 may be part of one.
_BLANKS = " \t\r\n\v\f"


def flaw(text: str) -> str | None:
    """What no value has, and is left by a file that was read by other rules than it was written."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "it holds bytes that are not UTF-8"
    if "\0" in text:
        return "it holds a NUL"
    if text != text.strip(_BLANKS):
        return "it begins or ends in white space or a line end; take that away"
    if re.search(r"[\x00-\x1f\x7f]", text):
        return "it holds a control character"
    if text[:1] in {"'", '"'} and len(text) > 1 and text[0] == text[-1]:
        return "it has quotes around it, which Docker's env files keep; take them away"
    return None


def text(value: str) -> str:
    """Anything."""
    return value


def boolean(value: str) -> bool:
    """Yes or no, as people and other tools write it."""
    if value.lower() in TRUE:
        return True
    if value.lower() in FALSE:
        return False
    raise ValueError("1, true, yes or on, or else 0, false, no or off")


def whole(least: int, most: int = _MOST) -> Callable[[str], int]:
    """A reader of whole numbers from `least` to `most`."""

    def read(value: str) -> int:
        # Not int() alone, which takes 1_000 and digits of all scripts.
        if re.fullmatch(r"-?[0-9]{1,18}", value) and least <= int(value) <= most:
            return int(value)
        raise ValueError(f"a whole number from {least:,} to {most:,}, in digits only")

    return read


def seconds(least: float = 0.001) -> Callable[[str], float]:
    """A reader of times of `least` seconds at least, a bare number being seconds."""

    def read(value: str) -> float:
        found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|[smh]?)", value.lower())
        if found:
            time = float(found[1]) * _SECONDS[found[2]]
            if least <= time <= LONGEST_SECONDS:
                return time
        above = "from 0 to" if not least else "above 0, up to"
        raise ValueError(f"a time {above} seven days, such as 30, 2.5, 2s, 500ms or 1m")

    return read


def size(value: str) -> int:
    """Bytes; K, M and G are powers of 1,024, as in Docker's own options."""
    found = re.fullmatch(r"([0-9]{1,12}) ?([kmg]?)(?:i?b)?", value.lower())
    if found and 1 <= (number := int(found[1]) * _BYTES[found[2]]) <= _MOST:
        return number
    raise ValueError("a number of bytes below 2 GiB, such as 33554432, 32M or 32MiB")


def choice(*allowed: str) -> Callable[[str], str]:
    """A reader of one of `allowed`, in whatever case."""

    def read(value: str) -> str:
        if value.lower() in allowed:
            return value.lower()
        raise ValueError(f"{', '.join(allowed[:-1])} or {allowed[-1]}")

    return read


def name(example: str) -> Callable[[str], str]:
    """A reader of names that are safe within a path, such as `example`."""

    def read(value: str) -> str:
        if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", value):
            return value
        raise ValueError(f"a name such as {example}, of letters, digits and . _ -")

    return read


def host(value: str) -> str:
    """An address or a host's name, an IPv6 address with or without its brackets."""
    bare = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    if _is_address(bare):
        return str(ipaddress.ip_address(bare))
    if _is_host_name(value):
        return value
    raise ValueError("an address or a host's name, such as 127.0.0.1, 0.0.0.0, :: or localhost")


def port(value: str) -> int:
    """A port."""
    if re.fullmatch(r"[0-9]{1,5}", value) and 1 <= int(value) <= 65_535:
        return int(value)
    raise ValueError("a port from 1 to 65535" + _service_link(value))


def host_and_port(value: str) -> tuple[str | None, int]:
    """A port, alone or behind an address: `7998`, `127.0.0.1:7998`, `[::1]:7998`."""
    address, colon, number = value.rpartition(":")
    bracketed = address.startswith("[") and address.endswith("]")
    try:
        if ":" not in address or bracketed:
            return (host(address) if colon else None), port(number)
    except ValueError:
        pass
    raise ValueError(
        "a port from 1 to 65535, alone or behind an address as in 127.0.0.1:7998"
        + _service_link(value)
    )


def _service_link(value: str) -> str:
    if not re.match(r"(tcp|udp|sctp)://", value):
        return ""
    return (
        " (Kubernetes and Docker's links write such an address for a service of this name: set the "
        "variable yourself, or enableServiceLinks: false)"
    )


def url(value: str) -> str:
    """The address of an HTTP server, without a slash at its end."""
    try:
        parts = urlsplit(value)
        valid = parts.scheme in _HTTP and _sent(parts)
    except ValueError:
        valid = False
    if valid and "@" not in parts.netloc and not re.search(r"[?#\s]", value):
        return value.rstrip("/")
    raise ValueError("an address such as http://127.0.0.1:8081, without user, ? and #")


def keys(value: str) -> tuple[str, ...]:
    """Keys, comma separated; white space around each is no part of it."""
    key(value)
    return tuple(key(each) for each in value.split(","))


def key(value: str) -> str:
    """One key, as a header of HTTP can carry it; white space around it is no part of it."""
    found = value.strip(_BLANKS)
    problem = flaw(found) or (re.search(r"\s#", found) and "it holds a comment")
    if problem or not found:
        raise ValueError(f"a key that a header can carry: {problem or 'it is blank'}")
    return found


def origins(value: str) -> tuple[str, ...]:
    """Origins of web pages, comma separated, as browsers send them; or `*` for all."""
    return tuple(_origin(each.strip(_BLANKS)) for each in value.split(","))


def _origin(value: str) -> str:
    if value == "*":
        return value
    try:
        parts = urlsplit(value)
        if parts.scheme and parts.path in ("", "/") and not re.search(r"[?#@*\s]", value):
            return f"{parts.scheme}://{_sent(parts)}"
    except ValueError:
        pass
    raise ValueError("origins such as https://app.example:8443 with commas between, or *")


def _sent(parts: SplitResult) -> str:
    """Host and port as browsers send them: in ASCII, and no port that goes without saying."""
    name = (parts.hostname or "").encode("idna").decode()
    if not (_is_address(name) or _is_host_name(name)) or parts.port == 0:
        raise ValueError("no host, or no port")
    port = f":{parts.port}" if parts.port and parts.port != _HTTP.get(parts.scheme) else ""
    return (f"[{name}]" if ":" in name else name) + port


def networks(value: str) -> str:
    """Addresses and networks, comma separated, or `*` for all; as uvicorn takes them."""
    found = [each.strip(_BLANKS) for each in value.split(",")]
    if found == ["*"] or all(map(_is_network, found)):
        return ",".join(found)
    raise ValueError("addresses and networks such as 127.0.0.1, 10.0.0.0/8, or * for all")


def root_path(value: str) -> str:
    """The path below which a proxy shows the service, without a slash at its end."""
    if re.fullmatch(r"/|(/[A-Za-z0-9._~-]+)+/?", value):
        return value.rstrip("/")
    raise ValueError("a path such as /reranker")


def path(value: str) -> Path:
    """A file or folder; `~` is the user's home."""
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise ValueError("a path, whose ~ names a home folder that is known") from error


def program(value: str) -> str | Path:
    """A program: a name to look for on the PATH, or a path as `path` reads it."""
    return path(value) if "/" in value else value


def gpu_layers(value: str) -> int:
    """Layers on the GPU; `auto` is −1 and `all` −2, as llama-server counts them."""
    special = {"auto": -1, "all": -2}
    if value.lower() in special:
        return special[value.lower()]
    try:
        return whole(-2)(value)
    except ValueError as error:
        raise ValueError("a number of layers, auto or all") from error


def slots(value: str) -> int | None:
    """Slots of llama-server; None for `-1`, which leaves the choice to the service."""
    if value == "-1":
        return None
    try:
        return whole(1, 256)(value)
    except ValueError as error:
        raise ValueError("a number of slots from 1 to 256, or -1 for the default") from error


def devices(value: str) -> str:
    """Names of GPUs, comma separated, or `none`."""
    if re.fullmatch(r"none|(?!.*\b(?i:none)\b)[\w.:-]+(,[\w.:-]+)*", value):
        return value
    raise ValueError("names of devices such as CUDA0,CUDA1 with commas only between, or none")


def flash_attention(value: str) -> str:
    """`on`, `off` or `auto`."""
    if value in ("auto", "-1"):
        return "auto"
    try:
        return "on" if boolean(value) else "off"
    except ValueError as error:
        raise ValueError("on, off or auto") from error


def one_of(allowed: Collection[str]) -> Callable[[str], str]:
    """A reader of one of `allowed`, to the letter."""

    def read(value: str) -> str:
        if value in allowed:
            return value
        raise ValueError(f"one of {', '.join(allowed)}")

    return read


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _is_network(value: str) -> bool:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        return False
    return True


def _is_host_name(value: str) -> bool:
    # All digits and points would be an address.
    label = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
    return bool(re.fullmatch(rf"(?!(.*\.)?[0-9]+$){label}(\.{label})*", value[:254]))
