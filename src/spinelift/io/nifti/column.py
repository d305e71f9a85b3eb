"""From vertebrae of any kind to the project's column: bodies and discs, T1 to L5, one piece.

Masks are [z, y, x] with isotropic voxels of ``voxel_mm``, z to the feet; levels are int8,
``Vertebra`` + 1, 0 elsewhere; a 13th thoracic or 6th lumbar vertebra has a number of ``EXTRA``.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from spinelift.errors import AmbiguousScanError, NoSpineError
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
COLUMN_MM = (250.0, 700.0)
"""Least and greatest height of T1–L5, as of the MRI segmenter: adults have 380 to 540 mm, upright."""
STEP_RATIO = (0.3, 1.5)
"""Distance of neighbouring bodies over the median of three on either side: 0.7 beside a body crushed to a
third, 0.4 between two such bodies, 2 where a body is missing."""
LEAST_COUNTED_STEP = 0.7
"""The same, least, where levels are counted: a body in two pieces has 0.5."""
MERGED = 1.6
"""Height over that of bodies below, from which a piece is several bodies: two have 2.2, with their disc."""
L5_MM = 30.0
"""Height of L5 with its tilt, the first to compare with."""
SACRUM_GAP_MM = 25.0
"""Widest gap between L5 and the sacrum; discs have up to 15 mm, a missing L5 leaves 40 mm."""
EXTRA = {len(Vertebra) + 1: "T13", len(Vertebra) + 2: "L6"}
"""Vertebrae that some people have, by their number in ``Levels``."""
ORDER = (*range(1, 13), 18, *range(13, 18), 19)
"""Numbers of ``Levels`` from T1 to L6."""

Levels = NDArray[np.int8]


def bodies_of(levels: Levels, voxel_mm: float) -> Bool:
    """Bodies of whole vertebrae: each level opened by a ball, its largest piece kept.

    A crushed body is thinner than the ball: if less than half is left of what a disc in each row leaves,
    that is taken. Pieces below ``LEAST_BODY_ML`` are left out.
    """
    out = np.zeros(levels.shape, bool)
    radius_px = ARCH_MM / voxel_mm
    for number, box in enumerate(ndimage.find_objects(levels), start=1):
        if box is not None:
            inside = np.pad(levels[box] == number, 1)
            body = largest_component(_open(inside, radius_px))
            flat = largest_component(np.stack([_open(row, radius_px) for row in inside]))
            body = flat if 2 * body.sum() < flat.sum() else body
            if body.sum() * voxel_mm**3 >= 1000 * LEAST_BODY_ML:
                out[box] |= body[1:-1, 1:-1, 1:-1]
    return out


def between_ends(parts: Bool, levels: Levels, voxel_mm: float) -> Bool:
    """Parts (bodies or discs without level) from T1's body to L5's or L6's; ``levels`` without arches.

    A connected part is kept if much of it is levelled, or its centre lies between those of both:
    that leaves out the discs C7/T1 and L5/S1. A part that is longer than any body is a column by itself
    and is cut at the first and the last row.
    """
    present = [number for number in ORDER if (levels == number).any()]
    first, last = (np.flatnonzero((levels == n).any(axis=(1, 2))) for n in (present[0], present[-1]))
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


def count_from_sacrum(bodies: Bool, sacrum: Bool, voxel_mm: float, *, whole: bool) -> Levels:
    """Levels of bodies that have none: the first above the sacrum is L5, the 17th is T1.

    A piece much higher than the bodies below it is several that touch, and cut into equal heights. Raises
    AmbiguousScanError if there is no sacrum, no body right above it, or fewer than 17.
    """
    box = ndimage.find_objects(bodies.astype(np.int8))
    levels = np.zeros(bodies.shape, np.int8)
    if not box or not sacrum.any():
        raise _uncounted("no sacrum" if box else "no vertebral bodies")
    inside = np.pad(bodies[box[0]], 1)
    opened = _open(inside, ARCH_MM / voxel_mm if whole else 1.0)
    if not whole:  # thin bodies, which opening would lose
        pieces, _ = ndimage.label(inside)
        opened |= inside & ~np.isin(pieces, np.unique(pieces[opened]))
    labels, count = ndimage.label(opened[1:-1, 1:-1, 1:-1])
    ml = np.bincount(labels.ravel(), minlength=count + 1) * voxel_mm**3 / 1000
    top = box[0][0].start
    floor = np.flatnonzero(largest_component(sacrum).any(axis=(1, 2)))
    rows = [
        (side[0].start + top, side[0].stop + top, k + 1)
        for k, side in enumerate(ndimage.find_objects(labels))
    ]
    above = sorted(
        (r for r in rows if ml[r[2]] >= LEAST_BODY_ML and sum(r[:2]) / 2 < floor.mean()), key=_middle
    )
    parts: list[tuple[int, int, int]] = []
    below_px = [L5_MM / voxel_mm]
    for low, high, piece in reversed(above):
        typical = float(np.median(below_px[-3:]))
        ratio = (high - low) / typical
        n = round((ratio + 0.2) / 1.2) if ratio > MERGED else 1
        edges = np.linspace(high, low, n + 1).round().astype(int).tolist()
        parts += [(b, a, piece) for a, b in pairwise(edges)]
        below_px += [(high - low) / n if n == 1 else typical] * n
    if len(parts) < len(Vertebra):
        raise _uncounted(f"{len(parts)} separate bodies above the sacrum")
    if (floor[0] - parts[0][1]) * voxel_mm > SACRUM_GAP_MM:
        raise _uncounted("no body right above the sacrum")
    for level, (low, high, piece) in zip(reversed(Vertebra), parts, strict=False):
        part = np.s_[low - top : high - top]
        levels[box[0]][part][labels[part] == piece] = level + 1
    return levels


def check_present(bodies: Levels, voxel_mm: float) -> None:
    """Raise NoSpineError unless every level from T1 to L5 has a body of ``LEAST_BODY_ML``."""
    ml = np.bincount(bodies.ravel(), minlength=max(ORDER) + 1) * voxel_mm**3 / 1000
    if missing := [level.name for level in Vertebra if ml[level + 1] < LEAST_BODY_ML]:
        raise no_spine(f"a label map without {', '.join(missing)}", "every vertebra from T1 to L5")


def check_levels(bodies: Levels, column: Bool, voxel_mm: float, *, counted: bool = False) -> None:
    """Raise NoSpineError unless the column holds every level, in order, at plausible heights and distances.

    ``bodies`` are those that the column was made of.
    """
    check_present(bodies, voxel_mm)
    order = [number for number in ORDER if (bodies == number).any()]
    names = [EXTRA.get(n) or Vertebra(n - 1).name for n in order]
    kept = ndimage.mean(column, bodies, order)
    if lost := [name for name, share in zip(names, kept, strict=True) if share < 0.5]:
        raise no_spine(f"a column that breaks: {', '.join(lost)} left over", "one column from T1 to L5")
    boxes = ndimage.find_objects(bodies)
    heights = np.array([boxes[n - 1][0].stop - boxes[n - 1][0].start for n in order])
    centres = np.array(ndimage.center_of_mass(bodies > 0, bodies, order))
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1) * np.sign(np.diff(centres[:, 0]))
    least = LEAST_COUNTED_STEP if counted else STEP_RATIO[0]
    for what, values, low, high in (
        ("distance", steps, least, STEP_RATIO[1]),
        ("height", heights, 0.0, MERGED),
    ):
        for k, value in enumerate(values):
            typical = float(np.median(np.delete(values[max(k - 3, 0) : k + 4], min(k, 3))))
            if not low * typical <= value <= high * typical:
                where = f"{names[k]} to {names[k + 1]}" if what == "distance" else names[k]
                raise no_spine(
                    f"a {what} of {value * voxel_mm:.0f} mm at {where}, of neighbours {typical * voxel_mm:.0f} mm",
                    "vertebrae in order, none missing, merged or in pieces",
                )
    check_height(column, voxel_mm)


def check_height(column: Bool, voxel_mm: float) -> None:
    """Raise NoSpineError unless the column's height is within ``COLUMN_MM``."""
    mm = float(np.ptp(np.flatnonzero(column.any(axis=(1, 2)))) + 1) * voxel_mm
    if not COLUMN_MM[0] <= mm <= COLUMN_MM[1]:
        expected = f"T1 to L5 in {COLUMN_MM[0]:.0f} to {COLUMN_MM[1]:.0f} mm"
        raise no_spine(f"a column of {mm:.0f} mm", expected)


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


def _middle(rows: tuple[int, int, int]) -> int:
    return rows[0] + rows[1]


def no_spine(found: str, expected: str) -> NoSpineError:
    """The error of a label map that holds no whole column."""
    do = "Look at the label map, check the tool's name, or leave this person out."
    return NoSpineError(found=found, expected=expected, do=do)


def _uncounted(found: str) -> AmbiguousScanError:
    return AmbiguousScanError(
        found=f"a label map without levels, and {found}",
        expected="levels T1…L5, or a sacrum and 17 separate bodies above it",
        do="Pass a label map with levels (SPINEPS seg-vert, TotalSegmentator vertebrae) as well.",
    )
