"""Stage 2: the rigid movement that lays the contour of the MRI's spine on that of the DXA's.

Keypoints of equal height along each side are matched, the movement follows in closed form, the mask of the
MRI is laid by it, its keypoints are read anew, and so on until nothing moves. Points far off weigh less
(Huber 1964).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spinelift.align.keypoints import PER_SIDE, contour_keypoints, smoothed
from spinelift.align.plane import DXA, MRI, PlaneMask, lay_mask, square_grid
from spinelift.errors import NoSpineError
from spinelift.geometry import RigidTransform2D

Float = NDArray[np.float64]
MIN_OVERLAP = 0.70
"""Pairs of a lower intersection over union are rejected (paper, section 2)."""
STEP_MM = 1.0
"""Grid on which masks are laid and compared."""
MAX_ROUNDS = 12
STILL_MM = 0.01
"""Movement of a round, at the spine's ends, below which the search stops."""
ROBUST_ROUNDS = 8
LEAST_SCALE_MM = 1.0
_HUBER = 1.345
_MAD = 1.4826


@dataclass(frozen=True)
class SpineMatch:
    """Result of stage 2.

    Parameters
    ----------
    transform
        From MRI to DXA.
    iou
        Intersection over union of the masks under it.
    residual_mm
        Root mean square distance of matched keypoints.
    rounds
        How often the mask was laid.
    height_gap_mm
        How much higher the MRI's mask is than the DXA's, once laid: the ends of one of them are wrong, or the
        spine is bent otherwise.
    bend_mm
        How much otherwise: root mean square distance, to the side, of both centre lines from a line.
    """

    transform: RigidTransform2D
    iou: float
    residual_mm: float
    rounds: int
    height_gap_mm: float
    bend_mm: float

    @property
    def accepted(self) -> bool:
        """Whether the pair can be used."""
        return self.iou >= MIN_OVERLAP


def robust_fit(here: Float, there: Float, *, source: str = MRI, target: str = DXA) -> RigidTransform2D:
    """``RigidTransform2D.fit`` by iteratively reweighted least squares, Huber's weights on the distances."""
    transform = RigidTransform2D.fit(here, there, source=source, target=target)
    for _ in range(ROBUST_ROUNDS):
        distance = np.linalg.norm(transform.apply(here) - there, axis=1)
        limit = _HUBER * max(_MAD * float(np.median(distance)), LEAST_SCALE_MM)
        weight = limit / np.maximum(distance, limit)
        transform = RigidTransform2D.fit(here, there, weight, source=source, target=target)
    return transform


def fit_spine(dxa: PlaneMask, mri: PlaneMask, *, start: RigidTransform2D | None = None) -> SpineMatch:
    """Lay the MRI's projected spine mask on the DXA's.

    Parameters
    ----------
    dxa, mri
        Masks of the column T1 to L5, each on its own grid.
    start
        Where stage 1 put the MRI; without it the masks as they are.

    Raises
    ------
    NoSpineError
        A mask is empty or too short.
    """
    still = RigidTransform2D.identity(DXA, DXA)
    soft_dxa, soft_mri = smoothed(dxa), smoothed(mri)
    target = contour_keypoints(_laid(soft_dxa, still)).points_mm
    transform = start or RigidTransform2D.identity(MRI, DXA)
    rounds = 0
    while rounds < MAX_ROUNDS:
        here = contour_keypoints(_laid(soft_mri, transform)).points_mm
        step = robust_fit(here, target, source=DXA)
        transform = transform.then(step)
        rounds += 1
        if np.abs(step.apply(here[[0, -1]]) - here[[0, -1]]).max() < STILL_MM:
            break
    left = contour_keypoints(_laid(soft_mri, transform)).points_mm
    residual = float(np.sqrt(((left - target) ** 2).sum(1).mean()))
    gap = float(np.ptp(left[-2:, 1]) - np.ptp(target[-2:, 1]))
    return SpineMatch(transform, overlap(dxa, mri, transform), residual, rounds, gap, bend(left, target))


def bend(here: Float, there: Float) -> float:
    """Root mean square distance, to the side, of the centre lines of two contours' keypoints, mm.

    At the heights that both have, and without the straight line that is nearest to the distances.
    """
    a, b = ((p[:PER_SIDE] + p[PER_SIDE : 2 * PER_SIDE]) / 2 for p in (here, there))
    z = a[(a[:, 1] >= b[0, 1]) & (a[:, 1] <= b[-1, 1]), 1]
    if len(z) < 3:
        return 0.0
    apart = np.interp(z, a[:, 1], a[:, 0]) - np.interp(z, b[:, 1], b[:, 0])
    return float(np.sqrt(((apart - np.polyval(np.polyfit(z, apart, 1), z)) ** 2).mean()))


def overlap(dxa: PlaneMask, mri: PlaneMask, transform: RigidTransform2D) -> float:
    """Intersection over union of two masks, the MRI's moved, at 0.5 on a 1 mm grid."""
    corners = [_corners(dxa), transform.apply(_corners(mri))]
    grid = square_grid(np.concatenate(corners), STEP_MM, margin_mm=3 * STEP_MM)
    still = RigidTransform2D.identity(DXA, DXA)
    a, b = (lay_mask(m, grid, t).values >= 0.5 for m, t in ((dxa, still), (mri, transform)))
    return float((a & b).sum() / max((a | b).sum(), 1))


def _laid(mask: PlaneMask, transform: RigidTransform2D) -> PlaneMask:
    """A mask moved, on a fine square grid about it."""
    points = transform.apply(_corners(mask))
    return lay_mask(mask, square_grid(points, STEP_MM, margin_mm=8 * STEP_MM), transform)


def _corners(mask: PlaneMask) -> Float:
    """Corners of the bounding box of what is inside, (x, z) mm [4, 2]."""
    rows, cols = np.nonzero(mask.values >= 0.5)
    if not len(rows):
        raise NoSpineError(
            found="an empty spine mask", expected="a column from T1 to L5", do="Leave this pair out."
        )
    ends = [[r, c] for r in (rows.min() - 1, rows.max() + 1) for c in (cols.min() - 1, cols.max() + 1)]
    return mask.grid.to_mm(np.array(ends, np.float64))
