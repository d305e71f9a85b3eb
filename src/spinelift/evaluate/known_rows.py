"""Curves of which only some rows are known: their sagittal zero, and filling of the other rows."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from spinelift.curves import SAGITTAL, Curve
from spinelift.geometry.arrays import AnyFloat, Bool

F = TypeVar("F", bound=np.floating[Any])
ROUNDS = 20
"""Times that the mean curve and the people's sagittal zeros are found, each from the other."""


def level_difference(difference: NDArray[F], valid: Bool) -> NDArray[F]:
    """Differences [n, 6, 209] of curves, sagittal ones from the mean of the centre one over the rows
    ``valid`` [n, 209]; unchanged if all are."""
    if valid.all():
        return difference
    out = np.array(difference, copy=True)
    zero = (out[:, Curve.SAGITTAL] * valid).sum(1) / np.maximum(valid.sum(1), 1)
    out[:, SAGITTAL] -= zero[:, None, None]
    return out


def fill_rows(curves: AnyFloat, valid: Bool) -> AnyFloat:
    """Curves [n, 6, 209] with the people's mean curve in the rows that are not ``valid`` [n, 209].

    The sagittal zero of each person is where the known rows fit the mean curve best. A row that nobody has
    keeps its values. Unchanged if all rows are known.
    """
    if valid.all():
        return curves
    known, count = valid[:, None], valid.sum(0)
    out = curves.astype(np.float64)
    mean = out.mean(0)
    for _ in range(ROUNDS):
        out = level_difference(out - mean, valid) + mean
        mean = np.where(count, (out * known).sum(0) / np.maximum(count, 1), mean)
    filled = np.where(known | (count == 0), out, mean)
    filled[:, SAGITTAL] -= filled[:, Curve.SAGITTAL].mean(1)[:, None, None]
    return filled.astype(curves.dtype)
