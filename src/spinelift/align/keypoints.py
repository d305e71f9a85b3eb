"""Keypoints along the contour of a spine mask: both sides by height, and the two ends."""

import numpy as np
from scipy import ndimage

from spinelift.align.plane import PlaneMask
from spinelift.curves import ends_of, mask_edges
from spinelift.errors import NoSpineError
from spinelift.geometry import largest_component
from spinelift.geometry.arrays import Float

PER_SIDE = 96
"""Keypoints on each side; about one every 5 mm of an adult's spine."""
END_SHARE = 0.02
"""Share of the height at each end where a mask's rows are corners, not sides."""
MIN_HEIGHT_MM = 150.0
"""Least height of a mask that can be T1 to L5."""
BLUR_MM = 1.5


def smoothed(mask: PlaneMask) -> PlaneMask:
    """The largest piece of a mask, holes filled, blurred by ``BLUR_MM`` so that edges lie between pixels."""
    piece = ndimage.binary_fill_holes(largest_component(mask.inside, diagonal=True))
    values = np.where(ndimage.binary_dilation(piece), mask.values, 0.0).astype(np.float32)
    values[piece] = np.maximum(values[piece], 0.5)
    sigma = (BLUR_MM / mask.grid.spacing.row_mm, BLUR_MM / mask.grid.spacing.col_mm)
    return PlaneMask(ndimage.gaussian_filter(values, sigma, mode="constant"), mask.grid)


def contour_keypoints(mask: PlaneMask) -> Float:
    """Keypoints (x, z) [2 * PER_SIDE + 2, 2] of one connected mask, mm, to a fraction of a pixel.

    Left side from head to feet, right side, upper end, lower end. Raises NoSpineError if the mask is empty,
    or too short for a spine.
    """
    edges = mask_edges(mask.values, mask.grid.spacing)
    height = 0.0 if edges is None else float(edges.z_mm[-1] - edges.z_mm[0])
    if edges is None or height < MIN_HEIGHT_MM:
        raise no_column(f"a spine mask {height:.0f} mm high")
    share = np.linspace(END_SHARE, 1 - END_SHARE, PER_SIDE)
    z = edges.z_mm[0] + share * height
    sides = [np.stack([np.interp(z, edges.z_mm, x), z], 1) for x in (edges.left_mm, edges.right_mm)]
    return np.concatenate([*sides, ends_of(edges)]) + mask.grid.origin_mm


def no_column(found: str) -> NoSpineError:
    """The error of a mask that cannot be a spine."""
    return NoSpineError(
        found=found,
        expected=f"a column from T1 to L5, at least {MIN_HEIGHT_MM:.0f} mm",
        do="Check the mask, or leave this pair out.",
    )
