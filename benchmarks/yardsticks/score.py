"""Errors of a predictor on yardstick cases, beside the mean curve's, with intervals over people."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.yardsticks.case import YardstickCase
from benchmarks.yardsticks.sagittal import MEAN_CURVE, sagittal_rows
from spinelift.evaluate.metrics import curve_metrics
from spinelift.evaluate.table import Row, columns, table_rows

Float = NDArray[np.float64]
Predictor = Callable[[NDArray[np.uint8]], tuple[Float, Float]]
"""Images uint8 [n, 224, 224] → curves and half widths of the 90 % interval [n, 6, 209], crop px."""
SHOWN = (
    "coronal_mae_mm", "sagittal_mae_mm", "sagittal_centre_mae_mm", "deviation3d_mm",
    "coronal_coverage90_percent", "sagittal_coverage90_percent",
    "coronal_interval90_mm", "sagittal_interval90_mm",
)  # fmt: skip
"""Metrics of the tables."""


def case_errors(
    cases: Sequence[YardstickCase], curves: Float, half_width: Float | None = None
) -> dict[str, Float]:
    """Metrics of every case [n]; curves [n, 6, 209] in crop px, or [1, 6, 209] for all the same.

    Only rows and curves with a known truth count. Both sagittal zeros are the means of the centre curves
    over those rows, and each case is measured at its own pixel size.
    """
    scores = []
    for k, case in enumerate(cases):
        one = curves[k if len(curves) > 1 else 0]
        pred, true = (c[:, case.valid].astype(np.float64) * case.mm_per_px for c in (one, case.curves))
        half = None if half_width is None else half_width[k][:, case.valid] * case.mm_per_px
        scores.append(curve_metrics(pred, true, half_width_mm=half, known=case.known))
    found = columns(scores)
    return {name: found[name] for name in SHOWN if name in found}


def score_cases(
    cases: Sequence[YardstickCase], curves: Float, half_width: Float | None, mean_curves: Float | None
) -> list[Row]:
    """Metrics of predictions [n, 6, 209] (crop px), then the parts of the sagittal centre curve.

    The bootstrap draws people, not their variants.
    """
    own = _by_person(cases, case_errors(cases, curves, half_width))
    other = {} if mean_curves is None else _by_person(cases, case_errors(cases, mean_curves[None]))
    rows = table_rows(own, {MEAN_CURVE: other} if other else {})
    return rows + sagittal_rows(cases, curves, mean_curves)


def _by_person(cases: Sequence[YardstickCase], figures: dict[str, Float]) -> dict[str, Float]:
    _, person = np.unique([c.person for c in cases], return_inverse=True)
    return {k: np.bincount(person, v) / np.bincount(person) for k, v in figures.items()}


def predict_cases(
    cases: Sequence[YardstickCase], predictor: Predictor, *, batch: int = 32
) -> tuple[Float, Float]:
    """Curves and half widths [n, 6, 209] of all cases."""
    parts = [
        predictor(np.stack([c.image for c in cases[i : i + batch]])) for i in range(0, len(cases), batch)
    ]
    curves, half = zip(*parts, strict=True)
    return np.concatenate(curves), np.concatenate(half)
