"""Yardstick 1: the real chest CT projected as a DXA, through the simulator's physics and tone.

Its field of view ends within L3: rows below L2's lower endplate have no truth and, in the picture, no body.
The crop lies as if the spine went on to L5 in the prior's mean proportions.
"""

import numpy as np
from numpy.typing import NDArray

from benchmarks.yardsticks.anatomy import LAST_WHOLE, ct_spine
from benchmarks.yardsticks.case import YardstickCase, photograph, trunk_view
from benchmarks.yardsticks.volume import CtVolume, load_ct
from spinelift.geometry import PixelGrid
from spinelift.simulate.body.spine import PosedSpine
from spinelift.simulate.dxa.xray import acquire, sample_scanner

Float = NDArray[np.float64]


def project_volume(volume: CtVolume, view: PixelGrid) -> Float:
    """Integrate along y: maps of bone, lean and fat [3, rows, cols] in g/cm², each pixel its area's mean."""
    dz, dy, dx = volume.spacing
    maps = volume.density.sum(2, dtype=np.float64) * dy / 10
    for axis, size, first, count, pixel in (
        (1, dz, view.origin_mm[1], view.shape[0], view.spacing.row_mm),
        (2, dx, view.origin_mm[0], view.shape[1], view.spacing.col_mm),
    ):
        edges = np.arange(maps.shape[axis] + 1) * size - size / 2
        total = np.concatenate([np.zeros_like(maps.take([0], axis)), np.cumsum(maps, axis) * size], axis)
        want = first + (np.arange(count + 1) - 0.5) * pixel
        where = np.clip(np.interp(want, edges, np.arange(len(edges))), 0, len(edges) - 1)
        low = np.minimum(where.astype(int), len(edges) - 2)
        shape = [1, 1, 1]
        shape[axis] = len(want)
        t = (where - low).reshape(shape)
        at = total.take(low, axis) * (1 - t) + total.take(low + 1, axis) * t
        maps = np.diff(at, axis=axis) / pixel
    return np.asarray(maps)


def known_rows(spine: PosedSpine) -> NDArray[np.bool_]:
    """Rows between T1's upper and L2's lower endplate, bool [209]."""
    z, _ = spine.curves_mm()
    end = spine.centres[LAST_WHOLE] + spine.size[LAST_WHOLE, 2] / 2 * spine.frames[LAST_WHOLE, :, 2]
    return np.asarray(z <= end[2])


def ct_cases(*, settings: int = 12, seed: int = 11) -> list[YardstickCase]:
    """The CT under ``settings`` random scanner settings; all are one person."""
    volume, spine = load_ct(), ct_spine()
    cases = []
    for k in range(settings):
        rng = np.random.default_rng([seed, k])
        view = trunk_view(spine, rng)
        bone, _ = acquire(project_volume(volume, view), sample_scanner(rng), rng)
        cases.append(photograph(f"ct/{k:02d}", bone, view, spine, known_rows(spine)))
    return cases
