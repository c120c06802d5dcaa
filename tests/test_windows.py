"""A GGUF whose layers have windows, and the copy of it in which llama.cpp computes them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from gguf import GGUFReader

from models import jina, probe
from models.facts import EMBEDDED
from models.families import check_file
from models.llama.gguf import GGUFError, read_header
from models.llama.windows import PLAIN, WINDOWED, Windows
from models.prepare import PrepareError, prepare, prepared
from models.rerank import ConfigurationError
from models.wishes import Wishes
from tests.gguf_bytes import Gguf
from toolkit import tiny_model
from toolkit.running import ROOT

V3, V3_5 = "jina-reranker-v3", "jina-reranker-v3.5"
TINY = tiny_model.WINDOWED
SIZE = TINY.sliding_window or 0
PATTERN = tuple(kind == "sliding_attention" for kind in TINY.layer_types or ())
# A GGUF of three layers, the second with a window.
CONFIG = {
    "layer_types": ["full_attention", "sliding_attention", "full_attention"],
    "sliding_window": 16,
    "use_sliding_window": True,
}
WINDOWS = Windows(16, (False, True, False))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("windowed")
    tiny_model.make(TINY).write(folder)
    return folder / "model.gguf"


def truths(*values: bool) -> bytes:
    return b"\x09\0\0\0\x07\0\0\0" + len(values).to_bytes(8, "little") + bytes(values)


def write(folder: Path, config: dict[str, Any] | None = None, **metadata: Any) -> Path:
    """A GGUF of three layers, and the configuration beside it."""
    sizes = {"block_count": 3, "feed_forward_length": 8, **metadata}
    made = Gguf()
    made.metadata |= {f"qwen3.{name.replace('__', '.')}": value for name, value in sizes.items()}
    path = folder / "model.gguf"
    path.write_bytes(made.content())
    if config is not None:
        path.with_name("config.json").write_text(json.dumps(config))
    return path


def windowed(folder: Path, *, config: dict[str, Any] | None = None, **metadata: Any) -> Path:
    told = {
        "attention__sliding_window": 16,
        "attention__sliding_window_pattern": truths(False, True, False),
    }
    return write(folder, config, **(told | metadata))


def fields(path: Path) -> dict[str, Any]:
    found = GGUFReader(path).fields.items()
    return {name: field.contents() for name, field in found if not name.startswith("GGUF.")}


def test_copy_has_the_architecture_that_has_windows(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.gguf"
    prepare(source, copy)

    before, after = fields(source), fields(copy)

    renamed = {name.replace("qwen3.", "step35."): value for name, value in before.items()}
    assert after == renamed | {
        "general.architecture": "step35",
        "step35.rope.dimension_count": 2 * TINY.head_dim,
        "step35.rope.dimension_count_swa": TINY.head_dim,
        "step35.rope.freq_base_swa": TINY.rope_theta,
        "step35.expert_feed_forward_length": TINY.intermediate_size,
        "step35.attention.sliding_window": SIZE,
        "step35.attention.sliding_window_pattern": list(PATTERN),
        **{name: after[name] for name in after if name.startswith("reranker.")},
    }
    assert Windows.of_header(read_header(copy)) == Windows.of(source) == Windows(SIZE, PATTERN)


def test_tensors_stay_byte_for_byte(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.gguf"
    prepare(source, copy)

    before, after = GGUFReader(source).tensors, GGUFReader(copy).tensors

    assert [tensor.name for tensor in after] == [*(t.name for t in before), "output.weight"]
    assert [t.data.tobytes() for t in before] == [t.data.tobytes() for t in after[:-1]]


def test_copy_for_a_llama_server_that_has_windows_in_the_plain_architecture(
    tmp_path: Path,
) -> None:
    source = write(tmp_path, CONFIG)

    plain = prepared(source, windowed=PLAIN)
    told = fields(plain)
    other = prepared(source)

    assert told["general.architecture"] == "qwen3"
    assert told["qwen3.attention.sliding_window"] == 16
    assert told["qwen3.attention.sliding_window_pattern"] == [False, True, False]
    assert other != plain
    assert not plain.exists()
    assert prepared(source) == other


def test_windows_out_of_the_configuration_beside_the_gguf(tmp_path: Path) -> None:
    source = write(tmp_path, CONFIG)

    copy = prepared(source)

    assert Windows.of(source) == WINDOWS
    assert Windows.of_header(read_header(copy)) == WINDOWS
    # Another configuration makes another copy.
    source.with_name("config.json").write_text(json.dumps(CONFIG | {"sliding_window": 8}))
    assert Windows.of_header(read_header(prepared(source))) == replace(WINDOWS, size=8)


def test_both_tell_the_same(tmp_path: Path) -> None:
    assert Windows.of(windowed(tmp_path, config=CONFIG)) == WINDOWS


@pytest.mark.parametrize(
    "config",
    [
        None,
        {},
        {"layer_types": ["full_attention"] * 3, "sliding_window": None},
        {"sliding_window": 4096, "use_sliding_window": False},
    ],
)
def test_no_windows(tmp_path: Path, config: dict[str, Any] | None) -> None:
    assert Windows.of(write(tmp_path, config)) is None


def changed(**settings: Any) -> dict[str, Any]:
    return CONFIG | settings


SLIDING, FULL = "sliding_attention", "full_attention"
REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "no pattern": (
        lambda f: write(f, attention__sliding_window=16),
        "windows of 16 tokens and no attention.sliding_window_pattern",
    ),
    "short pattern": (
        lambda f: windowed(f, attention__sliding_window_pattern=truths(True, False)),
        "has 3 layers, and windows are told of 2",
    ),
    "a period for a pattern": (
        lambda f: windowed(f, attention__sliding_window_pattern=2),
        "no list of yes and no by layer",
    ),
    "windowed last layer": (
        lambda f: windowed(f, attention__sliding_window_pattern=truths(False, True, True)),
        "its last layer, which is read, has a window",
    ),
    "scaled positions": (
        lambda f: windowed(f, rope__scaling__type="yarn"),
        r"qwen3\.rope\.scaling\.type beside windows",
    ),
    "another window in the configuration": (
        lambda f: windowed(f, config=changed(sliding_window=32)),
        "windows of 16 tokens in the layers 1, .*windows of 32 tokens",
    ),
    "other layers in the configuration": (
        lambda f: windowed(f, config=changed(layer_types=[SLIDING, FULL, FULL])),
        "in the layers 1, .*in the layers 0",
    ),
    "no windows in the configuration": (
        lambda f: windowed(f, config={"layer_types": [FULL] * 3}),
        "in the layers 1, .*none",
    ),
    "another size in the configuration alone": (
        lambda f: write(f, CONFIG, attention__sliding_window=8),
        "windows of 8 tokens, .*windows of 16",
    ),
    "short configuration": (
        lambda f: write(f, changed(layer_types=[SLIDING, FULL])),
        "has 3 layers, and windows are told of 2",
    ),
    "configuration without layers": (
        lambda f: write(f, {"sliding_window": 16, "use_sliding_window": True}),
        "windows of 16 tokens and no layer_types",
    ),
    "configuration without a size": (
        lambda f: write(f, changed(sliding_window=None)),
        "sliding_window is None",
    ),
    "configuration of another kind of layer": (
        lambda f: write(f, changed(layer_types=["linear_attention", FULL, FULL])),
        "is no configuration of such a model: .*linear_attention",
    ),
    "configuration that is none": (
        lambda f: write(f, [1]),  # type: ignore[arg-type]
        "is no configuration of such a model",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_windows_are_never_guessed(tmp_path: Path, name: str) -> None:
    make, told = REFUSED[name]
    path = make(tmp_path)

    with pytest.raises(GGUFError, match=told):
        prepared(path)

    assert not [*tmp_path.glob("*.prefix.gguf")]


def test_a_model_is_served_by_its_own_name_alone(source: Path, tmp_path: Path) -> None:
    check_file(V3_5, source)
    with pytest.raises(ConfigurationError, match="attend through a sliding window"):
        check_file(V3, source)
    plain = write(tmp_path)
    check_file(V3, plain)
    with pytest.raises(ConfigurationError, match=f"set RERANKER_MODEL={V3};"):
        check_file(V3_5, plain)


def test_the_copy_and_a_configuration_tell_the_name_too(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.gguf"
    prepare(source, copy)
    check_file(V3_5, copy)
    with pytest.raises(ConfigurationError, match="attend through a sliding window"):
        check_file(V3, copy)
    told = write(tmp_path, CONFIG)
    check_file(V3_5, told)
    with pytest.raises(ConfigurationError, match=f"windows of 16 tokens .*as {V3_5}"):
        check_file(V3, told)


def test_an_architecture_of_that_name_is_no_copy(tmp_path: Path) -> None:
    made = Gguf()
    made.metadata["general.architecture"] = "step35"
    path = tmp_path / "model.gguf"
    path.write_bytes(made.content())
    with pytest.raises(ConfigurationError, match="its architecture is 'step35'"):
        check_file(V3_5, path)


# A llama-server that is another than the embedded one in what the GGUF holds for it.
_OTHER = """#!{python}
import runpy, sys
from pathlib import Path
sys.path.insert(0, {root!r})
path = Path(sys.argv[sys.argv.index("--model") + 1])
content = path.read_bytes()
{change}
path.write_bytes(content)
runpy.run_module("models.llama.embedded", run_name="__main__")
"""
_IGNORES = """
name = b"step35.attention.sliding_window" + bytes([4, 0, 0, 0])
if name in content:
    start = content.index(name) + len(name)
    content = content[:start] + (4096).to_bytes(4, "little") + content[start + 4 :]
