"""Slices whose fat and water were exchanged by the reconstruction: found and undone.

Whole stations are, or a part of one from some slice on. Two signs, both odd under the exchange: skin fat
makes the body's rim fatter than its inside, and fat fractions of neighbouring slices, and of two stations
where they overlap, agree. Down the body they form a chain, whose best labelling is found exactly (Viterbi,
IEEE Trans Inf Theory 13 (1967), 260-269).
"""

import itertools
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from spinelift.geometry.arrays import Bool, Float, Float32
from spinelift.io.dixon.compare import correlation, interpolate, overlap, signal_level
from spinelift.io.dixon.match import STEP_MM
from spinelift.io.dixon.slab import Slab
from spinelift.io.dixon.volume import Action, Finding, Trap

RIM_MM = (2.0, 7.0)
"""Depth under the skin that is taken as rim; the outermost 2 mm are half air."""
CORE_MM = 25.0
"""Depth from which on is inside."""
SLICES = 8
"""Slices of a station whose rim is measured."""
RIM_WEIGHT, LINK_WEIGHT = 0.5, 4.0
"""Weights of one rim contrast and of one correlation of neighbours in the sum that is maximised."""
DOUBTFUL = 0.2
"""Sum of all rim contrasts below which it cannot be said whether all slices are swapped."""
RIM_LEVEL, FRACTION_LEVEL = 0.15, 0.2
"""Shares of the 99th percentile above which a pixel is body, and above which its fat fraction is compared:
fractions of faint pixels are noise."""
LEAST_PX = 50
"""Fewest pixels of rim and of inside in a slice whose contrast is measured."""
LEAST_COARSE_PX = 30
"""Fewest coarse pixels on which two slices' fat fractions are compared."""


def undo_swaps(slabs: Sequence[Slab]) -> tuple[list[Slab], list[Finding]]:
    """Slabs with every swapped slice corrected, and a finding a station. Arrays may be changed in place."""
    rims = [rim_contrasts(slab) for slab in slabs]
    links: list[float] = []
    for k, slab in enumerate(slabs):
        links += [LINK_WEIGHT * c for c in neighbour_agreement(slab)]
        if k + 1 < len(slabs):
            links.append(LINK_WEIGHT * agreement(slab, slabs[k + 1]))
    swapped = _label(RIM_WEIGHT * np.concatenate(rims), np.array(links))
    corrected, findings = [], []
    of_slab = np.split(swapped, np.cumsum([len(rim) for rim in rims])[:-1])
    for slab, rim, wrong in zip(slabs, rims, of_slab, strict=True):
        contrast = float(np.median(rim[rim != 0])) if (rim != 0).any() else 0.0
        corrected.append(slab.swapped(wrong) if wrong.any() else slab)
        if wrong.any():
            sentence = "undone in {swapped_slices} of {slices} slices: rim minus inside was {contrast:+.2f}"
            numbers = {"swapped_slices": int(wrong.sum()), "slices": len(wrong), "contrast": contrast}
            findings.append(Finding.of(Trap.SWAP, slab.number, Action.CORRECTED, sentence, **numbers))
    if rims and np.abs(np.concatenate(rims)).sum() < DOUBTFUL:
        sentence = "no rim of skin fat was found: whether fat and water are swapped throughout is not known"
        findings.append(Finding.of(Trap.SWAP, 0, Action.REPORTED, sentence))
    return corrected, findings


def _label(own: Float, links: Float) -> Bool:
    """Signs s (True for −1) that maximise Σ own·s + Σ links·s·s' along a chain; ties go to +1."""
    score = np.array([own[0], -own[0]])
    came: list[tuple[int, int]] = []
    for value, link in zip(own[1:], links, strict=True):
        to_plus, to_minus = score + np.array([link, -link]), score + np.array([-link, link])
        came.append((int(to_plus.argmax()), int(to_minus.argmax())))
        score = np.array([to_plus.max() + value, to_minus.max() - value])
    state = int(score.argmax())
    states = [state]
    for back in reversed(came):
        state = back[state]
        states.append(state)
    return np.array(states[::-1], bool)


def rim_contrasts(slab: Slab) -> Float:
    """[n]: fat fraction of the skin's rim minus that of the inside, −1…1; positive if nothing is swapped.

    0 where it is not measured: in most slices, for speed, and where the body is too small.
    """
    contrasts = np.zeros(len(slab.z))
    picked = np.linspace(0, len(slab.z) - 1, min(SLICES, len(slab.z)) + 2)[1:-1].round().astype(int)
    total = slab.fat[picked] + slab.water[picked]
    level = signal_level(total[:, ::2, ::2], RIM_LEVEL)
    if level <= 0:
        return contrasts
    for k, whole in zip(picked, total, strict=True):
        signal = whole > level
        depth = _depth(signal, slab.grid.voxel_mm)
        rim, core = signal & (depth >= RIM_MM[0]) & (depth <= RIM_MM[1]), signal & (depth >= CORE_MM)
        if min(rim.sum(), core.sum()) > LEAST_PX:
            fraction = slab.fat[k] / np.maximum(whole, 1e-6)
            contrasts[k] = float(np.median(fraction[rim]) - np.median(fraction[core]))
    return contrasts


def _depth(signal: Bool, voxel_mm: float) -> Float:
    """Distance under the skin, mm, [rows, columns]; 0 outside."""
    body = ndimage.binary_fill_holes(ndimage.binary_opening(signal, iterations=1))
    return ndimage.distance_transform_edt(np.pad(body, 1))[1:-1, 1:-1] * voxel_mm


def neighbour_agreement(slab: Slab) -> list[float]:
    """Correlation of the fat fractions of each slice and the next, −1…1."""
    level = signal_level(slab.coarse, FRACTION_LEVEL)
    slices = [(fat, total, level) for fat, total in zip(slab.coarse_fat, slab.coarse, strict=True)]
    return [_fraction_correlation(one, other) for one, other in itertools.pairwise(slices)]


def agreement(upper: Slab, lower: Slab) -> float:
    """Correlation of two stations' fat fractions where they meet, −1…1; 0 if they do not meet."""
    zs = overlap(upper, lower, step=STEP_MM)
    if zs is None:
        return 0.0
    sides = []
    for slab in (upper, lower):
        total = interpolate(zs, slab.z, slab.coarse)
        sides.append((interpolate(zs, slab.z, slab.coarse_fat), total, signal_level(total, FRACTION_LEVEL)))
    return _fraction_correlation(*sides)


def _fraction_correlation(
    one: tuple[Float32, Float32, float], other: tuple[Float32, Float32, float]
) -> float:
    """Correlation of fat fractions, from fat, fat and water together, and the level of the body in them."""
    (fat_a, total_a, level_a), (fat_b, total_b, level_b) = one, other
    body = (total_a > level_a) & (total_b > level_b)
    if body.sum() < LEAST_COARSE_PX:
        return 0.0
    return correlation(fat_a[body] / total_a[body], fat_b[body] / total_b[body])
