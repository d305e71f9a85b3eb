"""What cannot be corrected and must be reported: voids of metal, and bodies wider than the field of view."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from spinelift.geometry.arrays import Bool, Float, Float32
from spinelift.io.dixon.compare import signal_level
from spinelift.io.dixon.stations import Station
from spinelift.io.dixon.volume import STITCH_GRID, Action, Finding, Trap

VOID_LEVEL = 0.12
"""Mean signal of a void, relative to the body's median: noise. Lung has about twice as much."""


@dataclass(frozen=True)
class _Region:
    """Where metal is searched for, and how large it may be before it must be lung, stomach or bowel.

    ``rows_mm`` below the first row; ``lateral_mm`` from the body's middle, either side; ``depth`` from 0,
    the front of the body, to 1.
    """

    rows_mm: tuple[float, float]
    lateral_mm: tuple[float, float]
    depth: tuple[float, float]
    most_ml: float
    reach_mm: float


_BY_THE_SPINE = _Region((0.0, 600.0), (0.0, 35.0), (0.55, 1.0), 250.0, 130.0)
_HIPS = _Region((460.0, 800.0), (35.0, 150.0), (0.25, 0.85), 900.0, 200.0)
LEAST_ML = 3.0
"""Smallest void that is reported: below it, vessels and noise."""
MOST_FINDINGS = 20
"""Voids that are reported at most, from the head down."""
BIN = 2
"""Voxels in a bin, each way, on which voids are searched for."""
NOISE_LEVEL = 0.15
"""Share of the 99th percentile below which a voxel is air or noise."""
BODY_LEVEL = 0.3
"""Share of the body's median signal above which a bin is body."""
EDGE_PX, EDGE_SLICES = 5, 3
"""A station is cut where at least this many pixels of an edge show body in at least this many slices."""


def find_voids(
    water: Float32, fat: Float32, rows: tuple[int, int], voxel_mm: float = STITCH_GRID.voxel_mm
) -> list[Finding]:
    """Signal voids inside the body, where no gas is expected: by the spine, and beside the pelvis.

    Voids of gas (bowel in front, trachea and lungs) are excluded by place and size, and with them metal in
    front of the spine.
    """
    total = _binned(water, rows) + _binned(fat, rows)
    level = float(np.median(total[total > signal_level(total[::2, ::2, ::2], NOISE_LEVEL)]))
    planes = total > BODY_LEVEL * level
    body = np.array([ndimage.binary_fill_holes(ndimage.binary_closing(plane)) for plane in planes])
    dark = body & (ndimage.uniform_filter(total, 3) < VOID_LEVEL * level)
    labels, _ = ndimage.label(dark)
    bin_mm = BIN * voxel_mm
    findings = []
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        inside = labels[box] == index
        ml = float(inside.sum()) * bin_mm**3 / 1000
        size = np.array(inside.shape) * bin_mm
        if ml < LEAST_ML:
            continue
        z, y, x = (float(v) + s.start for v, s in zip(ndimage.center_of_mass(inside), box, strict=True))
        below = z * bin_mm
        depth, lateral = _place(body[round(z)], y, x, bin_mm)
        place = (below, abs(lateral), depth)
        if any(_fits(region, ml, size, place) for region in (_BY_THE_SPINE, _HIPS)):
            sentence = (
                "{volume_ml:.0f} ml, {size_z_mm:.0f}×{size_y_mm:.0f}×{size_x_mm:.0f} mm (z, y, x), "
                "{below_mm:.0f} mm below the first row, {left_mm:+.0f} mm left of the middle"
            )
            numbers = {f"size_{axis}_mm": mm for axis, mm in zip("zyx", size, strict=True)}
            numbers |= {"volume_ml": ml, "below_mm": below, "left_mm": lateral}
            findings.append(Finding.of(Trap.SIGNAL_VOID, 0, Action.REPORTED, sentence, **numbers))
    return findings[:MOST_FINDINGS]


def _fits(region: _Region, ml: float, size: Float, place: tuple[float, float, float]) -> bool:
    ranges = (region.rows_mm, region.lateral_mm, region.depth)
    inside = all(low <= value <= high for (low, high), value in zip(ranges, place, strict=True))
    return inside and ml <= region.most_ml and float(size.max()) <= region.reach_mm


def _binned(volume: Float32, rows: tuple[int, int]) -> Float32:
    """Means of 2×2×2 voxels of the measured rows."""
    part = volume[rows[0] : rows[1] - (rows[1] - rows[0]) % 2]
    part = part[::2] + part[1::2]
    part = part[:, ::2] + part[:, 1::2]
    return (part[:, :, ::2] + part[:, :, 1::2]) / np.float32(8)


def _place(body: Bool, y: float, x: float, bin_mm: float) -> tuple[float, float]:
    """Depth from 0 (front) to 1 (back), and mm to the left of the body's middle."""
    ys, xs = np.nonzero(body)
    if not len(ys):
        return 0.0, 0.0
    front, back = np.percentile(ys, (1, 99))
    return (y - float(front)) / max(float(back - front), 1.0), (x - float(xs.mean())) * bin_mm


def find_cuts(stations: Sequence[Station]) -> list[Finding]:
    """Stations in which the body reaches the edge of the field of view (mostly arms: harmless)."""
    findings = []
    for station in stations:
        sample = station.water[::4, ::4, ::4].astype(np.float32) + station.fat[::4, ::4, ::4]
        level = signal_level(sample, NOISE_LEVEL)
        cut: dict[str, int] = {}
        for name, axis, index in (("right", 2, 1), ("left", 2, -2), ("front", 1, 1), ("back", 1, -2)):
            along = np.take(station.water, index, axis).astype(np.float32) + np.take(station.fat, index, axis)
            slices = int(((along > level).sum(axis=1) >= EDGE_PX).sum())
            if slices >= EDGE_SLICES:
                cut[name] = slices
        if cut and level > 0:
            sentence = f"the body is cut at the {' and '.join(cut)}; the spine is not affected"
            numbers = {f"{name}_slices": slices for name, slices in cut.items()}
            findings.append(Finding.of(Trap.CUT_ARMS, station.number, Action.REPORTED, sentence, **numbers))
    return findings
