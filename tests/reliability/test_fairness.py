"""One request never stops the others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from toolkit.running import Service, wait_until


def test_small_requests_are_answered_beside_one_of_32_megabytes(service: Service) -> None:
    documents = [f"the soup of day {i} is hot; " * 12_000 for i in range(100)]
    with ThreadPoolExecutor(1) as other:
        large = other.submit(
            service.rerank, query="soup", documents=documents, max_tokens_per_doc=8
        )
        wait_until(lambda: service.metric("requests_in_flight") == 2)
        beside = 0
        while not large.done() and beside < 5:
            small = service.rerank(query=f"noon, {beside}?", documents=["soup"])
            assert small.status_code == 200
            beside += not large.done()

        assert beside >= 1
        assert large.result().status_code == 200
