"""Texts are read no further than they are kept, and are the same as if they were read whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from models import texts
from models.jina.prompt import SpecialTokens
from models.llama.client import LlamaServer, Segments, TokenIds
from models.nfc import nfc
from models.texts import Texts
from tests.reliability.hostile import TEXTS
from toolkit.running import Service

LONG = 40_000
DOCUMENTS = {
    "english": "The kitchen serves soup at noon, and it's hot. " * 1000,
    "korean": "내일 오후 2시에 품질 미팅이 있습니다. " * 1500,
    "lines": "하나\r\n\r\n둘\n\tthree\n  four 5,000!\n" * 1200,
    "chinese": "我们明天下午两点开会，讨论质量问题。" * 2000,
    "emoji": "👩\u200d👩\u200d👧😀" * 6000,
    "a": "a" * LONG,
    "spaces": " " * LONG,
    "spaces and a word": " " * 12_000 + "soup",
    "line feeds": "\n" * LONG,
    "digits": "1234567890" * 4000,
    "marks": "e" + "\u0301\u0316" * 10_000,
    "letters of a jamo": "\u1100\u1161\u11a8" * 10_000,
    "run, then words": "가나다라" * 3000 + " soup at noon" * 3000,
    "words, then run": "soup at noon " * 700 + "ab" * 20_000,
    "short": "soup",
    "empty": "",
}


class RecordingServer(LlamaServer):
    """Remembers how many characters each call had."""

    sizes: Sequence[int] = ()

    async def tokenize(self, content: Sequence[str | int]) -> TokenIds:
        self.sizes = [*self.sizes, sum(len(part) for part in content if isinstance(part, str))]
        return await super().tokenize(content)


@pytest.fixture
async def server(service: Service) -> AsyncIterator[RecordingServer]:
    url, key = service.llama_server_url, service.llama_server_key
    server = RecordingServer(url, timeout_seconds=60, api_key=key)
    async with server:
        yield server


@pytest.fixture
async def separator(server: RecordingServer) -> int:
    return (await SpecialTokens.of(server)).embed


@pytest.mark.anyio
@pytest.mark.parametrize("name", DOCUMENTS)
async def test_cut_is_that_of_the_whole_text(
    server: RecordingServer, separator: int, name: str
) -> None:
    document = DOCUMENTS[name]
    whole = await server.tokenize([nfc(document)])
    for limit in (100, 2048):
        server.sizes = ()

        (cut,) = await Texts(server, separator).cut([document], [limit])

        assert max(server.sizes) <= 16_384
        assert sum(server.sizes) <= 32_768
        assert cut.tokens == min(len(whole), limit)
        if len(whole) > limit:
            assert cut.content == await server.detokenize(whole[:limit])
        else:
            assert cut.content == nfc(document)


@pytest.mark.anyio
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXTS, max_size=8).map("".join), st.integers(1, 40))
@example("!!a 'S's 't\n\n \n x", 3)
@example("a\u0301 \u0301b,\u0338c 5\u0308 1", 2)
async def test_pieces_have_the_tokens_of_the_whole(
    server: RecordingServer, separator: int, text: str, limit: int
) -> None:
    segments: Segments = [text + text, separator, text]
    expected = await server.tokenize(segments)
    whole = await server.tokenize([nfc(text)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts, "_CALL", 16)
        patch.setattr(texts, "_UNSETTLED", 64)
        reader = Texts(server, separator)

        pieces = await reader.tokenize(segments)
        (cut,) = await reader.cut([text], [limit])

    np.testing.assert_array_equal(pieces, expected)
    assert cut.tokens == min(len(whole), limit)
    if len(whole) > limit:
        assert cut.content == await server.detokenize(whole[:limit])
    else:
        assert cut.content == nfc(text)


@pytest.mark.anyio
async def test_small_text_waits_for_one_call_of_a_large_one(
    server: RecordingServer, separator: int
) -> None:
    reader = Texts(server, separator)
    large = asyncio.create_task(reader.cut(["soup at noon " * 5000] * 20, [2048] * 20))
    # A first call starts the large one, which then stands before each of the others.
    await reader.tokenize(["soup"])
    for _ in range(5):
        before = len(server.sizes)
        await reader.tokenize(["soup"])
        assert len(server.sizes) - before <= 2
    assert not large.done()
    await large
