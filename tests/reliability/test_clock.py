"""The clock of the machine jumps, as it does where time is set or a virtual machine is resumed."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx

from tests.reliability.traffic import Load, known_questions
from toolkit.running import Service, libfaketime

CLIENTS = 3


def time_of(service: Service) -> datetime:
    return parsedate_to_datetime(httpx.get(f"{service.url}/health").headers["Date"])


def test_clock_jumps_under_load(model: Path, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0")
    faked = {
        "LD_PRELOAD": libfaketime(),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        # No jump of the clock moves the monotonic one.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with Service(model, **faked) as service:
        known = known_questions(service.url, count=10)
        with Load(service.url, known, CLIENTS) as load:
            for jump, days in (("+30d", 30), ("-30d", -60)):
                before = time_of(service)
                clock.write_text(jump)
                load.wait_for_more("right", 2 * CLIENTS)
                passed = time_of(service) - before
                assert abs(passed - timedelta(days=days)) < timedelta(hours=1)

            service.llama_server.kill()
            load.wait_for_more("503", 1)
            clock.write_text("+1d")
            load.wait_for_more("right", 2 * CLIENTS)

    assert load.outcomes.wrong == []
    assert load.outcomes.counts.keys() == {"right", "503"}
