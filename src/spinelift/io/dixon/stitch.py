"""Stations to one body: signals matched in the overlaps, slices blended along the body without seams.

Each station's log gain is a number plus a smooth field. The numbers make neighbours' medians equal; what
is left between two neighbours is shared half and half, and fades along each to its other neighbour.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from spinelift.geometry.arrays import Float, Float32
from spinelift.io.dixon.compare import interpolate
from spinelift.io.dixon.coverage import MAX_GAP_MM
from spinelift.io.dixon.match import Match, match
from spinelift.io.dixon.slab import Slab
from spinelift.io.dixon.volume import Action, Finding, Trap

STEP_REPORTED = 0.5
"""Natural logarithm of the ratio of two stations' signal from which on it is reported: a factor of 1.65.
Smaller ones are usual between receivers; they are matched all the same."""
OFFSET_REPORTED_MM = (3.0, 8.5, 18.0)
"""Offset to the left, to posterior and to the feet from which on it is reported. Smaller ones are usual: no
two breath-holds are alike. The limits were chosen on simulated people with and without each flaw: see
docs/cohort.md."""


def stitch(slabs: Sequence[Slab]) -> tuple[Float32, Float32, tuple[int, int], list[Finding]]:
    """Water, fat [700, 224, 224], measured rows (first, last + 1), and findings.

    Row 0 is the first slice of the first slab. The slabs' arrays are changed in place.
    """
    matches = [match(upper, lower) for upper, lower in itertools.pairwise(slabs)]
    findings = _findings(slabs, matches)
    _equalise(slabs, matches)
    grid = slabs[0].grid
    z = slabs[0].z[0] + grid.voxel_mm * np.arange(grid.shape[0])
    weights = _weights(slabs, z)
    filled = np.flatnonzero(weights.sum(axis=0) > 0)
    shared = np.flatnonzero((weights > 0).sum(axis=0) > 1)
    shares = np.zeros((len(shared), *grid.shape[1:]), np.float32)
    for slab, weight in zip(slabs, weights, strict=True):
        for share, k in zip(shares, shared, strict=True):
            share += np.float32(weight[k]) * slab.inside
    water, fat = (_blend([getattr(s, name) for s in slabs], slabs, z, weights) for name in ("water", "fat"))
    scales = np.divide(1, shares, out=shares, where=shares > 0)
    water[shared] *= scales
    fat[shared] *= scales
    return water, fat, (int(filled[0]), int(filled[-1]) + 1), findings


def _blend(parts: Sequence[Float32], slabs: Sequence[Slab], z: Float, weights: Float) -> Float32:
    out = np.zeros(slabs[0].grid.shape, np.float32)
    for part, slab, weight in zip(parts, slabs, weights, strict=True):
        for rows in np.array_split(np.flatnonzero(weight), 8):
            if len(rows):
                values = interpolate(z[rows], slab.z, part)
                values *= weight[rows].astype(np.float32)[:, None, None]
                out[rows[0] : rows[-1] + 1] += values
    return out


def _weights(slabs: Sequence[Slab], z: Float) -> Float:
    """[slabs, rows], sum 1 where measured: a smooth step in each overlap, a ramp over each small gap."""
    weights = np.ones((len(slabs), len(z)))
    weights[0, z < slabs[0].z[0]] = 0
    weights[-1, z > slabs[-1].z[-1]] = 0
    for k, (upper, lower) in enumerate(itertools.pairwise(slabs)):
        top, bottom = float(lower.z[0]), float(upper.z[-1])
        if top - bottom > MAX_GAP_MM:
            weights[: k + 1, z > bottom] = 0
            weights[k + 1 :, z < top] = 0
            continue
        low, high = min(top, bottom), max(top, bottom)
        t = np.clip((z - low) / max(high - low, 1e-6), 0, 1)
        if bottom > top:
            t = t * t * (3 - 2 * t)
        weights[: k + 1] *= 1 - t
        weights[k + 1 :] *= t
    total = weights.sum(axis=0)
    scaled: Float = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return scaled


def _equalise(slabs: Sequence[Slab], matches: Sequence[Match]) -> None:
    """Multiply each slice by its gain field, in place."""
    gains = -np.concatenate([[0.0], np.cumsum([m.log_gain for m in matches])])
    gains -= np.median(gains)
    flat = np.zeros(slabs[0].grid.shape[1:], np.float32)
    halves = [flat, *(_fine(np.float32(0.5) * m.log_bias, slabs[0].grid.coarse) for m in matches), flat]
    middles = [(upper.z[-1] + lower.z[0]) / 2 for upper, lower in itertools.pairwise(slabs)]
    ends = [slabs[0].z[0], *middles, slabs[-1].z[-1]]
    for k, slab in enumerate(slabs):
        along = np.clip((slab.z - ends[k]) / max(ends[k + 1] - ends[k], 1e-6), 0, 1).astype(np.float32)
        for i, t in enumerate(along):
            field = np.exp(halves[k + 1] * t - halves[k] * (1 - t) + np.float32(gains[k]))
            slab.water[i] *= field
            slab.fat[i] *= field


def _fine(coarse: Float32, block: int) -> Float32:
    """Coarse pixels enlarged linearly to ``block`` × ``block`` voxels each."""
    return ndimage.zoom(coarse, block, order=1, mode="nearest", grid_mode=True)


def _findings(slabs: Sequence[Slab], matches: Sequence[Match]) -> list[Finding]:
    findings = []
    for slab, found in zip(slabs, matches, strict=False):
        if abs(found.log_gain) > STEP_REPORTED:
            sentence = "the next station is {factor:.2f} times as bright; matched"
            factor = math.exp(found.log_gain)
            step = Finding.of(Trap.INTENSITY_STEP, slab.number, Action.CORRECTED, sentence, factor=factor)
            findings.append(step)
        for half, offset_mm in (("front", found.front_mm), ("back", found.back_mm)):
            if (np.abs(offset_mm) > OFFSET_REPORTED_MM).any():
                sentence = (
                    f"{half} of the next station {{left_mm:+.1f}} mm left, {{posterior_mm:+.1f}} posterior, "
                    "{feet_mm:+.1f} to the feet"
                )
                numbers = dict(zip(("left_mm", "posterior_mm", "feet_mm"), offset_mm, strict=True))
                offset = Finding.of(Trap.BREATHING_OFFSET, slab.number, Action.REPORTED, sentence, **numbers)
                findings.append(offset)
    return findings
