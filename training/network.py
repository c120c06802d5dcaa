"""The Qwen3 transformer and the projector in PyTorch, as llama.cpp and numpy compute them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize, rms_norm, scaled_dot_product_attention, silu

from toolkit.export import Qwen3Config


class Layer(nn.Module):
    """One layer; its parameters are named as in Hugging Face's Qwen3."""

    def __init__(self, config: Qwen3Config) -> None:
        super().__init__()
        hidden, head = config.hidden_size, config.head_dim
        queries, keys = config.num_attention_heads * head, config.num_key_value_heads * head
        self.config = config
        self.input_layernorm = nn.Parameter(torch.ones(hidden))
        self.post_attention_layernorm = nn.Parameter(torch.ones(hidden))
        self.self_attn = nn.ParameterDict(
            {
                "q_proj": _matrix(queries, hidden),
                "k_proj": _matrix(keys, hidden),
                "v_proj": _matrix(keys, hidden),
                "o_proj": _matrix(hidden, queries),
                "q_norm": nn.Parameter(torch.ones(head)),
                "k_norm": nn.Parameter(torch.ones(head)),
            }
        )
        self.mlp = nn.ParameterDict(
            {
                "gate_proj": _matrix(config.intermediate_size, hidden),
                "up_proj": _matrix(config.intermediate_size, hidden),
                "down_proj": _matrix(hidden, config.intermediate_size),
            }
        )

    def forward(
        self, states: Tensor, rotation: Tensor, mask: Tensor | None, past: Past | None
    ) -> tuple[Tensor, Past]:
        """States [batch, tokens, hidden] to the same; `past` are keys and values before them."""
        config, weights = self.config, self.self_attn
        epsilon = config.rms_norm_eps
        size = (config.head_dim,)
        x = rms_norm(states, (config.hidden_size,), self.input_layernorm, epsilon)
        q, k, v = (
            linear(x, weights[name]).unflatten(-1, (-1, config.head_dim)).transpose(1, 2)
            for name in ("q_proj", "k_proj", "v_proj")
        )
        q = _rotate(rms_norm(q, size, weights["q_norm"], epsilon), rotation)
        k = _rotate(rms_norm(k, size, weights["k_norm"], epsilon), rotation)
        if past:
            k, v = (
                torch.cat([old.expand(len(states), -1, -1, -1), new], 2)
                for old, new in zip(past, (k, v), strict=True)
            )
        attended = scaled_dot_product_attention(
            q, k, v, mask, is_causal=mask is None, enable_gqa=True
        )
        states = states + linear(attended.transpose(1, 2).flatten(2), weights["o_proj"])
        x = rms_norm(states, (config.hidden_size,), self.post_attention_layernorm, epsilon)
        gated = silu(linear(x, self.mlp["gate_proj"])) * linear(x, self.mlp["up_proj"])
        return states + linear(gated, self.mlp["down_proj"]), (k, v)


Past = tuple[Tensor, Tensor]


class Network(nn.Module):
    """Transformer and projector."""

    def __init__(self, config: Qwen3Config, vocabulary_size: int) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = _matrix(vocabulary_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.Parameter(torch.ones(config.hidden_size))
        self.first = _matrix(2 * config.hidden_size, config.hidden_size)
        self.second = _matrix(config.hidden_size, 2 * config.hidden_size)

    def forward(self, ids: Tensor, prefix: Tensor | None = None) -> Tensor:
        """Final states [batch, tokens, hidden] of `ids` [batch, tokens].

        `prefix` [tokens] stands before every row and is computed once.
        """
        before = 0 if prefix is None else len(prefix)
        tokens = ids.shape[1]
        mask = None
        if before:
            mask = torch.ones(tokens, before + tokens, dtype=torch.bool).tril(before)
        rotation = self._rotation(before + tokens)
        states = self.embed_tokens[ids]
        past_states = None if prefix is None else self.embed_tokens[prefix][None]
        for layer in self.layers:
            past = None
            if past_states is not None:
                past_states, past = layer(past_states, rotation[:, :before], None, None)
            states, _ = layer(states, rotation[:, before:], mask, past)
        size = (self.config.hidden_size,)
        return rms_norm(states, size, self.norm, self.config.rms_norm_eps)

    def vectors(self, states: Tensor) -> Tensor:
        """Projected and normalised: the product of two is their score."""
        return normalize(linear(linear(states, self.first).relu(), self.second), dim=-1)

    def _rotation(self, tokens: int) -> Tensor:
        """Cosines and sines of the rotary embedding, [2, tokens, head_dim]."""
        size = self.config.head_dim
        frequencies = self.config.rope_theta ** (-torch.arange(0, size, 2) / size)
        angles = torch.arange(tokens)[:, None] * torch.cat([frequencies, frequencies])
        return torch.stack([angles.cos(), angles.sin()])


def _rotate(x: Tensor, rotation: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return x * rotation[0] + torch.cat([-second, first], -1) * rotation[1]


def _matrix(rows: int, columns: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(rows, columns) / columns**0.5)
