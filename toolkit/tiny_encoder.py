"""A small random cross-encoder of the real architecture: XLM-RoBERTa with a classifier."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

Tensors = dict[str, NDArray[np.float32]]

SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_UNKNOWN = 3
_VOCABULARY_SIZE = 400
_CORPUS = [
    "The kitchen serves soup at noon, and the meeting about quality starts at two.",
    "내일 오후 2시에 품질 미팅이 있습니다. 오늘 점심은 김치찌개를 먹었다. 내일 회의 일정",
    "会議は明日の午後二時に始まります。昼ごはんはラーメンでした。",
    "Which document answers the query best? Every document is read together with the query.",
] * 5

_TENSOR_NAMES = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.LayerNorm": "token_embd_norm",
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
    "classifier.dense": "cls",
    "classifier.out_proj": "cls.output",
}


@dataclass(frozen=True)
class EncoderConfig:
    """Shape of an XLM-RoBERTa, in the names of its Hugging Face configuration.

    Of the positions two are never used, as in the published models.
    """

    hidden_size: int = 64
    num_hidden_layers: int = 3
    num_attention_heads: int = 4
    intermediate_size: int = 128
    max_position_embeddings: int = 514
    type_vocab_size: int = 1
    layer_norm_eps: float = 1e-5


@dataclass(frozen=True)
class TinyEncoder:
    """Weights (float32, Hugging Face names) and tokenizer of one cross-encoder."""

    config: EncoderConfig
    tensors: Tensors
    tokenizer: Tokenizer

    def write(
        self,
        path: Path,
        kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32,
        together: bool = False,
    ) -> None:
        """Write a GGUF that llama-server loads; matrices are stored as `kind`.

        Queries, keys and values are `together` in one, as jina-reranker-v2 has them.
        """
        config = self.config
        writer = gguf.GGUFWriter(path, "bert")
        writer.add_block_count(config.num_hidden_layers)
        writer.add_context_length(config.max_position_embeddings - 2)
        writer.add_embedding_length(config.hidden_size)
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count(config.num_attention_heads)
        writer.add_layer_norm_eps(config.layer_norm_eps)
        writer.add_causal_attention(False)
        writer.add_pooling_type(gguf.PoolingType.RANK)
        self._add_vocabulary(writer)
        tensors = {_gguf_name(name): tensor for name, tensor in self.tensors.items()}
        if together:
            tensors = _together(tensors)
        for name, tensor in tensors.items():
            # As llama.cpp wants them: what is added to is never quantized.
            exact = tensor.ndim == 1 or name.startswith(("position", "token_type"))
            stored = gguf.GGMLQuantizationType.F32 if exact else kind
            if name.startswith("position"):
                tensor = tensor[2:]
            data = gguf.quants.quantize(np.ascontiguousarray(tensor), stored)
            writer.add_tensor(name, data, raw_dtype=stored)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    def _add_vocabulary(self, writer: gguf.GGUFWriter) -> None:
        pieces = json.loads(self.tokenizer.to_str())["model"]["vocab"]
        types = [gguf.TokenType.NORMAL] * len(pieces)
        for i, text in enumerate(SPECIAL_TOKENS):
            types[i] = gguf.TokenType.UNKNOWN if text == "<unk>" else gguf.TokenType.CONTROL
        writer.add_tokenizer_model("t5")
        writer.add_tokenizer_pre("default")
        writer.add_token_list([text for text, _ in pieces])
        writer.add_token_scores([score for _, score in pieces])
        writer.add_token_types(types)
        writer.add_add_space_prefix(True)
        writer.add_remove_extra_whitespaces(True)
        writer.add_token_type_count(1)
        writer.add_bos_token_id(SPECIAL_TOKENS.index("<s>"))
        writer.add_eos_token_id(SPECIAL_TOKENS.index("</s>"))
        writer.add_sep_token_id(SPECIAL_TOKENS.index("</s>"))
        writer.add_unk_token_id(_UNKNOWN)
        writer.add_pad_token_id(SPECIAL_TOKENS.index("<pad>"))


def make(config: EncoderConfig | None = None, seed: int = 0) -> TinyEncoder:
    """Draw a model from `seed`."""
    config = config or EncoderConfig()
    tokenizer = train_tokenizer()
    random = np.random.default_rng(seed)
    return TinyEncoder(config, _tensors(config, tokenizer.get_vocab_size(), random), tokenizer)


def train_tokenizer() -> Tokenizer:
    """A Unigram vocabulary out of a few sentences, with XLM-RoBERTa's pairs and special tokens."""
    learner = Tokenizer(models.Unigram())
    learner.pre_tokenizer = _splitter()
    trainer = trainers.UnigramTrainer(
        vocab_size=_VOCABULARY_SIZE, unk_token="<unk>", show_progress=False
    )
    learner.train_from_iterator(_CORPUS, trainer)
    learned = json.loads(learner.to_str())["model"]["vocab"]
    # The trainer adds up in the order of a hash: rounded and sorted, they are always the same.
    pieces = sorted((text, round(score, 3)) for text, score in learned if text != "<unk>")
    special = [(text, 0.0) for text in SPECIAL_TOKENS]
    tokenizer = Tokenizer(models.Unigram([*special, *pieces], _UNKNOWN, byte_fallback=False))
    tokenizer.pre_tokenizer = _splitter()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return tokenizer


