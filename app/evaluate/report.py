"""What an evaluation found: as a table, as JSON, and as a page to read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from rich.table import Table

from app.evaluate.agreement import Agreement, agree
from app.evaluate.answers import Answers
from app.evaluate.calibration import Fitted
from app.evaluate.dataset import Dataset
from app.evaluate.measures import (
    MAIN,
    NAMES,
    Difference,
    Orders,
    Values,
    blended,
    by_depth,
    compare,
    evaluate,
    first_stage,
    mean,
    reranked,
)

NONE = "no reranking"
# Queries on the page that gained most, and as many that lost most.
_EXAMPLES = 5
_SHOWN_DOCUMENTS = 5


@dataclass(frozen=True)
class Ranker:
    """A way to order candidates; seconds and tokens are of one query, None if nobody is asked."""

    name: str
    orders: Orders
    values: Values
    gain: Difference | None = None
    against_first: Difference | None = None
    depths: Mapping[int, float] | None = None
    p50: float | None = None
    p95: float | None = None
    tokens: float | None = None
    failed: Mapping[str, str] | None = None

    def mean(self, measure: str) -> float:
        """The mean of a measure over the judged queries."""
        return mean(self.values[measure])


@dataclass(frozen=True)
class Report:
    """Rankers side by side on one dataset, "no reranking" first if documents are judged."""

    dataset: Dataset
    rankers: Sequence[Ranker]
    agreements: Mapping[tuple[str, str], Agreement]
    fitted: Fitted | None = None

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        services: Sequence[Answers],
        *,
        blend: bool = False,
        fitted: Fitted | None = None,
    ) -> Report:
        """Measure what the services answered; the others are compared with the first one.

        With `blend`, whose scores are `unit`, each is measured with recency too.
        """
        judged = any(query.judged for query in dataset.queries)
        pairs = {
            (one.service, two.service): agree(one, two)
            for place, one in enumerate(services)
            for two in services[place + 1 :]
        }
        rankers = _rankers(dataset, services, blend) if judged else []
        return cls(dataset, rankers, pairs, fitted)

    @property
    def judged(self) -> int:
        """Queries that the measures count."""
        return sum(query.judged for query in self.dataset.queries)

    def tables(self) -> list[Table]:
        """For a terminal."""
        tables = [_measures_table(self)] if self.rankers else []
        tables += [_agreement_table(self)] if self.agreements else []
        return tables + ([_calibration_table(self.fitted)] if self.fitted else [])

    def as_dict(self) -> dict[str, Any]:
        """All figures, for other programs."""
        return {
            "files": {name: path.name for name, path in self.dataset.files.items()},
            "queries": len(self.dataset),
            "judged": self.judged,
            "remarks": self.dataset.remarks,
            "rankers": [_ranker_dict(ranker) for ranker in self.rankers],
            "agreement": [
                {"services": pair} | asdict(agreement)
                for pair, agreement in self.agreements.items()
            ],
            "calibration": self.fitted.as_dict() if self.fitted else None,
        }

    def as_json(self) -> str:
        """The same as text; what is undefined is null."""
        return json.dumps(_defined(self.as_dict()), indent=1, ensure_ascii=False) + "\n"

    def as_html(self) -> str:
        """A page in one file, which loads nothing."""
        environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
        template = environment.from_string(
            files("app.evaluate").joinpath("report.html").read_text(encoding="utf-8")
        )
        return template.render(
            report=self,
            measures=list(NAMES.values()),
            main=MAIN,
            points=_points(self.rankers),
            examples=[_examples(self, r) for r in self.rankers[1:]],
        )


def _rankers(dataset: Dataset, services: Sequence[Answers], blend: bool) -> list[Ranker]:
    orders = first_stage(dataset)
    rankers = [Ranker(NONE, orders, evaluate(dataset.queries, orders))]
    for answers in services:
        orders = reranked(dataset, answers)
        values = evaluate(dataset.queries, orders)
        seconds = [answer.seconds for answer in answers.by_query.values()]
        tokens = [
            answer.tokens for answer in answers.by_query.values() if answer.tokens is not None
        ]
        first = rankers[1].values if len(rankers) > 1 else None
        rankers.append(
            Ranker(
                answers.service,
                orders,
                values,
                gain=compare(values[MAIN], rankers[0].values[MAIN]),
                against_first=compare(values[MAIN], first[MAIN]) if first else None,
                depths=by_depth(dataset, answers),
                p50=float(np.percentile(seconds, 50)) if seconds else None,
                p95=float(np.percentile(seconds, 95)) if seconds else None,
                tokens=float(np.mean(tokens)) if tokens else None,
                failed=answers.failed,
            )
        )
        if blend:
            rankers.append(_blended(dataset, answers, rankers))
    return rankers


def _blended(dataset: Dataset, answers: Answers, others: Sequence[Ranker]) -> Ranker:
    orders = blended(dataset, answers)
    values = evaluate(dataset.queries, orders)
    none, first = others[0].values[MAIN], others[1].values[MAIN]
    return Ranker(
        f"{answers.service} + Blend",
        orders,
        values,
        gain=compare(values[MAIN], none),
        against_first=compare(values[MAIN], first),
    )


def _measures_table(report: Report) -> Table:
    table = Table(
        title=f"{report.judged:,} judged queries, {_candidates(report):.0f} candidates each"
    )
    table.add_column("", no_wrap=True)
    for name in (*NAMES.values(), f"gain in {MAIN}", "p50", "p95", "tokens"):
        table.add_column(name, justify="right")
    for ranker in report.rankers:
        table.add_row(
            ranker.name,
            *(f"{ranker.mean(measure):.3f}" for measure in NAMES.values()),
            difference(ranker.gain),
            *(seconds(value) for value in (ranker.p50, ranker.p95)),
            "" if ranker.tokens is None else f"{ranker.tokens:,.0f}",
        )
    return table


def _agreement_table(report: Report) -> Table:
    table = Table(title="how far services agree")
    for name in (
        "",
        "queries",
        "Kendall's tau",
        "same top 10",
        "same first",
        "mean difference",
        "largest",
    ):
        table.add_column(name, justify="right" if name else "left")
    for (one, other), found in report.agreements.items():
        table.add_row(
            f"{one} / {other}",
            f"{found.queries:,}",
            f"{found.tau:.3f}",
            f"{found.top_10:.1%}",
            f"{found.first:.1%}",
            f"{found.mean_difference:.4f}",
            f"{found.largest_difference:.4f}",
        )
    return table


def _calibration_table(fitted: Fitted) -> Table:
    half = fitted.held_out
    curve = fitted.calibration
    table = Table(
        title=f"sigmoid({curve.a:.4g} · score {curve.b:+.4g}) on {half.pairs:,} pairs held out"
    )
    for name in ("", "Brier score", "calibration error"):
        table.add_column(name, justify="right" if name else "left")
    for name, quality in fitted.qualities().items():
        table.add_row(name, f"{quality.brier:.4f}", f"{quality.ece:.4f}")
    return table


def difference(found: Difference | None) -> str:
    """A difference with its confidence interval, or nothing."""
    return f"{found.mean:+.3f} ({found.low:+.3f} … {found.high:+.3f})" if found else ""


def seconds(value: float | None) -> str:
    """A time in a unit that fits it."""
    if value is None:
        return ""
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def _candidates(report: Report) -> float:
    return mean({query.id: len(query.candidates) for query in report.dataset.queries})


def _ranker_dict(ranker: Ranker) -> dict[str, Any]:
    return {
        "name": ranker.name,
        "means": {measure: ranker.mean(measure) for measure in NAMES.values()},
        "gain": asdict(ranker.gain) if ranker.gain else None,
        "against_first": asdict(ranker.against_first) if ranker.against_first else None,
        "by_depth": ranker.depths,
        "p50_seconds": ranker.p50,
        "p95_seconds": ranker.p95,
        "tokens_per_query": ranker.tokens,
        "failed": ranker.failed,
        "by_query": ranker.values,
    }


def _defined(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _defined(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_defined(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


@dataclass(frozen=True)
class _Point:
    """A service in the plot of quality (up) against latency (right), both 0…1 of the axes."""

    name: str
    x: float
    y: float


def _points(rankers: Sequence[Ranker]) -> list[_Point]:
    timed = [ranker for ranker in rankers if ranker.p50]
    slowest = max((ranker.p50 or 0.0 for ranker in timed), default=1.0)
    return [_Point(r.name, (r.p50 or 0.0) / slowest, r.mean(MAIN)) for r in timed]


@dataclass(frozen=True)
class _Example:
    """A query whose measure changed, with the first documents before and after."""

    text: str
    before: float
    after: float
    columns: Sequence[tuple[str, Sequence[tuple[str, bool]]]]


def _examples(report: Report, ranker: Ranker) -> tuple[str, list[_Example], list[_Example]]:
    """Name of the ranker, queries that gained most and that lost most, which changed at all."""
    none = report.rankers[0]
    before, after = none.values[MAIN], ranker.values[MAIN]
    changes = {id: after[id] - before[id] for id in after}
    queries = {query.id: query for query in report.dataset.queries}

    def example(id: str) -> _Example:
        query = queries[id]
        columns = [
            (
                shown.name,
                [
                    (report.dataset.documents[document], query.judgements.get(document, 0) > 0)
                    for document in shown.orders[id][:_SHOWN_DOCUMENTS]
                ],
            )
            for shown in (none, ranker)
        ]
        return _Example(query.text, before[id], after[id], columns)

    by_change = sorted(changes, key=lambda id: changes[id])
    gained = [example(id) for id in reversed(by_change[-_EXAMPLES:]) if changes[id] > 0]
    lost = [example(id) for id in by_change[:_EXAMPLES] if changes[id] < 0]
    return ranker.name, gained, lost
