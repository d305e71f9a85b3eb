"""Predictions of one model for one fold, with every measure of each spine, as one file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spinelift.curves import CORONAL, SAGITTAL
from spinelift.evaluate.pairs import score_pairs
from spinelift.evaluate.table import columns
from spinelift.files import make_folder, whole_file
from spinelift.geometry.arrays import AnyFloat, Float, Integers
from spinelift.store.memory import Pairs

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Nominal coverages of the intervals that are checked."""
_ARRAYS = ("row", "eid", "fold", "curves", "error_mm", "covered")
ANGLES = ("ferguson", "kyphosis", "lordosis")


@dataclass(frozen=True)
class Scored:
    """Predictions for n pairs.

    ``row`` [n] in the cohort's store, ``eid`` [n], ``fold`` [n] of the model. ``curves`` [n, 6, 209] crop px.
    ``metrics``: each [n]. ``angles``: ``<angle>`` predicted and ``true_<angle>`` [n], degrees. ``error_mm``
    [n, 2, 209]: mean absolute error of the coronal and sagittal curves at each height. ``covered`` [n, 2,
    levels]: share of the points of each view inside the interval of each of ``LEVELS``; empty without
    intervals. ``factors`` [levels, 6, 209]: what calibrating on these pairs gives; empty without a scale.
    """

    row: Integers
    eid: Integers
    fold: Integers
    curves: AnyFloat
    error_mm: AnyFloat
    metrics: dict[str, Float]
    angles: dict[str, Float]
    covered: Float = field(default_factory=lambda: np.empty(0))
    factors: Float = field(default_factory=lambda: np.empty(0))

    def __len__(self) -> int:
        return len(self.row)

    def save(self, path: Path) -> None:
        """Write one ``.npz``, whole or not at all."""
        make_folder(path.parent)
        named = {f"{kind}/{k}": v for kind in ("metrics", "angles") for k, v in getattr(self, kind).items()}
        plain = {name: value for name, value in vars(self).items() if not isinstance(value, dict)}
        with whole_file(path) as file:
            np.savez(file, **plain, **named)

    @classmethod
    def load(cls, path: Path) -> "Scored":
        """Read what :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as held:
            fields: dict[str, Any] = {name: held[name] for name in held.files if "/" not in name}
            for kind in ("metrics", "angles"):
                names = [name for name in held.files if name.startswith(f"{kind}/")]
                fields[kind] = {name.split("/")[1]: held[name] for name in names}
        return cls(**fields)

    @classmethod
    def join(cls, parts: list["Scored"]) -> "Scored":
        """All pairs of several folds; without factors."""
        fields: Any = {n: np.concatenate([getattr(part, n) for part in parts]) for n in _ARRAYS}
        for kind in ("metrics", "angles"):
            names = getattr(parts[0], kind)
            fields[kind] = {k: np.concatenate([getattr(part, kind)[k] for part in parts]) for k in names}
        return cls(**fields)


def score_model(
    predicted: AnyFloat, pairs: Pairs, rows: Integers, fold: int, *, iou_step_mm: float | None,
    scale: AnyFloat | None = None, factors: Float | None = None, fresh: Float | None = None,
) -> Scored:  # fmt: skip
    """Measure predictions [n, 6, 209], crop px, against the curves of the pairs.

    With ``scale`` [n, 6, 209] and the calibration ``factors`` [levels, 6, 209], coverage is measured too.
    ``fresh`` are factors of a calibration on these very pairs, to be kept.
    """
    curves = predicted.astype(np.float64)
    half = None if scale is None or factors is None else scale * factors[LEVELS.index(0.9)]
    scores = score_pairs(curves, pairs, half_width=half, iou_step_mm=iou_step_mm)
    names = [which + name for name in ANGLES for which in ("", "true_")]
    angles = {name: np.array([score[f"{name}_deg"] for score in scores]) for name in names}
    error = np.abs(curves - pairs.curves)
    covered = np.empty(0)
    if scale is not None and factors is not None:
        inside = error[:, None] <= scale[:, None] * factors
        covered = np.stack([inside[:, :, part].mean((2, 3)) for part in (CORONAL, SAGITTAL)], 1)
    mm_error = error * pairs.mm_per_px[:, None, None]
    return Scored(
        row=rows, eid=pairs.eid, fold=np.full(len(rows), fold), curves=curves.astype(np.float32),
        error_mm=np.stack([mm_error[:, part].mean(1) for part in (CORONAL, SAGITTAL)], 1).astype(np.float32),
        metrics=columns(scores),
        angles=angles,
        covered=covered, factors=np.empty(0) if fresh is None else fresh,
    )  # fmt: skip
