"""Keypoints along the contour of a spine mask: both sides by height, and the two ends."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from spinelift.align.plane import PlaneMask
from spinelift.curves.masks import ends_of, mask_edges
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


@dataclass(frozen=True)
class Keypoints:
    """Points of a contour, in the same order for every mask.

    Parameters
    ----------
    points_mm
        (x, z) [2 * PER_SIDE + 2, 2]: left side from head to feet, right side, upper end, lower end.
    """

    points_mm: Float


def smoothed(mask: PlaneMask) -> PlaneMask:
    """The largest piece of a mask, holes filled, blurred by ``BLUR_MM`` so that edges lie between pixels."""
    piece = ndimage.binary_fill_holes(largest_component(mask.inside, diagonal=True))
    values = np.where(ndimage.binary_dilation(piece), mask.values, 0.0).astype(np.float32)
    values[piece] = np.maximum(values[piece], 0.5)
    spacing = mask.grid.spacing
    sigma = (BLUR_MM / spacing.row_mm, BLUR_MM / spacing.col_mm)
    return PlaneMask(ndimage.gaussian_filter(values, sigma, mode="constant"), mask.grid)


def contour_keypoints(mask: PlaneMask) -> Keypoints:
    """Keypoints of one connected mask, to a fraction of a pixel.

    Raises
    ------
    NoSpineError
        The mask is empty, or too short for a spine.
    """
    edges = mask_edges(mask.values, mask.grid.spacing)
    height = 0.0 if edges is None else float(edges.z_mm[-1] - edges.z_mm[0])
    if edges is None or height < MIN_HEIGHT_MM:
        raise NoSpineError(
            found=f"a spine mask {height:.0f} mm high",
            expected=f"a column from T1 to L5, at least {MIN_HEIGHT_MM:.0f} mm",
            do="Check the mask, or leave this pair out.",
        )
    share = np.linspace(END_SHARE, 1 - END_SHARE, PER_SIDE)
    z = edges.z_mm[0] + share * height
    sides = [np.stack([np.interp(z, edges.z_mm, x), z], 1) for x in (edges.left_mm, edges.right_mm)]
    return Keypoints(np.concatenate([*sides, np.array(ends_of(edges))]) + mask.grid.origin_mm)
