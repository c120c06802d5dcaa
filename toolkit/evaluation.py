"""Evaluate the demo: `python -m toolkit.evaluation FOLDER PNG`.

On its held-out data and on the memories of an assistant; the tables go to the terminal, answers and
reports into FOLDER, and the picture of the latter's report to PNG.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import orjson

from toolkit.browser import open_browser
from toolkit.running import APP, ROOT, Service, environment

_DEMO = ROOT / "weights/demo"


def evaluate(folder: Path, picture: Path) -> None:
    """Write reports and picture; raises `CalledProcessError` if an evaluation fails."""
    folder.mkdir(parents=True, exist_ok=True)
    held_out = folder / "held_out.jsonl"
    lists = json.loads((_DEMO / "held_out.json").read_text(encoding="utf-8"))
    held_out.write_bytes(
        b"".join(orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE) for item in lists)
    )
    with tempfile.TemporaryDirectory() as copy, demo(Path(copy)) as service:
        for data in (held_out, _DEMO / "memories.jsonl"):
            out = folder / data.stem
            print(f"\n{data.name}", flush=True)
            subprocess.run(
                [*APP, "evaluate", data, "--url", service.url, "--out", out, "--restart"],
                cwd=ROOT,
                env=environment(COLUMNS="150"),
                check=True,
            )
    _take(folder / "memories/report.html", picture)


def demo(folder: Path) -> Service:
    """The service with the demo model, not started yet, whose prepared copy goes to `folder`."""
    for name in ("model.gguf", "projector.safetensors"):
        shutil.copy(_DEMO / name, folder)
    return Service(folder, RERANKER_MODEL="demo")


def _take(page: Path, picture: Path) -> None:
    with open_browser() as browser:
        shown = browser.new_page(viewport={"width": 1200, "height": 1080})
        shown.goto(page.absolute().as_uri())
        shown.screenshot(path=picture)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="for answers and reports")
    parser.add_argument("picture", metavar="PNG", type=Path, help="picture to write")
    arguments = parser.parse_args()
    evaluate(arguments.folder.absolute(), arguments.picture.absolute())
