"""From a spine mask to the two ends of the spine and its three coronal curves."""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import make_smoothing_spline

from spinelift.curves.spine_curves import resample_rows
from spinelift.geometry import SPINE_ROWS, Spacing
from spinelift.geometry.arrays import AnyFloat, Float

SMOOTHING = 2.0
"""Penalty of the smoothing spline on the squared second derivative, z in units of ``SMOOTHING_UNIT_MM``."""
SMOOTHING_UNIT_MM = 10.0
TRIM_ROWS = 3
"""Rows at each end of a mask that are corners, not edges."""
MIN_SPLINE_ROWS = 5
"""Fewest rows that a smoothing spline can be fitted to."""


@dataclass(frozen=True)
class MaskEdges:
    """Edges of a spine mask row by row, mm: heights z [n], left, centre and right x [n] each."""

    z_mm: Float
    left_mm: Float
    centre_mm: Float
    right_mm: Float


def outer_crossings(profile: AnyFloat, level: float) -> tuple[float, float]:
    """First and last position where a profile [n] crosses ``level``, by linear interpolation.

    Outside its ends the profile is 0. At least one value must reach ``level``.
    """
    inside = np.flatnonzero(profile >= level)
    first, last = int(inside[0]), int(inside[-1])
    before = profile[first - 1] if first > 0 else 0.0
    after = profile[last + 1] if last + 1 < len(profile) else 0.0
    above = float((profile[first] - level) / (profile[first] - before))
    return first - above, last + float((profile[last] - level) / (profile[last] - after))


def mask_edges(probability: AnyFloat, spacing: Spacing) -> MaskEdges | None:
    """Edges of one connected spine mask [H, W] with values 0 to 1, to a fraction of a pixel.

    Each row's edges are where the value crosses 0.5; the ends are where the greatest value of the rows does.
    None if fewer than two rows are inside.
    """
    p = np.asarray(probability, np.float64)
    highest = p.max(1)
    rows = np.flatnonzero(highest >= 0.5)
    if len(rows) < 2:
        return None
    right, left = np.array([outer_crossings(p[r], 0.5) for r in rows]).T
    z = rows.astype(np.float64)
    z[[0, -1]] = outer_crossings(highest, 0.5)
    mm = spacing.col_mm
    return MaskEdges(z * spacing.row_mm, left * mm, (left + right) / 2 * mm, right * mm)


def ends_of(edges: MaskEdges) -> tuple[tuple[float, float], tuple[float, float]]:
    """Top and bottom of the spine, (x, z) in mm; x is read ``TRIM_ROWS`` further inside."""
    inset = min(TRIM_ROWS, (len(edges.z_mm) - 1) // 2)
    top, bottom = edges.centre_mm[inset], edges.centre_mm[-1 - inset]
    return (float(top), float(edges.z_mm[0])), (float(bottom), float(edges.z_mm[-1]))


def smooth_rows(z_mm: Float, values: Float, z_new: Float) -> Float:
    """Values [k, n] at the heights of a mask's rows, z [n] → smooth values [k, m] at heights z_new [m].

    The first and last ``TRIM_ROWS`` are left out; beyond the rest the curves are extrapolated linearly.
    Raises ValueError if there are too few rows.
    """
    trim = min(TRIM_ROWS, (len(z_mm) - MIN_SPLINE_ROWS) // 2)
    if trim < 0:
        raise ValueError(f"a mask of {len(z_mm)} rows is too short for curves")
    core = slice(trim, len(z_mm) - trim)
    z = z_mm[core] / SMOOTHING_UNIT_MM
    even = np.linspace(z[0], z[-1], SPINE_ROWS)
    smooth = np.stack([make_smoothing_spline(z, row[core], lam=SMOOTHING)(even) for row in values])
    return resample_rows(even * SMOOTHING_UNIT_MM, smooth, z_new)


def coronal_from_edges(edges: MaskEdges) -> tuple[Float, Float]:
    """209 even heights [209] and smooth left, centre, right curves [3, 209] in mm."""
    z = np.linspace(edges.z_mm[0], edges.z_mm[-1], SPINE_ROWS)
    return z, smooth_rows(edges.z_mm, np.stack([edges.left_mm, edges.centre_mm, edges.right_mm]), z)
