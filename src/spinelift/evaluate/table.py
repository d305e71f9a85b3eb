"""Metrics of a model beside its baselines, with intervals, as Markdown, JSON and entries of a card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from spinelift.bundle.card import Metric
from spinelift.evaluate.bootstrap import Estimate, mean_estimate, people_counts, ratio_estimate
from spinelift.evaluate.metrics import METRICS, unit_of
from spinelift.geometry.arrays import Float, Integers

Values = Mapping[str, Float]
"""Key of a metric → its value for each person [people]."""


@dataclass(frozen=True)
class Row:
    """One metric of a model and, by the name of the baseline, of baselines.

    ``ratios`` are the model's mean over a baseline's; a baseline without error has none.
    """

    name: str
    people: int
    model: Estimate
    baselines: dict[str, Estimate] = field(default_factory=dict)
    ratios: dict[str, Estimate] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        """Unit of the metric."""
        return unit_of(self.name)

    def to_json(self) -> dict[str, object]:
        """Plain values, rounded to four digits."""
        baselines, ratios = (
            {label: e.to_json() for label, e in part.items()} for part in (self.baselines, self.ratios)
        )
        head = {"name": self.name, "unit": self.unit, "people": self.people, "model": self.model.to_json()}
        return {**head, "baselines": baselines, "ratios": ratios}

    def to_card(self, dataset: str) -> Metric:
        """The entry of a bundle's card."""
        interval = round(self.model.low, 4), round(self.model.high, 4)
        return Metric(
            name=self.name, dataset=dataset, value=round(self.model.value, 4), unit=self.unit,
            spines=self.people, interval95=interval,
            baselines={label: round(e.value, 4) for label, e in self.baselines.items()},
        )  # fmt: skip


def table_rows(model: Values, baselines: Mapping[str, Values], eid: Integers | None = None) -> list[Row]:
    """Means over people, with intervals, in the order of ``METRICS``.

    The arrays hold the same people in the same order, so that one draw of the bootstrap serves all. ``eid``
    [n] says which rows are of one person; None: each is another one. People who lack a metric (NaN) do not
    count for it.
    """
    rows = []
    people = np.arange(len(next(iter(model.values())))) if eid is None else eid
    counts = people_counts(people)
    for name in (n for n in METRICS if n in model):
        some = np.isfinite(model[name])
        drawn = counts if some.all() else counts[:, some]
        own = model[name][some]
        others = {label: values[name][some] for label, values in baselines.items() if name in values}
        means = {label: mean_estimate(v, drawn) for label, v in others.items()}
        ratios = {label: ratio_estimate(own, v, drawn) for label, v in others.items() if (v > 0).all()}
        rows.append(Row(name, len(own), mean_estimate(own, drawn), means, ratios))
    return rows


def columns(scores: Sequence[Mapping[str, float]]) -> dict[str, Float]:
    """Metrics of each person → arrays over people of each metric that any of them has, NaN for the others."""
    names = [n for n in METRICS if any(n in s for s in scores)]
    return {name: np.array([s.get(name, np.nan) for s in scores], np.float64) for name in names}


def to_markdown(rows: Sequence[Row]) -> str:
    """A table with a column for the model, each baseline, and the ratio to the first one."""
    labels = list(dict.fromkeys(label for row in rows for label in row.baselines))
    ratio = labels[0] if any(row.ratios for row in rows) else None
    head = ["metric", "unit", "people", "model", *labels, *([f"ratio to {ratio}"] if ratio else [])]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in rows:
        cells = [row.name, row.unit, str(row.people), _cell(row.model)]
        cells += [_cell(row.baselines.get(label)) for label in labels]
        cells += [_cell(row.ratios.get(ratio))] if ratio else []
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", "Mean over people (95 % bootstrap interval over people)."])


def _cell(e: Estimate | None) -> str:
    if e is None:
        return ""
    digits = 3 if abs(e.value) < 1 else 2
    return f"{e.value:.{digits}f} ({e.low:.{digits}f} to {e.high:.{digits}f})"
