"""The two stages of training."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import torch
from rich.progress import Progress
from torch import Tensor
from torch.nn.functional import cross_entropy

from training.batch import Batch, Batcher
from training.evaluate import Quality
from training.network import Network
from training.pairs import Example, Pair, Sampler
from training.synthetic import synthetic_example

_TEMPERATURE = 0.05
_LEARNING_RATE = 2e-3
_CANDIDATES = (2, 4, 6, 8, 8, 10, 12, 16, 20, 30)
_DOCUMENTS_OF_A_STEP = 128
_PAIRS_OF_A_STEP = 96
_SYNTHETIC_SHARE = 0.3


class Training:
    """Trains `network` on `pairs`; `held_out` examples are for the progress bar only."""

    def __init__(
        self,
        network: Network,
        batcher: Batcher,
        pairs: Sequence[Pair],
        held_out: Sequence[Example],
        bar: Progress,
        seed: int = 0,
    ) -> None:
        self._network = network
        self._batcher = batcher
        self._source = random.Random(seed)
        self._sampler = Sampler(pairs, self._source)
        self._held_out = held_out
        self._bar = bar

    def contrastive(self, steps: int) -> None:
        """Single documents and single queries: each query finds its own among all of the step."""
        self._run("pairs", steps, self._contrastive_loss)

    def listwise(self, steps: int) -> None:
        """Whole prompts: the query finds its own among the documents of its prompt."""
        self._run("lists", steps, self._listwise_loss)

    def scores(self, examples: Sequence[Example]) -> Tensor:
        """Scores [examples, documents] of lists of one size."""
        vectors = self._vectors(self._batcher.prompts(examples))
        return (vectors[:, :-1] * vectors[:, -1:]).sum(-1)

    def _vectors(self, batch: Batch) -> Tensor:
        states = self._network(batch.ids, batch.prefix if len(batch.prefix) else None)
        rows = torch.arange(len(states))[:, None]
        return self._network.vectors(states[rows, batch.positions])

    def _contrastive_loss(self) -> Tensor:
        pairs = {
            pair.origin: pair for pair in (self._sampler.pair() for _ in range(_PAIRS_OF_A_STEP))
        }
        documents = [self._cut(pair.document) for pair in pairs.values()]
        queries = [pair.query for pair in pairs.values()]
        scores = (
            self._vectors(self._batcher.queries(queries))[:, 0]
            @ self._vectors(self._batcher.documents(documents))[:, 0].T
        )
        targets = torch.arange(len(scores))
        logits = scores / _TEMPERATURE
        return (cross_entropy(logits, targets) + cross_entropy(logits.T, targets)) / 2

    def _listwise_loss(self) -> Tensor:
        size = self._source.choice(_CANDIDATES)
        examples = [self._example(size) for _ in range(max(2, _DOCUMENTS_OF_A_STEP // size))]
        scores = self.scores(examples)
        targets = torch.tensor([example.relevant for example in examples])
        # ln(size) is the loss of chance: lists of every size count alike.
        return cross_entropy(scores / _TEMPERATURE, targets) / math.log(size)

    def _example(self, size: int) -> Example:
        while True:
            if self._source.random() < _SYNTHETIC_SHARE:
                return synthetic_example(size, self._source)
            example = self._sampler.example(size)
            if len(example.documents) == size:
                documents = [self._cut(document) for document in example.documents]
                return Example(example.query, documents, example.relevant)

    def _cut(self, text: str) -> str:
        return text[: self._source.randint(80, 300)]

    def _run(self, name: str, steps: int, loss_of: Callable[[], Tensor]) -> None:
        optimizer = torch.optim.AdamW(
            self._network.parameters(), _LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, _LEARNING_RATE, total_steps=steps + 1, pct_start=0.1
        )
        task = self._bar.add_task(name, total=steps)
        mean = None
        for step in range(steps):
            loss = loss_of()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self._network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            value = loss.item()
            mean = value if mean is None else 0.95 * mean + 0.05 * value
            if step % 50 == 0 or step == steps - 1:
                quality = Quality.of(self.rank, self._held_out)
                self._bar.log(f"{name} {step}: loss {mean:.3f}, held-out nDCG {quality.ndcg:.3f}")
            self._bar.update(task, advance=1, description=f"{name}, loss {mean:.3f}")

    @torch.no_grad()
    def rank(self, example: Example) -> list[float]:
        """Scores of one list."""
        scores: list[float] = self.scores([example])[0].tolist()
        return scores
