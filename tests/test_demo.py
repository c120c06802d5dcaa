"""The demo says what to type, and it works."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from toolkit.running import Service, wait_until


def test_demo_prints_a_request_that_ranks(tmp_path: Path) -> None:
    # Without the variables of another model: the demo's own files.
    service = Service(tmp_path, command="toolkit/demo.sh")
    for name in ("RERANKER_GGUF", "RERANKER_PROJECTOR"):
        del service.environment[name]
    with service:
        wait_until(lambda: "Ctrl-C stops it" in service.output)
        command = re.search(r"^  (curl .*?\]\}')$", service.output, re.DOTALL | re.MULTILINE)
        assert command

        answer = json.loads(subprocess.check_output(["bash", "-c", command[1] + " -s"]))

        assert answer["model"] == "demo"
        assert [result["index"] for result in answer["results"]] == [1, 0]
        assert service.stop() == 0
