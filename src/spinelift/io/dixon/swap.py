"""Slices whose fat and water were exchanged by the reconstruction: found and undone.

Whole stations are, or a part of one from some slice on. Two signs, both odd under the exchange: skin fat
makes the body's rim fatter than its inside, and fat fractions of neighbouring slices, and of two stations
where they overlap, agree. Down the body they form a chain, whose best labelling is found exactly (Viterbi,
IEEE Trans Inf Theory 13 (1967), 260-269).
"""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from spinelift.io.dixon.overlap import overlap
from spinelift.io.dixon.slab import Slab
from spinelift.io.dixon.volume import GRID_MM, Action, Finding, Trap

RIM_MM = (2.0, 7.0)
"""Depth under the skin that is taken as rim; the outermost 2 mm are half air."""
CORE_MM = 25.0
"""Depth from which on is inside."""
_SLICES = 8
_RIM_WEIGHT = 0.5
_LINK_WEIGHT = 4.0
_DOUBTFUL = 0.2

Volume = NDArray[np.float32]


def undo_swaps(slabs: Sequence[Slab]) -> tuple[list[Slab], list[Finding]]:
    """Slabs with every swapped slice put right, and which they were. Arrays may be changed in place."""
    rims = [rim_contrasts(slab) for slab in slabs]
    links: list[float] = []
    for k, slab in enumerate(slabs):
        links += [_LINK_WEIGHT * c for c in neighbour_agreement(slab)]
        if k + 1 < len(slabs):
            links.append(_LINK_WEIGHT * agreement(slab, slabs[k + 1]))
    swapped = _label(_RIM_WEIGHT * np.concatenate(rims), np.array(links))
    mended, findings = [], []
    for slab, rim, wrong in zip(slabs, rims, _split(swapped, slabs), strict=True):
        contrast = float(np.median(rim[rim != 0])) if (rim != 0).any() else 0.0
        mended.append(slab.swapped(wrong) if wrong.any() else slab)
        if wrong.any():
            part = "all slices" if wrong.all() else f"{int(wrong.sum())} of {len(wrong)} slices"
            detail = f"undone in {part}: rim minus inside fat fraction was {contrast:+.2f}"
            findings.append(Finding(Trap.SWAP, slab.number, Action.MENDED, detail))
    if rims and np.abs(np.concatenate(rims)).sum() < _DOUBTFUL:
        detail = "no rim of skin fat was seen: whether fat and water are swapped throughout is not known"
        findings.append(Finding(Trap.SWAP, 0, Action.REPORTED, detail))
    return mended, findings


def _split(labels: NDArray[np.bool_], slabs: Sequence[Slab]) -> list[NDArray[np.bool_]]:
    return np.split(labels, np.cumsum([len(slab.z) for slab in slabs])[:-1])


def _label(own: NDArray[np.float64], links: NDArray[np.float64]) -> NDArray[np.bool_]:
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


def rim_contrasts(slab: Slab) -> NDArray[np.float64]:
    """[n]: fat fraction of the skin's rim minus that of the inside, −1…1; positive if nothing is swapped.

    0 where it is not measured: in most slices, for speed, and where the body is too small.
    """
    contrasts = np.zeros(len(slab.z))
    picked = np.linspace(0, len(slab.z) - 1, min(_SLICES, len(slab.z)) + 2)[1:-1].round().astype(int)
    total = slab.fat[picked] + slab.water[picked]
    level = 0.15 * float(np.percentile(total[:, ::2, ::2], 99))
    if level <= 0:
        return contrasts
    for k, whole in zip(picked, total, strict=True):
        signal = whole > level
        depth = _depth(signal)
        rim, core = signal & (depth >= RIM_MM[0]) & (depth <= RIM_MM[1]), signal & (depth >= CORE_MM)
        if rim.sum() > 50 and core.sum() > 50:
            fraction = slab.fat[k] / np.maximum(whole, 1e-6)
            contrasts[k] = float(np.median(fraction[rim]) - np.median(fraction[core]))
    return contrasts


def _depth(signal: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distance under the skin, mm, [rows, columns]; 0 outside."""
    body = ndimage.binary_fill_holes(ndimage.binary_opening(signal, iterations=1))
    depth: NDArray[np.float64] = ndimage.distance_transform_edt(np.pad(body, 1))[1:-1, 1:-1]
    return depth * GRID_MM


def neighbour_agreement(slab: Slab) -> list[float]:
    """Correlation of the fat fractions of each slice and the next, −1…1."""
    fat, total = slab.coarse_fat, slab.coarse
    level = 0.2 * float(np.percentile(total, 99))
    pairs = itertools.pairwise(range(len(slab.z)))
    return [_correlation(fat[a], total[a], fat[b], total[b], (level, level)) for a, b in pairs]


def agreement(upper: Slab, lower: Slab) -> float:
    """Correlation of two stations' fat fractions where they meet, −1…1; 0 if they do not meet."""
    zs = overlap(upper, lower, step=4.0)
    if zs is None:
        return 0.0
    (fat_a, total_a), (fat_b, total_b) = (
        (zs.of(slab.z, slab.coarse_fat), zs.of(slab.z, slab.coarse)) for slab in (upper, lower)
    )
    levels = 0.2 * float(np.percentile(total_a, 99)), 0.2 * float(np.percentile(total_b, 99))
    return _correlation(fat_a, total_a, fat_b, total_b, levels)


def _correlation(
    fat_a: Volume, total_a: Volume, fat_b: Volume, total_b: Volume, levels: tuple[float, float]
) -> float:
    body = (total_a > levels[0]) & (total_b > levels[1])
    if body.sum() < 30:
        return 0.0
    one, other = fat_a[body] / total_a[body], fat_b[body] / total_b[body]
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / scale if scale > 0 else 0.0
