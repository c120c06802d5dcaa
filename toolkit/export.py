"""Write a Qwen3 reranker as the two files the service loads: a GGUF and a projector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

Tensors = dict[str, NDArray[Any]]

_TENSOR_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
    "score.weight": "cls.output.weight",
    "input_layernorm.weight": "attn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
    "self_attn.q_norm.weight": "attn_q_norm.weight",
    "self_attn.k_norm.weight": "attn_k_norm.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight",
    "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
}


@dataclass(frozen=True)
class Qwen3Config:
    """Shape of a Qwen3 transformer, in the names of its Hugging Face configuration."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    intermediate_size: int
    max_position_embeddings: int = 131_072
    rope_theta: float = 1_000_000.0
    rms_norm_eps: float = 1e-6
    use_sliding_window: bool = False
    sliding_window: int | None = None
    layer_types: list[str] | None = None


def write_gguf(
    path: Path,
    config: Qwen3Config,
    tensors: Tensors,
    tokenizer: dict[str, Any],
    quantization: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32,
    labels: Sequence[str] = (),
    template: str = "",
) -> None:
    """Write transformer and vocabulary to a GGUF that llama-server loads.

    `tensors` are float32 under their Hugging Face names; matrices are stored as `quantization`,
    norms as float32. `tokenizer` is the content of a byte-level BPE `tokenizer.json` with the
    Qwen2 pre-tokenizer. The output head stays tied unless there is one, as in the published model;
    `labels` are those of the rows of a classifier, `score.weight`; `template` is the prompt that
    llama-server ranks with. Layers with windows are told as converters tell them.
    """
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if config.sliding_window and config.layer_types:
        windowed = [kind == "sliding_attention" for kind in config.layer_types]
        writer.add_sliding_window(config.sliding_window)
        writer.add_sliding_window_pattern(windowed)
    _add_vocabulary(writer, tokenizer)
    if labels:
        writer.add_pooling_type(gguf.PoolingType.RANK)
        writer.add_classifier_output_labels(list(labels))
        if template:
            writer.add_string("tokenizer.chat_template.rerank", template)
    for name, tensor in tensors.items():
        kind = quantization if tensor.ndim == 2 else gguf.GGMLQuantizationType.F32
        data = gguf.quants.quantize(tensor.astype(np.float32), kind)
        writer.add_tensor(_gguf_name(name), data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_projector(path: Path, first: NDArray[Any], second: NDArray[Any]) -> None:
    """Write the projector's two float32 matrices under the published tensor names."""
    tensors = {"projector.0.weight": first, "projector.2.weight": second}
    save_file({name: np.ascontiguousarray(t, np.float32) for name, t in tensors.items()}, path)


def _gguf_name(name: str) -> str:
    if name in _TENSOR_NAMES:
        return _TENSOR_NAMES[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{_TENSOR_NAMES[rest]}"


def _add_vocabulary(writer: gguf.GGUFWriter, tokenizer: dict[str, Any]) -> None:
    added = {token["id"]: token for token in tokenizer["added_tokens"]}
    vocabulary = {index: text for text, index in tokenizer["model"]["vocab"].items()}
    vocabulary |= {index: token["content"] for index, token in added.items()}
    ids = range(len(vocabulary))
    types = [_token_type(added.get(i)) for i in ids]
    merges = tokenizer["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([vocabulary[i] for i in ids])
    writer.add_token_types(types)
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    writer.add_add_bos_token(False)
    writer.add_eos_token_id(next(i for i in added if vocabulary[i] == "<|im_end|>"))


def _token_type(added: dict[str, Any] | None) -> gguf.TokenType:
    if added is None:
        return gguf.TokenType.NORMAL
    return gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
