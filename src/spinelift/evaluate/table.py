"""Figures of a model beside its baselines, each with its interval, as Markdown and JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from spinelift.evaluate.bootstrap import Estimate, mean_estimate, resample_counts
from spinelift.evaluate.metrics import UNITS


@dataclass(frozen=True)
class Row:
    """One figure: the model's, and by name the baselines' (absent where they have none)."""

    name: str
    unit: str
    spines: int
    model: Estimate
    baselines: dict[str, Estimate]


def table_rows(
    model: Sequence[Mapping[str, float]], baselines: Mapping[str, Sequence[Mapping[str, float]]]
) -> list[Row]:
    """Means over spines of what :func:`~spinelift.evaluate.metrics.score` gave, with intervals.

    The same spines in the same order everywhere, so that one draw of the bootstrap serves all.
    """
    counts = resample_counts(len(model))

    def estimate(scores: Sequence[Mapping[str, float]], name: str) -> Estimate:
        return mean_estimate(np.array([s[name] for s in scores], np.float64), counts)

    return [
        Row(
            name,
            unit,
            len(model),
            estimate(model, name),
            {label: estimate(scores, name) for label, scores in baselines.items() if name in scores[0]},
        )
        for name, unit in UNITS.items()
        if name in model[0]
    ]


def to_markdown(rows: Sequence[Row]) -> str:
    """A table with one column for the model and one for each baseline."""
    labels = list(dict.fromkeys(label for row in rows for label in row.baselines))
    head = ["figure", "unit", "model", *labels]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in rows:
        cells = [row.name, row.unit, _cell(row.model)]
        cells += [_cell(row.baselines[label]) if label in row.baselines else "" for label in labels]
        lines.append("| " + " | ".join(cells) + " |")
    spines = rows[0].spines if rows else 0
    return "\n".join([*lines, "", f"{spines} spines; in brackets 95 % bootstrap intervals over spines."])


def to_json(rows: Sequence[Row]) -> list[dict[str, object]]:
    """Plain values, rounded to four digits behind the point."""
    return [_rounded(asdict(row)) for row in rows]


def _cell(e: Estimate) -> str:
    digits = 3 if abs(e.value) < 1 else 2
    return f"{e.value:.{digits}f} ({e.low:.{digits}f}–{e.high:.{digits}f})"


def _rounded(document: dict[str, object]) -> dict[str, object]:
    out: dict[str, object] = {}
    for key, value in document.items():
        if isinstance(value, dict):
            out[key] = _rounded(value)
        else:
            out[key] = round(value, 4) if isinstance(value, float) else value
    return out