"""
_KNOWS_NOT = """
content = content.replace(b"step35", b"step99")
"""


def other_llama_server(folder: Path, change: str) -> tuple[str]:
    script = folder / "llama-server"
    script.write_text(_OTHER.format(python=sys.executable, root=str(ROOT), change=change))
    script.chmod(0o755)
    return (str(script),)


def test_a_llama_server_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert probe.architecture(EMBEDDED, tmp_path) == WINDOWED

    monkeypatch.setattr(probe, "_computes_windows", lambda *_: pytest.fail("asked again"))
    assert probe.architecture(EMBEDDED, tmp_path) == WINDOWED

    # Another build is asked, and the plain architecture is taken where it will do.
    monkeypatch.setattr(probe, "_computes_windows", lambda _, name: name == PLAIN)
    other = other_llama_server(tmp_path, "")
    assert probe.architecture(other, tmp_path) == PLAIN
    source = write(tmp_path, CONFIG)
    copy = jina.prepared(jina.CARDS[1], source, "prefix", other)
    assert read_header(copy).metadata["general.architecture"] == PLAIN
    monkeypatch.setattr(probe, "_computes_windows", lambda _, name: name == WINDOWED)
    with pytest.raises(PrepareError, match="is a copy for another llama-server"):
        jina.prepared(jina.CARDS[1], copy, "prefix", EMBEDDED)


@pytest.mark.parametrize("change", [_IGNORES, _KNOWS_NOT])
def test_a_llama_server_without_windows_is_refused(tmp_path: Path, change: str) -> None:
    with pytest.raises(PrepareError, match=r"Install a newer llama\.cpp, or set LLAMA_SERVER_BIN"):
        probe.architecture(other_llama_server(tmp_path, change), tmp_path)
    assert not (tmp_path / ".windows.json").exists()


@pytest.mark.anyio
@pytest.mark.parametrize("known", [True, False])
async def test_an_outside_llama_server_must_serve_the_copy(tmp_path: Path, known: bool) -> None:
    wishes = SimpleNamespace(gguf=windowed(tmp_path) if known else None)
    with pytest.raises(ConfigurationError, match=f"models.prepare --model {V3_5}"):
        async with jina.open(jina.CARDS[1], cast(Wishes, wishes)):
            pass
