"""Training: first a bag of tokens, then the network on whole prompts."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import torch
from rich.progress import Progress
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from training.bag import Bag
from training.batch import Batcher
from training.evaluate import Quality, Ranker
from training.initial import CONTENT
from training.network import Network
from training.pairs import Example, Pair, Sampler
from training.synthetic import synthetic_example

_BAG_RATE, _BAG_TEMPERATURE, _BAG_PAIRS = 1e-2, 0.03, 512
_RATE, TEMPERATURE, _DOCUMENTS = 1e-5, 0.05, 64
_CANDIDATES = (2, 4, 6, 8, 8, 10, 12, 16, 20, 30)
_TOKENS = (8, 48)
_SYNTHETIC_SHARE = 0.1


def train_bag(
    pairs: Sequence[Pair], batcher: Batcher, steps: int, bar: Progress, source: random.Random
) -> Bag:
    """Each query of a step finds its document among all documents of the step."""
    queries = batcher.token_ids([pair.query for pair in pairs])
    documents = batcher.token_ids([pair.document for pair in pairs])
    counts = torch.ones(batcher.vocabulary_size)
    for ids in documents:
        counts[list(set(ids))] += 1
    bag = Bag(counts / len(documents), CONTENT)
    topics: dict[str, list[int]] = {}
    for i, pair in enumerate(pairs):
        topics.setdefault(pair.topic, []).append(i)

    def loss() -> Tensor:
        # Half of any topic, half of few, which are harder to tell apart.
        drawn = source.choices(range(len(pairs)), k=_BAG_PAIRS // 2)
        while len(drawn) < _BAG_PAIRS:
            drawn += source.choices(topics[source.choice(pairs).topic], k=64)
        chosen = list({pairs[i].origin: i for i in drawn}.values())
        scores = bag([queries[i] for i in chosen]) @ bag([documents[i] for i in chosen]).T
        logits, targets = scores / _BAG_TEMPERATURE, torch.arange(len(chosen))
        return (cross_entropy(logits, targets) + cross_entropy(logits.T, targets)) / 2

    _run("bag of tokens", bag, steps, _BAG_RATE, loss, bar)
    return bag


def train_lists(
    network: Network,
    batcher: Batcher,
    pairs: Sequence[Pair],
    held_out: Sequence[Example],
    steps: int,
    bar: Progress,
    source: random.Random,
) -> None:
    """The query of a prompt finds its document among those of the prompt.

    `held_out` examples are for the progress bar only.
    """
    sampler = Sampler(pairs, source)

    def example(size: int) -> Example:
        while True:
            if source.random() < _SYNTHETIC_SHARE:
                drawn = synthetic_example(size, source)
            else:
                drawn = sampler.example(size)
            if len(drawn.documents) == size:
                documents = [batcher.cut(d, source.randint(*_TOKENS)) for d in drawn.documents]
                return Example(drawn.query, documents, drawn.relevant)

    def loss() -> Tensor:
        size = source.choice(_CANDIDATES)
        examples = [example(size) for _ in range(max(2, _DOCUMENTS // size))]
        targets = torch.tensor([example.relevant for example in examples])
        logits = scores(network, batcher, examples) / TEMPERATURE
        # ln(size) is the loss of chance: lists of every size count alike.
        return cross_entropy(logits, targets) / math.log(size)

    def quality() -> str:
        return f"held-out nDCG {Quality.of(ranker(network, batcher), held_out).ndcg:.3f}"

    _run("lists", network, steps, _RATE, loss, bar, quality)


def scores(network: Network, batcher: Batcher, examples: Sequence[Example]) -> Tensor:
    """Scores [examples, documents] of lists of one size."""
    batch = batcher.prompts(examples)
    states = network(batch.ids, batch.prefix if len(batch.prefix) else None)
    vectors = network.vectors(states[torch.arange(len(states))[:, None], batch.positions])
    return (vectors[:, :-1] * vectors[:, -1:]).sum(-1)


def ranker(network: Network, batcher: Batcher) -> Ranker:
    """Scores of one list at a time."""

    def rank(example: Example) -> list[float]:
        with torch.no_grad():
            return list(scores(network, batcher, [example])[0].tolist())

    return rank


def _run(
    name: str,
    module: nn.Module,
    steps: int,
    rate: float,
    loss_of: Callable[[], Tensor],
    bar: Progress,
    quality: Callable[[], str] = str,
) -> None:
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, rate, betas=(0.9, 0.98), weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps + 1, pct_start=0.1, cycle_momentum=False
    )
    task = bar.add_task(name, total=steps)
    mean = None
    for step in range(steps):
        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        value = loss.item()
        mean = value if mean is None else 0.95 * mean + 0.05 * value
        if step % 100 == 0 or step == steps - 1:
            bar.log(f"{name} {step}: loss {mean:.3f} {quality()}")
        bar.update(task, advance=1, description=f"{name}, loss {mean:.3f}")
