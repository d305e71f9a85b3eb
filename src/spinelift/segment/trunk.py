"""Rotation of the trunk about its long axis, as the pelvis shows it on a DXA."""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from spinelift.geometry import PixelGrid
from spinelift.geometry.arrays import AnyArray, Float
from spinelift.geometry.resample import resample
from spinelift.segment.postprocess import SpineLocation

PIXEL_MM = 2.4
ABOVE_MM, BELOW_MM = 20.0, 100.0
"""Rows that are looked at, from L5's lower end."""
WINGS_MM = 75.0
"""Height of the part of them that shows the iliac wings, from above."""
INNER_MM, OUTER_MM = 28.0, 150.0
"""Columns that are looked at, from L5's lower end to either side."""
BONE = 1.15
"""Brightness from which a pixel is bone, relative to the median of the region."""
LARGEST_SHIFT_MM = 20.0
"""Farthest that the plane of symmetry is looked for from L5."""
DEG_OF_FEATURES: Float = np.array([-3.0, -16.0, 0.56])
"""Degrees a unit of each of :func:`pelvis_features`: least squares over 120 simulated people, divided by the
slope of the result on the truth (0.80), so that it is right on average."""
ROTATED_DEG = 9.0
"""From here on the trunk counts as rotated. Simulated people exceed it in 6 % when they lie straight, in 68 %
when they are turned by 10° (`benchmarks/bench_rotation.py`)."""


def trunk_rotation_deg(bone: AnyArray, location: SpineLocation) -> float | None:
    """Rotation of the pelvis about the long axis of the trunk, on a bone image [H, W].

    Positive: the front is turned to the patient's left. Estimated from three signs of asymmetry, too coarsely
    for small rotations. None if the image does not show the pelvis.
    """
    features = pelvis_features(bone, location)
    return None if features is None else float(DEG_OF_FEATURES @ features)


def pelvis_features(bone: AnyArray, location: SpineLocation) -> Float | None:
    """What rotation changes [3]: brightness of the left iliac wing over the right one's, and distance of its
    bone from L5 over the right one's (logs); and how far the pelvis' plane of symmetry lies left of L5, mm.

    The wing that lies further forward faces the beam and looks wider; the pelvis lies in front of the axis
    about which a trunk is turned, and moves to the side.
    """
    shape = (round((ABOVE_MM + BELOW_MM) / PIXEL_MM), 2 * round(OUTER_MM / PIXEL_MM))
    x, z = location.bottom_xz_mm
    view = PixelGrid.square((x, z + (BELOW_MM - ABOVE_MM) / 2), PIXEL_MM, shape)
    scan = location.grid.scan
    x0, x1, z0, z1 = (a - b for a, b in zip(view.extent_mm, scan.extent_mm, strict=True))
    if x0 < 0 or x1 > 0 or z0 < 0 or z1 > 0:
        return None
    region = resample(bone, scan, view).astype(np.float64)
    from_l5 = view.x_mm - x
    wings = region[: round(WINGS_MM / PIXEL_MM)]
    bright = np.maximum(wings - BONE * np.median(wings[:, np.abs(from_l5) > INNER_MM]), 0.0).sum(0)
    weight, reach = np.empty(2), np.empty(2)
    for k, side in enumerate((from_l5 > INNER_MM, from_l5 < -INNER_MM)):
        weight[k], reach[k] = bright[side].sum(), (bright * np.abs(from_l5))[side].sum()
    if not weight.all():
        return None
    ratio, distance = np.log(weight[0] / weight[1]), np.log(reach[0] / weight[0] * weight[1] / reach[1])
    return np.array([ratio, distance, _symmetry_mm(region, from_l5)])


def _symmetry_mm(region: Float, x_mm: Float) -> float:
    """Where columns [W] at ``x_mm`` of an image [H, W] are mirrored best, by correlation; spine left out."""
    rows = gaussian_filter1d(region - region.mean(1, keepdims=True), 1.5, axis=1)
    columns, beside = np.arange(len(x_mm)), np.abs(x_mm) > INNER_MM
    best, found = -np.inf, 0
    reach = round(2 * LARGEST_SHIFT_MM / PIXEL_MM)
    for shift in range(-reach, reach + 1):
        other = len(x_mm) - 1 - columns + shift
        pair = (other >= 0) & (other < len(x_mm)) & beside
        pair[pair] = beside[other[pair]]
        r = np.corrcoef(rows[:, columns[pair]].ravel(), rows[:, other[pair]].ravel())[0, 1]
        if r > best:
            best, found = r, shift
    return found * PIXEL_MM / 2


def rotation_warning(degrees: float | None) -> str | None:
    """The warning for a rotation of the trunk; None for a small or unknown one."""
    if degrees is None or abs(degrees) < ROTATED_DEG:
        return None
    turned, wide = ("left", "right") if degrees > 0 else ("right", "left")
    return (
        f"the trunk may be rotated to the {turned} (the {wide} iliac wing looks wider than the other), "
        "which changes the angles"
    )
