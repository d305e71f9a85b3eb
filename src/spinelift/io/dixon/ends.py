"""Dark, ghosted and folded slices at the ends of a station: found by comparison with the slices inside."""

from collections.abc import Sequence

import numpy as np

from spinelift.geometry.arrays import Float, Float32
from spinelift.io.dixon.compare import correlation, interpolate, signal_level
from spinelift.io.dixon.slab import Slab
from spinelift.io.dixon.volume import Action, Finding, Trap

MAX_BAD = 4
"""Most slices that can be bad at one end; 2 to 4 have been reported."""
DARK = 0.58
"""Brightness, relative to the reference slice, below which a slice is dark."""
REFERENCE = MAX_BAD + 1
"""Index, from the end, of the reference slice: the first that is sure to be good."""
CONTROLS = 6
"""Good slices, from the reference on, that show how fast the body itself changes along the station."""
UNLIKE, UNLIKE_OFFSET = 2.5, 0.06
"""A slice is unlike the reference if 1 − r exceeds this multiple of the controls' largest, plus offset."""
CONFIRMED, CONFIRMED_OFFSET = 1.5, 0.02
"""The neighbouring station confirms a slice if 1 − r between both is at most this multiple of the reference
slice's, plus offset."""
BODY_LEVEL = 0.15
"""Share of the 99th percentile above which a voxel is body."""
FAINT = 0.3
"""Share of the body level below which a voxel of a dark slice is not compared."""
LEAST_COMMON = 0.25
"""Least share of the reference's body that a slice must show to be compared by brightness."""


def drop_bad_ends(slabs: Sequence[Slab]) -> tuple[list[Slab], list[Finding]]:
    """Slabs without their bad end slices, and a finding for each slab that lost some."""
    kept, findings = [], []
    for upper, slab, lower in zip([None, *slabs[:-1]], slabs, [*slabs[1:], None], strict=True):
        head = _bad(slab.coarse, _likeness(upper, slab))
        feet = _bad(slab.coarse[::-1], _likeness(lower, slab)[::-1])
        if head or feet:
            sentence = "{head_slices} slices at the head end and {feet_slices} at the feet end dropped"
            numbers = {"head_slices": head, "feet_slices": feet}
            findings.append(Finding.of(Trap.END_SLICES, slab.number, Action.CORRECTED, sentence, **numbers))
            slab = slab.without(head, feet)
        kept.append(slab)
    return kept, findings


def _likeness(other: Slab | None, slab: Slab) -> Float:
    """Correlation of each slice [n] with a neighbour's at the same height; NaN where there is none."""
    likeness = np.full(len(slab.z), np.nan)
    if other is not None:
        common = np.flatnonzero((slab.z >= other.z[0]) & (slab.z <= other.z[-1]))
        theirs = interpolate(slab.z[common], other.z, other.coarse)
        likeness[common] = [correlation(slab.coarse[k], same) for k, same in zip(common, theirs, strict=True)]
    return likeness


def _bad(total: Float32, neighbour: Float) -> int:
    """How many slices at the start of [n, rows, columns] are bad.

    A slice is bad when it is much darker than the reference, or resembles it much less than good slices at
    the same distance resemble each other; but not where the body itself changes as fast, which the
    neighbouring station shows: ``neighbour`` [n] is the correlation with its slices.
    """
    if len(total) < REFERENCE + CONTROLS + MAX_BAD:
        return 0
    body = signal_level(total, BODY_LEVEL)
    reference = total[REFERENCE]
    for k in reversed(range(MAX_BAD)):
        lag = REFERENCE - k
        controls = range(REFERENCE, min(REFERENCE + CONTROLS, len(total) - lag))
        control = min(correlation(total[m], total[m + lag]) for m in controls)
        unlike = 1 - correlation(total[k], reference) > UNLIKE * (1 - control) + UNLIKE_OFFSET
        confirmed = 1 - neighbour[k] <= CONFIRMED * (1 - neighbour[REFERENCE]) + CONFIRMED_OFFSET
        if (unlike and not confirmed) or _brightness(total[k], reference, body) < DARK:
            return k + 1
    return 0


def _brightness(slice_: Float32, reference: Float32, body: float) -> float:
    """Brightness relative to the reference, where both show body; 0 if they share too little of it."""
    inside = reference > body
    common = inside & (slice_ > FAINT * body)
    if common.sum() < LEAST_COMMON * inside.sum():
        return 0.0
    return float(slice_[common].sum() / max(float(reference[common].sum()), 1e-6))
