"""The demo says what to type, and it works."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from tests.running import Service, wait_until


def test_demo_prints_a_request_that_works(model: Path) -> None:
    with Service(model, command="tests/demo.sh") as service:
        wait_until(lambda: "Ctrl-C stops it" in service.output)
        assert "RANDOM" in service.output
        command = re.search(r"^  (curl .*?\]\}')$", service.output, re.DOTALL | re.MULTILINE)
        assert command

        answer = json.loads(subprocess.check_output(["bash", "-c", command[1] + " -s"]))

        assert sorted(result["index"] for result in answer["results"]) == [0, 1]
        assert service.stop() == 0
