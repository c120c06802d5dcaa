"""Whether a model would rank now, for who only asks."""

from __future__ import annotations

import asyncio
from typing import Protocol

from models.llama.client import LlamaServer, LlamaServerUnavailable

_SECONDS = 4.0


class _Checked(Protocol):
    async def check(self) -> None:
        """Raise `LlamaServerError` unless llama-server has the weights we mean."""


async def check(server: LlamaServer, readout: _Checked) -> None:
    """Raise `LlamaServerError` unless `readout` would be answered by `server` now."""
    await server.check_health()
    try:
        await asyncio.wait_for(readout.check(), _SECONDS)
    except (TimeoutError, asyncio.TimeoutError) as error:
        raise LlamaServerUnavailable("llama-server does not answer") from error
