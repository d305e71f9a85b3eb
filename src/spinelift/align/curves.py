"""The six curves of a pair: coronal ones from the DXA's mask, sagittal ones from the aligned MRI's."""

import numpy as np

from spinelift.align.keypoints import no_column
from spinelift.align.plane import PlaneMask
from spinelift.curves import CORONAL, SAGITTAL, SpineCurves, resample_rows
from spinelift.curves.masks import coronal_from_edges, mask_edges, outer_crossings, smooth_rows
from spinelift.errors import NoSpineError
from spinelift.geometry import SPINE_ROWS, RigidTransform2D, SpineFrame
from spinelift.geometry.arrays import Float
from spinelift.segment.mri import MriSpine

MIN_COVERED = 0.85
"""Least share of the DXA's spine, by height, that the MRI's must hold."""
LEVEL = 0.3
"""Front and back lie where the cross-section is this share of its full width."""
LEVEL_REACH = float(np.sqrt(1 - LEVEL**2))
"""Where that is on an ellipse, as a share of its half depth."""
FULL_WIDTH_ROWS = 3
"""Number of widest rows of a cross-section whose mean is its full width."""


def sagittal_edges(spine: MriSpine) -> Float:
    """Points of the MRI's column, row by row [n, 5]: x, z of its middle, front, centre and back y, mm."""
    rows = np.flatnonzero(spine.mask.any((1, 2)))
    width = spine.mask[rows].sum(2, dtype=np.float64)
    level = LEVEL * np.sort(width, 1)[:, -FULL_WIDTH_ROWS:].mean(1)
    front, back = np.array([outer_crossings(w, v) for w, v in zip(width, level, strict=True)]).T
    middle, half = (front + back) / 2, (back - front) / 2 / LEVEL_REACH
    _, y0, z0 = spine.origin_mm
    y = y0 + spine.voxel_mm * np.stack([middle - half, middle, middle + half], 1)
    z = z0 + spine.voxel_mm * rows
    x = np.interp(z, spine.centre_line_mm[:, 2], spine.centre_line_mm[:, 0])
    return np.column_stack([x, z, y])


def coronal_curves(dxa: PlaneMask, frame: SpineFrame) -> Float:
    """Left edge, centre and right edge of a DXA's mask at the heights of ``frame``, x in mm [3, 209].

    Raises NoSpineError if the mask is empty.
    """
    edges = mask_edges(dxa.values, dxa.grid.spacing)
    if edges is None:
        raise no_column("an empty spine mask of the DXA")
    z, coronal = coronal_from_edges(edges)
    x0, z0 = dxa.grid.origin_mm
    return resample_rows(z + z0, coronal + x0, frame.z_mm)


def curves_of_pair(
    dxa: PlaneMask, frame: SpineFrame, spine: MriSpine, transform: RigidTransform2D
) -> SpineCurves:
    """Six curves by height in ``frame``, the crop of the DXA as it would be cut for a prediction.

    ``transform`` takes the MRI to the DXA (x, z): it rotates the 3D spine about the antero-posterior axis,
    without scaling. Raises NoSpineError if the DXA's mask is empty, or the MRI's column covers too little of
    it.
    """
    mm = np.empty((6, SPINE_ROWS))
    mm[CORONAL] = coronal_curves(dxa, frame)
    points = sagittal_edges(spine)
    height = transform.apply(points[:, :2])[:, 1]
    first, last = frame.z_mm[[0, -1]]
    covered = max(0.0, min(height[-1], last) - max(height[0], first)) / (last - first)
    if covered < MIN_COVERED:
        raise NoSpineError(
            found=f"an MRI whose spine covers {100 * covered:.0f} % of the DXA's",
            expected=f"at least {100 * MIN_COVERED:.0f} %",
            do="Check the alignment, or leave this pair out.",
        )
    mm[SAGITTAL] = smooth_rows(height, points[:, 2:].T, frame.z_mm)
    return SpineCurves.from_mm(mm, frame)
