"""A GGUF is served as what it is, or not at all."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from models.families import CARDS, check_file, family_of
from models.rerank import ConfigurationError
from toolkit.running import free_ports, run_app


def write(
    path: Path,
    architecture: str,
    window: int | None,
    tensors: list[str],
    tokenizer: str = "",
    labels: int = 4,
) -> Path:
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(128)
    if window is not None:
        writer.add_sliding_window(window)
    if tokenizer:
        writer.add_tokenizer_model(tokenizer)
    for name in tensors:
        rows = labels if name == "cls.output.weight" else 4
        writer.add_tensor(name, np.ones((rows, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


WITH_CLASSIFIER = ["token_embd.weight", "cls.output.weight"]
OTHERS = [
    ("bert", None, ["token_embd.weight"], "its architecture is 'bert', not qwen3"),
    ("qwen2", None, ["token_embd.weight"], "its architecture is 'qwen2', not qwen3"),
    ("qwen3", 1024, ["token_embd.weight"], "a sliding window"),
    ("qwen3", None, ["token_embd.weight", "cls.weight"], "cls.weight, the head of"),
]


@pytest.mark.parametrize(("architecture", "window", "tensors", "told"), OTHERS)
@pytest.mark.parametrize("name", ["jina-reranker-v3", "somebodys-own", "Qwen3-Reranker-4B"])
def test_another_model_is_refused(
    tmp_path: Path, name: str, architecture: str, window: int | None, tensors: list[str], told: str
) -> None:
    path = write(tmp_path / "model.gguf", architecture, window, tensors)
    with pytest.raises(ConfigurationError, match=told):
        check_file(name, path)


def test_a_classifier_of_words_is_a_yes_no_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "model.gguf", "qwen3", None, WITH_CLASSIFIER)
    check_file("Qwen3-Reranker-0.6B", path)
    with pytest.raises(ConfigurationError, match=r"cls\.output\.weight, the head of"):
        check_file("jina-reranker-v3", path)


CLASSIFIER = ["cls.weight", "cls.output.weight"]
NO_CROSS_ENCODERS = [
    ("qwen3", "gpt2", CLASSIFIER, 1, "its architecture is 'qwen3', not bert"),
    ("bert", "bert", CLASSIFIER, 1, "its tokenizer is 'bert', not t5"),
    ("bert", "t5", ["token_embd.weight"], 1, "it has no cls.weight"),
    ("bert", "t5", ["cls.weight"], 1, "it has no cls.output.weight"),
    ("bert", "t5", CLASSIFIER, 3, "its classifier tells 3 labels apart, not one"),
]


@pytest.mark.parametrize(
    ("architecture", "tokenizer", "tensors", "labels", "told"), NO_CROSS_ENCODERS
)
@pytest.mark.parametrize("name", ["jina-reranker-v2-base-multilingual", "bge-reranker-v2-m3"])
def test_what_is_no_cross_encoder_is_refused(
    tmp_path: Path,
    name: str,
    architecture: str,
    tokenizer: str,
    tensors: list[str],
    labels: int,
    told: str,
) -> None:
    path = write(tmp_path / "model.gguf", architecture, None, tensors, tokenizer, labels)
    with pytest.raises(ConfigurationError, match=f"is no {name}: {told}"):
        check_file(name, path)


@pytest.mark.parametrize("window", [None, 0])
def test_a_qwen3_may_be_a_jina(tmp_path: Path, window: int | None) -> None:
    check_file(
        "jina-reranker-v3", write(tmp_path / "m.gguf", "qwen3", window, ["token_embd.weight"])
    )


def test_a_start_with_another_model_ends_with_what_it_is(tmp_path: Path) -> None:
    write(tmp_path / "model.gguf", "qwen3", 64, ["token_embd.weight"])
    (tmp_path / "projector.safetensors").write_bytes(b"")
    (tmp_path / "run").mkdir()
    ended = run_app(
        "plan",
        str(tmp_path / "run"),
        RERANKER_GGUF=str(tmp_path / "model.gguf"),
        RERANKER_PROJECTOR=str(tmp_path / "projector.safetensors"),
        **free_ports(),
    )
    assert ended.returncode == 1
    assert "is no jina-reranker-v3: its layers attend through a sliding window" in ended.stderr


def test_a_name_of_no_family_is_somebodys_own_of_the_first() -> None:
    _, card = family_of("mine")
    assert (card.name, card.kind) == ("mine", CARDS["jina-reranker-v3"].kind)
    assert not card.licence
    assert not card.repository
