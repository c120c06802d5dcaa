"""Asking for every entry of an input and writing down what came of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

from rich.progress import Progress

from app.batch.errors import BadEntry, BatchError, ServiceUnavailable
from app.batch.inputs import Inputs
from app.batch.journal import Journal
from app.batch.jsonl import encode_line
from app.batch.source import Entry, Request, Source
from app.client import AsyncReranker, RerankerError, Results, SettingsError, TooLate

Encode = Callable[[Request, Results], bytes]

_FAULT_OF_THE_ENTRY = (400, 413, 422, 500, 504)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
# How often a request is answered by something that is no ranking before the answer is believed.
_NO_RANKINGS = 3


class Job:
    """The requests of `source`, answered by `client` and written to `journal`."""

    def __init__(
        self,
        source: Source,
        inputs: Inputs,
        client: AsyncReranker,
        encode: Encode,
        journal: Journal,
        progress: Progress,
        patience: float,
    ) -> None:
        self._source = source
        self._inputs = inputs
        self._client = client
        self._encode = encode
        self._journal = journal
        self._progress = progress
        self._bar = progress.add_task("", total=len(source), completed=len(journal.done))
        self._patience = patience
        self._answered = 0
        self.documents = 0

    async def run(self, in_flight: int) -> None:
        """Answer what is not done yet, `in_flight` requests at a time.

        Raises `ServiceUnavailable` after `patience` seconds, `BatchError` if the service refuses
        this client or is no reranker, or if an input changed, `OSError` if the files cannot be
        written.
        """
        entries = (entry for entry in self._source if entry.number not in self._journal.done)
        workers = [asyncio.create_task(self._work(entries)) for _ in range(in_flight)]
        async with self._client:
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, entries: Iterator[Entry]) -> None:
        for entry in entries:
            answer = failure = b""
            try:
                request = self._source.request(entry)
                answer = self._encode(request, await self._ask(request))
                self.documents += len(request.documents)
            except BadEntry as error:
                failure = encode_line(self._source.failure(entry, str(error)))
            # What was read of a file that changed since may be nobody's request.
            self._inputs.check()
            self._journal.record(entry.number, answer=answer, failure=failure)
            self._progress.advance(self._bar)

    async def _ask(self, request: Request) -> Results:
        pause, give_up, no_rankings = _FIRST_PAUSE, None, 0
        answered_before = self._answered
        while True:
            try:
                results = await self._client.rerank(
                    request.query, request.documents, request.top_n, request.instruction
                )
            except RerankerError as error:
                if isinstance(error, TooLate) or error.status in _FAULT_OF_THE_ENTRY:
                    raise BadEntry(str(error)) from error
                if isinstance(error, SettingsError) or not _may_pass(error.status):
                    raise BatchError(str(error)) from error
                no_rankings += _is_no_ranking(error.status)
                if no_rankings == _NO_RANKINGS:
                    await self._make_sure_it_ranks(error)
                    raise BadEntry(str(error)) from error
                now = time.monotonic()
                give_up = give_up or now + self._patience
                if now >= give_up:
                    # A request that breaks the service must not stop the job.
                    if self._answered > answered_before:
                        raise BadEntry(str(error)) from error
                    raise ServiceUnavailable(str(error)) from error
                wait = max(pause, error.retry_after or 0)
            else:
                self._answered += 1
                self._progress.update(self._bar, description="reranking")
                return results
            answered_before = self._answered
            self._progress.update(self._bar, description="waiting for the service")
            await asyncio.sleep(min(wait, give_up - now))
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _make_sure_it_ranks(self, error: RerankerError) -> None:
        """Raise `BatchError` for `error` if the service ranks nothing at all."""
        if not self._answered:
            try:
                await self._client.rerank("a", ["b"])
            except RerankerError:
                raise BatchError(str(error)) from error


def _is_no_ranking(status: int | None) -> bool:
    return status is not None and status < 300


def _may_pass(status: int | None) -> bool:
    """Whether the same request may be answered later.

    No answer, a broken one, a slow upload, too many requests, or a service or proxy that starts.
    """
    return status is None or status < 300 or status in (408, 425, 429) or status >= 500
