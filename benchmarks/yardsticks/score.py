"""Errors of a predictor on yardstick cases, beside the mean curve's, with intervals over people."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.yardsticks.case import YardstickCase
from spinelift.curves import CORONAL, SAGITTAL, Curve
from spinelift.evaluate.bootstrap import Estimate, mean_estimate, resample_counts

Float = NDArray[np.float64]
Predictor = Callable[[NDArray[np.uint8]], tuple[Float, Float]]
"""Images uint8 [n, 224, 224] → curves and half widths of the 90 % interval [n, 6, 209], crop px."""
UNITS = {
    "coronal_mae": "mm", "sagittal_mae": "mm", "deviation_3d": "mm", "coverage90_coronal": "%",
    "coverage90_sagittal": "%", "interval_coronal": "mm", "interval_sagittal": "mm",
}  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """One figure: the model's, the mean curve's, and their ratio (percentile intervals of 95 %)."""

    name: str
    unit: str
    people: int
    model: Estimate
    mean_curve: Estimate | None
    ratio: Estimate | None

    def to_json(self) -> dict[str, object]:
        """As plain lists and numbers."""

        def plain(e: Estimate | None) -> dict[str, object] | None:
            return None if e is None else {"value": e.value, "interval95": [e.low, e.high]}

        return {
            "name": self.name, "unit": self.unit, "people": self.people, "model": plain(self.model),
            "mean_curve": plain(self.mean_curve), "ratio": plain(self.ratio),
        }  # fmt: skip


def case_errors(
    cases: Sequence[YardstickCase], curves: Float, half_width: Float | None = None
) -> dict[str, Float]:
    """Figures of every case [n]; curves [n, 6, 209] in crop px, or [1, 6, 209] for all the same.

    Only rows and curves with a known truth count. Both sagittal zeros are the means of the centre curves
    over those rows, and each case is measured at its own pixel size.
    """
    rows: dict[str, list[float]] = {}
    for k, case in enumerate(cases):
        one = curves[k if len(curves) > 1 else 0]
        pred, true = one[:, case.valid].astype(np.float64), case.curves[:, case.valid].astype(np.float64)
        pred, true = _zeroed(pred) * case.mm_per_px, _zeroed(true) * case.mm_per_px
        error = np.abs(pred - true)
        figures: dict[str, float] = {}
        for name, part in (("coronal", CORONAL), ("sagittal", SAGITTAL)):
            known = case.known[part]
            if not known.any():
                continue
            figures[f"{name}_mae"] = float(error[part][known].mean())
            if half_width is not None:
                half = half_width[k][part][:, case.valid][known] * case.mm_per_px
                figures[f"coverage90_{name}"] = 100 * float((error[part][known] <= half).mean())
                figures[f"interval_{name}"] = float(2 * half.mean())
        if case.known[[Curve.CENTRE, Curve.SAGITTAL]].all():
            figures["deviation_3d"] = float(np.hypot(error[Curve.CENTRE], error[Curve.SAGITTAL]).mean())
        for name, value in figures.items():
            rows.setdefault(name, []).append(value)
    return {name: np.array(rows[name]) for name in UNITS if name in rows}


def _zeroed(curves: Float) -> Float:
    out = curves.copy()
    out[SAGITTAL] -= out[Curve.SAGITTAL].mean()
    return out


def score_cases(
    cases: Sequence[YardstickCase], curves: Float, half_width: Float | None, mean_curves: Float | None
) -> list[Figure]:
    """All figures of predictions [n, 6, 209] (crop px); the bootstrap draws people, not their variants."""
    own = _by_person(cases, case_errors(cases, curves, half_width))
    other = {} if mean_curves is None else _by_person(cases, case_errors(cases, mean_curves[None]))
    people = len({c.person for c in cases})
    counts = resample_counts(people)
    out = []
    for name, values in own.items():
        baseline = other.get(name)
        out.append(
            Figure(
                name,
                UNITS[name],
                people,
                mean_estimate(values, counts),
                None if baseline is None else mean_estimate(baseline, counts),
                None if baseline is None else _ratio(values, baseline, counts),
            )
        )
    return out


def _by_person(cases: Sequence[YardstickCase], figures: dict[str, Float]) -> dict[str, Float]:
    _, person = np.unique([c.person for c in cases], return_inverse=True)
    return {k: np.bincount(person, v) / np.bincount(person) for k, v in figures.items()}


def _ratio(values: Float, baseline: Float, counts: Float) -> Estimate | None:
    if (baseline <= 0).any():  # a baseline without error leaves nothing to compare with
        return None
    rounds = (counts @ values) / (counts @ baseline)
    low, high = np.percentile(rounds, [2.5, 97.5])
    return Estimate(float(values.mean() / baseline.mean()), float(low), float(high))


def predict_cases(
    cases: Sequence[YardstickCase], predictor: Predictor, *, batch: int = 32
) -> tuple[Float, Float]:
    """Curves and half widths [n, 6, 209] of all cases."""
    parts = [
        predictor(np.stack([c.image for c in cases[i : i + batch]])) for i in range(0, len(cases), batch)
    ]
    curves, half = zip(*parts, strict=True)
    return np.concatenate(curves), np.concatenate(half)


def to_markdown(figures: Sequence[Figure]) -> str:
    """A table of figures with their intervals."""
    lines = ["| figure | people | model | mean curve | ratio |", "|---|---|---|---|---|"]
    for f in figures:
        lines.append(
            f"| {f.name} [{f.unit}] | {f.people} "
            f"| {_text(f.model)} | {_text(f.mean_curve)} | {_text(f.ratio)} |"
        )
    return "\n".join(lines) + "\n"


def _text(e: Estimate | None) -> str:
    return "" if e is None else f"{e.value:.2f} ({e.low:.2f} to {e.high:.2f})"
