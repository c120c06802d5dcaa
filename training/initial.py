"""Initial weights with which the transformer ranks as a bag of tokens does.

Which tokens of a prompt belong to which passage takes hundreds of steps to learn from random
weights, during which nothing else is learned. So it is written into three layers:

- the first copies the two tokens before each token, where they are digits: at `">\\n` the
  number of the passage;
- the second copies that number from the last `">\\n` to every token after it; `<query` stands for
  a number of its own;
- the last has a position attend to tokens with its own number, each by its weight in the bag.

All other weights are random and small, and left to the training: the multilayer perceptrons, the
layers between, the norms and the projector.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from tokenizers import Tokenizer
from torch import Tensor

from toolkit.tokenizer import SPECIAL_TOKENS
from training.bag import Bag
from training.network import Layer, Network

# Digits, and what stands before a number of one digit.
_MARKS = (*"0123456789", '="')
_PASSAGE, _QUERY = '">Ċ', "<query"
# Where residual states hold what, after the content of the bag.
CONTENT = 192
# A mark of the token itself, of the two before it, and of the two before the last `">\n`.
_MARK, *_BEFORE = (slice(at, at + 12) for at in range(CONTENT, CONTENT + 36, 12))
_NUMBER = tuple(slice(at, at + 12) for at in range(CONTENT + 36, CONTENT + 60, 12))
_WEIGHT, _ONE, _BOUNDARY, _FILL = range(CONTENT + 60, CONTENT + 64)
_NORM = 16.0
_NOISE = 0.005
_HEADS, _HEAD = 4, 64
# Of components that rotary embedding turns together: the slowest one is left to features.
_PAIRS = _HEAD // 2
_FEATURE = _PAIRS - 1


@torch.no_grad()
def initialise(network: Network, bag: Bag, tokenizer: Tokenizer) -> None:
    """Write the bag into the network, whose hidden size is 256 in 4 heads of 64."""
    _write_embeddings(network.embed_tokens, bag, tokenizer)
    for layer in network.layers:
        layer.self_attn["o_proj"] *= _NOISE
        layer.mlp["down_proj"] *= _NOISE
    previous, segment, *_, pool = network.layers
    for head, before in enumerate(_BEFORE):
        _attend(previous, head, _peak(head + 1))
        _copy(previous, head, _MARK, before)
    _attend(segment, 0, lambda distance: -6 * torch.log1p(distance / 6), {_BOUNDARY: 32.0})
    _copy(
        segment,
        0,
        slice(_BEFORE[0].start, _BEFORE[1].stop),
        slice(_NUMBER[0].start, _NUMBER[1].stop),
    )
    share = CONTENT // _HEADS
    for head in range(_HEADS):
        part = slice(share * head, share * (head + 1))
        _match(pool, head)
        _copy(pool, head, part, part)
    # relu(x) - relu(-x) is x: the projector begins by passing the content on.
    content = torch.eye(network.config.hidden_size)
    content[CONTENT:] = 0
    network.first.copy_(torch.cat([content, -content]))
    network.second.copy_(torch.cat([content, -content], 1))
    # The optimizer's first steps would destroy what depends on exact numbers.
    for written in (network.embed_tokens, *(x.self_attn for x in (previous, segment, pool))):
        written.requires_grad_(False)


def _write_embeddings(table: Tensor, bag: Bag, tokenizer: Tokenizer) -> None:
    weights = bag.log_weights - bag.log_weights.mean()
    table.zero_()
    table[:, :CONTENT] = bag.directions
    table[:, _WEIGHT] = weights.clamp(-3, 1)
    table[:, _ONE] = 1
    special = [tokenizer.token_to_id(name) for name in SPECIAL_TOKENS]
    table[special, :CONTENT] = 0
    table[special, _WEIGHT] = -3
    for i, mark in enumerate(_MARKS):
        table[tokenizer.token_to_id(mark), _MARK.start + i] = 1
    boundaries = [tokenizer.token_to_id(token) for token in (_PASSAGE, _QUERY)]
    table[boundaries, _BOUNDARY] = 1
    table[boundaries, _WEIGHT] = -3
    table[tokenizer.token_to_id(_QUERY), [before.stop - 1 for before in _BEFORE]] = 1
    # All rows are of one length, so that RMSNorm leaves them alike.
    rest = table[:, CONTENT:].square().sum(-1)
    table[:, :CONTENT] *= (_NORM**2 - rest).sqrt()[:, None]
    table[special, _FILL] = (_NORM**2 - rest[special]).sqrt()


def _peak(at: int) -> Callable[[Tensor], Tensor]:
    return lambda distance: torch.where(distance == at, 0.0, -24.0)


def _attend(
    layer: Layer,
    head: int,
    logits: Callable[[Tensor], Tensor],
    features: dict[int, float] | None = None,
) -> None:
    """Have a head attend by distance, and by features of the token attended to.

    Rotary embedding turns pair p of a query and a key against each other by the distance times
    f_p, so constant queries and keys can make any sum of a_p cos(f_p d) + b_p sin(f_p d).
    """
    config = layer.config
    frequencies = config.rope_theta ** (-torch.arange(_PAIRS) / _PAIRS)
    cosines, sines = _fit(logits, frequencies[:-1])
    key = torch.hypot(cosines, sines).sqrt()
    q = torch.zeros(_HEAD, config.hidden_size)
    k = torch.zeros(_HEAD, config.hidden_size)
    q[:_FEATURE, _ONE], q[_PAIRS : _PAIRS + _FEATURE, _ONE] = cosines / key, -sines / key
    k[:_FEATURE, _ONE] = key
    for feature, logit in (features or {}).items():
        q[_FEATURE, _ONE], k[_FEATURE, feature] = logit, 1.0
    _write_attention(layer, head, q, k)


def _fit(logits: Callable[[Tensor], Tensor], frequencies: Tensor) -> tuple[Tensor, Tensor]:
    """Least squares for the logits over distances of up to 1,500 tokens."""
    distances = torch.arange(1500.0)
    wanted = logits(distances)[:, None]
    near = torch.where(distances < 100, 4.0, 1.0)[:, None]
    near[wanted.argmax()] = 1000
    angles = distances[:, None] * frequencies
    waves = torch.cat([angles.cos(), angles.sin(), torch.ones(1500, 1)], 1) * near
    damping = 0.3 * torch.eye(waves.shape[1])
    damping[-1, -1] = 0
    solution = torch.linalg.solve(waves.T @ waves + damping, waves.T @ (wanted * near))[:-1, 0]
    cosines, sines = solution.chunk(2)
    return cosines, sines


def _match(layer: Layer, head: int) -> None:
    """Have a head attend to tokens of the same number, by their weight."""
    size = layer.config.hidden_size
    q, k = torch.zeros(_HEAD, size), torch.zeros(_HEAD, size)
    for at, copy in zip((16, 48), _NUMBER, strict=True):
        # The slowest pairs hardly turn.
        q[at : at + 12, copy] = 20 * torch.eye(12)
        k[at : at + 12, copy] = torch.eye(12)
    q[_FEATURE, _ONE], k[_FEATURE, _WEIGHT] = 1.0, 1.0
    # Keeps the lengths of keys alike.
    k[_FEATURE - 1, _ONE] = 2.0
    _write_attention(layer, head, q, k)


def _write_attention(layer: Layer, head: int, q: Tensor, k: Tensor) -> None:
    weights, rows = layer.self_attn, _rows(head)
    for name, wanted in (("q", q), ("k", k)):
        matrix = weights[f"{name}_proj"]
        matrix[rows] = 0.01 * matrix[rows] + wanted
    # RMSNorm makes both of length sqrt(_HEAD); this gives them the lengths that were meant.
    lengths = [_length(wanted) for wanted in (q, k)]
    gain = math.sqrt(lengths[0] * lengths[1] / math.sqrt(_HEAD))
    weights["q_norm"].fill_(gain)
    weights["k_norm"].fill_(gain)


def _rows(head: int, count: int = _HEAD) -> slice:
    """The first `count` components of a head."""
    return slice(_HEAD * head, _HEAD * head + count)


def _length(matrix: Tensor) -> float:
    """Of what the matrix makes of a token with a number."""
    state = torch.zeros(matrix.shape[1])
    state[_ONE] = 1
    state[[_NUMBER[0].start, _NUMBER[1].start]] = 0.6
    return float((matrix @ state).norm())


def _copy(layer: Layer, head: int, source: slice, target: slice) -> None:
    """Have a head add what it reads at `source` of the states attended to, at `target`."""
    values, output = layer.self_attn["v_proj"], layer.self_attn["o_proj"]
    count = source.stop - source.start
    values[_rows(head)] *= 0
    output[:, _rows(head)] *= 0
    rows = _rows(head, count)
    values[rows, source] = torch.eye(count)
    output[target, rows] = torch.eye(count)
