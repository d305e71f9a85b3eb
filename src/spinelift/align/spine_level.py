"""Stage 2: the rigid transform that best maps the contour of the MRI's spine onto the DXA's.

As in iterative closest points, but with fixed correspondences: keypoints of equal height along each side are
matched, the transform follows in closed form, the MRI's mask is resampled with it and its keypoints are taken
again, until nothing moves. Distant points weigh less (Huber 1964).
"""

from dataclasses import dataclass

import numpy as np

from spinelift.align.keypoints import PER_SIDE, contour_keypoints, no_column, smoothed
from spinelift.align.plane import DXA, MRI, PlaneMask
from spinelift.geometry import PixelGrid, RigidTransform2D, intersection_over_union
from spinelift.geometry.arrays import Float

STEP_MM = 1.0
"""Pixel on which masks are compared."""
MARGIN_MM = 8.0
"""Margin around a mask that is resampled: its contour must not touch the border."""
MAX_ROUNDS = 12
STILL_MM = 0.01
"""Movement of a round, at the spine's ends, below which the iteration stops."""
ROBUST_ROUNDS = 8
LEAST_SCALE_MM = 1.0
"""Least scale of the distances in Huber's weights: finer differences are noise of the masks."""
HUBER = 1.345
"""Huber's limit in standard deviations: 95 % efficient for normal errors."""
MAD_TO_SD = 1.4826
"""Standard deviation of a normal distribution whose median absolute deviation is 1."""


@dataclass(frozen=True)
class SpineMatch:
    """Result of stage 2; all numbers are of the masks under ``transform``, from MRI to DXA.

    ``iou``: intersection over union of the masks. ``residual_mm``: root mean square distance of matched
    keypoints. ``height_gap_mm``: height of the MRI's mask minus that of the DXA's; unless it is small, an end
    of one of them is wrong, or the spine is bent differently in the two images. ``bend_mm``: how differently,
    see :func:`bend`.
    """

    transform: RigidTransform2D
    iou: float
    residual_mm: float
    height_gap_mm: float
    bend_mm: float

    @classmethod
    def of(cls, dxa: PlaneMask, mri: PlaneMask, transform: RigidTransform2D) -> "SpineMatch":
        """Compare two masks under a transform; raises NoSpineError if one is empty or too short."""
        target, points = _keypoints(smoothed(dxa)), _keypoints(smoothed(mri), transform)
        residual = float(np.sqrt(((points - target) ** 2).sum(1).mean()))
        gap = float(np.ptp(points[-2:, 1]) - np.ptp(target[-2:, 1]))
        return cls(transform, overlap(dxa, mri, transform), residual, gap, bend(points, target))


def robust_fit(points: Float, onto: Float, *, source: str = MRI, target: str = DXA) -> RigidTransform2D:
    """``RigidTransform2D.fit`` by iteratively reweighted least squares, Huber's weights on the distances."""
    weight = None
    for _ in range(ROBUST_ROUNDS + 1):
        transform = RigidTransform2D.fit(points, onto, weight, source=source, target=target)
        distance = np.linalg.norm(transform.apply(points) - onto, axis=1)
        limit = HUBER * max(MAD_TO_SD * float(np.median(distance)), LEAST_SCALE_MM)
        weight = limit / np.maximum(distance, limit)
    return transform


def fit_spine(dxa: PlaneMask, mri: PlaneMask, *, start: RigidTransform2D | None = None) -> SpineMatch:
    """Register the MRI's projected spine mask, T1 to L5, with the DXA's.

    ``start`` is the result of stage 1; without it the masks' millimetres are taken as the same. Raises
    NoSpineError if a mask is empty or too short.
    """
    target, soft_mri = _keypoints(smoothed(dxa)), smoothed(mri)
    transform = start or RigidTransform2D.identity(MRI, DXA)
    for _ in range(MAX_ROUNDS):
        points = _keypoints(soft_mri, transform)
        step = robust_fit(points, target, source=DXA)
        transform = transform.then(step)
        if np.abs(step.apply(points[[0, -1]]) - points[[0, -1]]).max() < STILL_MM:
            break
    return SpineMatch.of(dxa, mri, transform)


def bend(points: Float, target: Float) -> float:
    """Root mean square lateral distance of two contours' centre lines after a linear fit to it, mm."""
    a, b = ((p[:PER_SIDE] + p[PER_SIDE : 2 * PER_SIDE]) / 2 for p in (points, target))
    z = a[(a[:, 1] >= b[0, 1]) & (a[:, 1] <= b[-1, 1]), 1]
    if len(z) < 3:
        return 0.0
    apart = np.interp(z, a[:, 1], a[:, 0]) - np.interp(z, b[:, 1], b[:, 0])
    return float(np.sqrt(((apart - np.polyval(np.polyfit(z, apart, 1), z)) ** 2).mean()))


def overlap(dxa: PlaneMask, mri: PlaneMask, transform: RigidTransform2D) -> float:
    """Intersection over union of two masks, the MRI's moved, at 0.5 on a 1 mm grid."""
    corners = np.concatenate([_corners(dxa), transform.apply(_corners(mri))])
    grid = PixelGrid.covering(corners, STEP_MM, margin_mm=3 * STEP_MM)
    return intersection_over_union(dxa.resample_to(grid).inside, mri.resample_to(grid, transform).inside)


def _keypoints(mask: PlaneMask, transform: RigidTransform2D | None = None) -> Float:
    """Keypoints [2 * PER_SIDE + 2, 2] of a mask that is moved onto a fine square grid."""
    corners = transform.apply(_corners(mask)) if transform else _corners(mask)
    grid = PixelGrid.covering(corners, STEP_MM, margin_mm=MARGIN_MM)
    return contour_keypoints(mask.resample_to(grid, transform))


def _corners(mask: PlaneMask) -> Float:
    """Corners of the bounding box of what is inside, (x, z) mm [4, 2]."""
    rows, cols = np.nonzero(mask.inside)
    if not len(rows):
        raise no_column("an empty spine mask")
    ends = [[r, c] for r in (rows.min() - 1, rows.max() + 1) for c in (cols.min() - 1, cols.max() + 1)]
    return mask.grid.to_mm(ends)
