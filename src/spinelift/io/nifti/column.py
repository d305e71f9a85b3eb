"""From vertebrae of any kind to the project's column: bodies and discs, T1 to L5, one piece.

Masks are [z, y, x] with isotropic voxels of ``voxel_mm``, z to the feet; levels are int8,
``Vertebra`` + 1, 0 elsewhere.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from spinelift.errors import AmbiguousScanError
from spinelift.geometry import Vertebra, largest_component
from spinelift.geometry.arrays import Bool

ARCH_MM = 5.5
"""Radius of the ball that fits into every body but not into pedicles, laminae and processes."""
DISC_MM = 9.0
"""Half of the widest gap between bodies that is filled as a disc."""
LONGEST_BODY_MM = 60.0
"""Height above which a connected piece is more than one body."""
LEAST_BODY_ML = 1.0
"""Pieces smaller than this are no vertebral body."""

Levels = NDArray[np.int8]


def bodies_of(levels: Levels, voxel_mm: float) -> Bool:
    """Bodies of whole vertebrae: each level opened by a ball, its largest piece kept."""
    out = np.zeros(levels.shape, bool)
    for number, box in enumerate(ndimage.find_objects(levels), start=1):
        if box is not None:
            inside = np.pad(levels[box] == number, 1)
            out[box] |= largest_component(_open(inside, ARCH_MM / voxel_mm))[1:-1, 1:-1, 1:-1]
    return out


def between_ends(parts: Bool, levels: Levels, voxel_mm: float) -> Bool:
    """Parts (bodies or discs without level) from T1's body to L5's; ``levels`` of bodies without arches.

    A connected part is kept if much of it is levelled, or its centre lies between those of T1 and L5:
    that leaves out the discs C7/T1 and L5/S1. A part that is longer than any body is a column by itself
    and is cut at T1's first and L5's last row.
    """
    first, last = _rows(levels, Vertebra.T1), _rows(levels, Vertebra.L5)
    labels, _ = ndimage.label(parts)
    out = np.zeros(parts.shape, bool)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        inside = labels[box] == number
        rows = np.arange(box[0].start, box[0].stop)
        if len(rows) * voxel_mm > LONGEST_BODY_MM:
            out[box] |= inside & ((rows >= first[0]) & (rows <= last[-1]))[:, None, None]
            continue
        z = float(ndimage.center_of_mass(inside)[0]) + rows[0]
        if (levels[box][inside] > 0).mean() > 0.3 or first.mean() < z < last.mean():
            out[box] |= inside
    return out


def _rows(levels: Levels, vertebra: Vertebra) -> NDArray[np.intp]:
    """Rows of a vertebra's body, ascending."""
    return np.flatnonzero((levels == vertebra + 1).any(axis=(1, 2)))


def count_from_sacrum(bodies: Bool, sacrum: Bool, voxel_mm: float, *, whole: bool) -> Levels:
    """Levels of bodies that have none: the first above the sacrum is L5, the 17th is T1.

    Raises AmbiguousScanError if there is no sacrum, or fewer than 17 separate bodies above it.
    """
    box = ndimage.find_objects(bodies.astype(np.int8))
    levels = np.zeros(bodies.shape, np.int8)
    if not box or not sacrum.any():
        raise _uncounted("no sacrum" if box else "no vertebral bodies")
    inside = np.pad(bodies[box[0]], 1)
    inside = _open(inside, ARCH_MM / voxel_mm if whole else 1.0)[1:-1, 1:-1, 1:-1]
    labels, count = ndimage.label(inside)
    ml = ndimage.sum_labels(inside, labels, np.arange(1, count + 1)) * voxel_mm**3 / 1000
    pieces = [k + 1 for k in range(count) if ml[k] >= LEAST_BODY_ML]
    heights = [c[0] + box[0][0].start for c in ndimage.center_of_mass(inside, labels, pieces)]
    floor = float(np.nonzero(sacrum)[0].mean())
    above = sorted(((h, k) for h, k in zip(heights, pieces, strict=True) if h < floor), reverse=True)
    if len(above) < len(Vertebra):
        raise _uncounted(f"{len(above)} separate bodies above the sacrum")
    for level, (_, piece) in zip(reversed(Vertebra), above, strict=False):
        levels[box[0]][labels == piece] = level + 1
    return levels


def join_bodies(bodies: Bool, discs: Bool, voxel_mm: float) -> Bool:
    """One column: bodies and discs, what is left between them closed, the largest piece kept."""
    column = bodies | discs
    box = ndimage.find_objects(column.astype(np.int8))[0]
    reach = int(DISC_MM / voxel_mm) + 2
    inside = np.pad(column[box], reach)
    closed = _close_along(inside, DISC_MM / voxel_mm)
    out = np.zeros(column.shape, bool)
    out[box] = largest_component(closed)[(slice(reach, -reach),) * 3]
    return out


def _close_along(mask: Bool, radius_px: float) -> Bool:
    """Fill gaps along the column, up to twice the radius, where there is bone above and below within reach.

    A closing with a ball, so that gaps between tilted endplates are filled; nothing is added
    beyond the first and the last row.
    """
    near = ndimage.distance_transform_edt(~mask) <= radius_px
    closed = mask | (ndimage.distance_transform_edt(near) > radius_px)
    rows = np.flatnonzero(mask.any(axis=(1, 2)))
    closed[: rows[0]] = closed[rows[-1] + 1 :] = False
    return closed


def _open(mask: Bool, radius_px: float) -> Bool:
    """Opening by a ball: erosion and dilation by distance; the mask must have a margin of 1 voxel."""
    core = ndimage.distance_transform_edt(mask) > radius_px
    return mask & (ndimage.distance_transform_edt(~core) <= radius_px) if core.any() else core


def _uncounted(found: str) -> AmbiguousScanError:
    return AmbiguousScanError(
        found=f"a label map without levels, and {found}",
        expected="levels T1…L5, or a sacrum and 17 separate bodies above it",
        do="Pass a label map with levels (SPINEPS seg-vert, TotalSegmentator vertebrae) as well.",
    )