def _splitter() -> Any:
    return pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )


def _tensors(config: EncoderConfig, vocabulary: int, random: np.random.Generator) -> Tensors:
    hidden, inner = config.hidden_size, config.intermediate_size
    tensors: Tensors = {}

    def linear(name: str, rows: int, columns: int, gain: float = 1.0) -> None:
        values = random.standard_normal((rows, columns), np.float32)
        tensors[f"{name}.weight"] = values * np.float32(gain / np.sqrt(columns))
        tensors[f"{name}.bias"] = random.normal(0, 0.1, rows).astype(np.float32)

    def table(name: str, rows: int, gain: float) -> None:
        values = random.standard_normal((rows, hidden), np.float32)
        tensors[f"roberta.embeddings.{name}.weight"] = values * np.float32(gain)

    def norm(name: str) -> None:
        tensors[f"{name}.weight"] = random.uniform(0.5, 1.5, hidden).astype(np.float32)
        tensors[f"{name}.bias"] = random.normal(0, 0.1, hidden).astype(np.float32)

    table("word_embeddings", vocabulary, 1.0)
    table("position_embeddings", config.max_position_embeddings, 0.3)
    table("token_type_embeddings", config.type_vocab_size, 0.3)
    norm("roberta.embeddings.LayerNorm")
    for i in range(config.num_hidden_layers):
        layer = f"roberta.encoder.layer.{i}."
        # So wide that the first token's state depends on every token.
        linear(layer + "attention.self.query", hidden, hidden, 1.5)
        linear(layer + "attention.self.key", hidden, hidden, 1.5)
        linear(layer + "attention.self.value", hidden, hidden)
        linear(layer + "attention.output.dense", hidden, hidden)
        norm(layer + "attention.output.LayerNorm")
        linear(layer + "intermediate.dense", inner, hidden)
        linear(layer + "output.dense", hidden, inner)
        norm(layer + "output.LayerNorm")
    linear("classifier.dense", hidden, hidden)
    linear("classifier.out_proj", 1, hidden, 3.0)
    return tensors


def _together(tensors: Tensors) -> Tensors:
    """Each layer's `attn_q`, `attn_k` and `attn_v` below each other in one `attn_qkv`."""
    joined: Tensors = {}
    for name, tensor in tensors.items():
        part = name.rpartition("attn_")[2]
        if part.startswith("q."):
            parts = [tensors[name.replace("attn_q", f"attn_{letter}")] for letter in "qkv"]
            joined[name.replace("attn_q", "attn_qkv")] = np.concatenate(parts)
        elif not part.startswith(("k.", "v.")):
            joined[name] = tensor
    return joined


def _gguf_name(name: str) -> str:
    """`blk.0.attn_q.weight` of `roberta.encoder.layer.0.attention.self.query.weight`."""
    stem, _, kind = name.removeprefix("roberta.").rpartition(".")
    layer, prefix = "encoder.layer.", ""
    if stem.startswith(layer):
        number, _, stem = stem.removeprefix(layer).partition(".")
        prefix = f"blk.{number}."
    return f"{prefix}{_TENSOR_NAMES[stem]}.{kind}"
