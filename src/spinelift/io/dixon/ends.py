"""Dark, ghosted and folded slices at the ends of a station: found by comparison with the slices inside."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spinelift.io.dixon.overlap import interpolate
from spinelift.io.dixon.slab import Slab
from spinelift.io.dixon.volume import Action, Finding, Trap

MAX_BAD = 4
"""Slices that can be bad at one end; others have met 2 to 4."""
DARK = 0.58
"""Brightness, relative to the sound slice inside, below which a slice is dark."""
_REFERENCE = MAX_BAD + 1
_CONTROLS = 6
_UNLIKE = 2.5
_UNLIKE_OFFSET = 0.06
_CONFIRMED = 1.5
_CONFIRMED_OFFSET = 0.02


def drop_bad_ends(slabs: Sequence[Slab]) -> tuple[list[Slab], list[Finding]]:
    """Slabs without their bad end slices, and which were dropped."""
    kept, findings = [], []
    for upper, slab, lower in zip([None, *slabs[:-1]], slabs, [*slabs[1:], None], strict=True):
        head = _bad(slab.coarse, _seen_by(upper, slab))
        feet = _bad(slab.coarse[::-1], _seen_by(lower, slab)[::-1])
        if head or feet:
            detail = f"{head} slices at the head end and {feet} at the feet end dropped"
            findings.append(Finding(Trap.END_SLICES, slab.number, Action.MENDED, detail))
            slab = slab.without(head, feet)
        kept.append(slab)
    return kept, findings


def _seen_by(other: Slab | None, slab: Slab) -> NDArray[np.float64]:
    """Likeness of each slice [n] to what a neighbour measured at its height; NaN where it did not."""
    seen = np.full(len(slab.z), np.nan)
    if other is not None:
        common = np.flatnonzero((slab.z >= other.z[0]) & (slab.z <= other.z[-1]))
        theirs = interpolate(slab.z[common], other.z, other.coarse)
        seen[common] = [_likeness(slab.coarse[k], there) for k, there in zip(common, theirs, strict=True)]
    return seen


def _bad(total: NDArray[np.float32], neighbour: NDArray[np.float64]) -> int:
    """How many slices at the start of [n, rows, columns] are bad.

    A slice is bad when it is much darker than the first slice that is sure to be sound, or resembles it
    much less than sound slices at the same distance resemble each other; but not where the body itself
    changes as fast, which the neighbouring station shows: ``neighbour`` [n] is how it resembles that one's.
    """
    if len(total) < _REFERENCE + _CONTROLS + MAX_BAD:
        return 0
    body = 0.15 * float(np.percentile(total, 99))
    reference = total[_REFERENCE]
    for k in reversed(range(MAX_BAD)):
        lag = _REFERENCE - k
        controls = range(_REFERENCE, min(_REFERENCE + _CONTROLS, len(total) - lag))
        control = min(_likeness(total[m], total[m + lag]) for m in controls)
        unlike = 1 - _likeness(total[k], reference) > _UNLIKE * (1 - control) + _UNLIKE_OFFSET
        confirmed = 1 - neighbour[k] <= _CONFIRMED * (1 - neighbour[_REFERENCE]) + _CONFIRMED_OFFSET
        if (unlike and not confirmed) or _brightness(total[k], reference, body) < DARK:
            return k + 1
    return 0


def _likeness(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Pearson correlation of two slices; 0 if one is blank."""
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 0 else 0.0


def _brightness(slice_: NDArray[np.float32], reference: NDArray[np.float32], body: float) -> float:
    """Brightness relative to the reference, where both hold body; 0 if they share less than a quarter."""
    inside = reference > body
    common = inside & (slice_ > 0.3 * body)
    if common.sum() < 0.25 * inside.sum():
        return 0.0
    return float(slice_[common].sum() / max(float(reference[common].sum()), 1e-6))
