"""Where a request stands in a trace, as W3C's Trace Context tells it."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from starlette.datastructures import Headers

# Another version than 00 may say more behind a dash.
_PARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})(?P<span>[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_SAMPLED, _KNOWN_FLAGS = 0x01, 0x03
# What others may add is passed on up to here.
_LONGEST_STATE = 512


@dataclass(frozen=True)
class Trace:
    """Ids in hexadecimal: of the trace, of this request in it, and of its caller's `parent`.

    `state` is what tracing systems told each other so far.
    """

    trace_id: str
    span_id: str
    parent: str | None = None
    flags: int = _SAMPLED
    state: str = ""

    @classmethod
    def begin(cls) -> Trace:
        """A trace whose first request this is."""
        return cls(secrets.token_hex(16), secrets.token_hex(8))

    @classmethod
    def of(cls, headers: Headers) -> Trace | None:
        """The trace that a caller told, None if it told none that is valid."""
        told = headers.getlist("traceparent")
        found = _PARENT.fullmatch(told[0].strip()) if len(told) == 1 else None
        if found is None or (found["version"] == "00" and found["more"]):
            return None
        state = ",".join(headers.getlist("tracestate"))
        return cls(
            found["trace"],
            secrets.token_hex(8),
            found["span"],
            int(found["flags"], 16) & _KNOWN_FLAGS,
            state if len(state) <= _LONGEST_STATE else "",
        )

    @property
    def is_sampled(self) -> bool:
        """Whether whoever began the trace wants it to be kept."""
        return bool(self.flags & _SAMPLED)

    @property
    def headers(self) -> dict[str, str]:
        """What is sent on with calls for this request."""
        sent = {"traceparent": f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"}
        return sent | ({"tracestate": self.state} if self.state else {})
