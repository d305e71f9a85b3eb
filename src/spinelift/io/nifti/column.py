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
from spinelift.geometry.arrays import AnyArray, Bool, Float

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
"""Distance of neighbouring bodies over that of four on either side: 0.7 beside a body crushed to a third, 0.4
between two such bodies, 2 where a body is missing."""
LEAST_COUNTED_STEP = 0.7
"""The same, least, where levels are counted: a body in two pieces has 0.5."""
TYPICAL = (0.75, 0.5)
"""Quantile of neighbours to compare with: levels given, of which half may be crushed, and levels counted."""
MERGED = 1.6
"""Volume over that of neighbours from which a piece is several bodies: two have 2."""
MOST_MERGED = 4
"""Bodies in one piece that are cut apart; of more, or with L5 among them, the number is in doubt."""
L5_MM = 30.0
"""Typical height of L5, as volume over the area seen from above, to compare the first piece with."""
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
            flat = largest_component(_open_rows(inside, radius_px))
            body = flat if 2 * body.sum() < flat.sum() else body
            if body.sum() * voxel_mm**3 >= 1000 * LEAST_BODY_ML:
                out[box] |= body[1:-1, 1:-1, 1:-1]
    return out


def between_ends(parts: Bool, levels: Levels, voxel_mm: float) -> Bool:
    """Parts (bodies or discs without level) from T1's body to L5's or L6's; ``levels`` without arches.

    A connected part is kept if much of it is levelled, or its centre lies between those of both:
    that leaves out the discs C7/T1 and L5/S1. A part that is longer than any body, or than its levels by
    ``MERGED``, is cut at the first and the last row.
    """
    present = [number for number in ORDER if (levels == number).any()]
    first, last = (np.flatnonzero((levels == n).any(axis=(1, 2))) for n in (present[0], present[-1]))
    labels, _ = ndimage.label(parts)
    out = np.zeros(parts.shape, bool)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        inside = labels[box] == number
        rows = np.arange(box[0].start, box[0].stop)
        levelled = np.count_nonzero(((levels[box] > 0) & inside).any(axis=(1, 2)))
        if len(rows) * voxel_mm > LONGEST_BODY_MM or 0 < levelled * MERGED < len(rows):
            out[box] |= inside & ((rows >= first[0]) & (rows <= last[-1]))[:, None, None]
            continue
        z = float(ndimage.center_of_mass(inside)[0]) + rows[0]
        if (levels[box][inside] > 0).mean() > 0.3 or first.mean() < z < last.mean():
            out[box] |= inside
    return out


def count_from_sacrum(bodies: Bool, sacrum: Bool, voxel_mm: float, *, whole: bool) -> tuple[Levels, bool]:
    """Levels of bodies that have none: the first above the sacrum is L5, the 17th is T1.

    A piece much larger than the bodies below it is several that touch: it is cut into equal heights, which
    the second result states. Raises AmbiguousScanError if there is no sacrum, no body right above it, or
    fewer than 17.
    """
    box = ndimage.find_objects(bodies.astype(np.int8))
    levels = np.zeros(bodies.shape, np.int8)
    if not box or not sacrum.any():
        raise _uncounted("no sacrum" if box else "no vertebral bodies")
    inside = np.pad(bodies[box[0]], 1)
    radius_px = ARCH_MM / voxel_mm if whole else 1.0
    opened, thin = _open(inside, radius_px), inside
    if whole:  # in front of the arches
        near = ndimage.maximum_filter1d(
            opened.view(np.uint8), 2 * int(LONGEST_BODY_MM / voxel_mm) + 1, axis=0
        )
        thin = _open_rows(inside, radius_px) & (near > 0)
    pieces, _ = ndimage.label(thin)  # thin bodies, which opening loses
    opened |= thin & ~np.isin(pieces, np.unique(pieces[opened]))
    labels, count = ndimage.label(opened[1:-1, 1:-1, 1:-1])
    ml = np.bincount(labels.ravel(), minlength=count + 1) * voxel_mm**3 / 1000
    floor = np.flatnonzero(largest_component(sacrum).any(axis=(1, 2))) - box[0][0].start
    ends = [(side[0].start, side[0].stop) for side in ndimage.find_objects(labels)]
    from_below = sorted(range(count), key=lambda k: -sum(ends[k]))
    found: list[Bool] = []
    sizes: list[float] = []
    cut = False
    for k in from_below:
        low, high = ends[k]
        if ml[k + 1] < LEAST_BODY_ML or low + high >= 2 * floor.mean() or len(found) > len(Vertebra):
            continue
        if not found and (floor[0] - high) * voxel_mm > SACRUM_GAP_MM:
            raise _uncounted("no body right above the sacrum")
        first = np.count_nonzero((labels == k + 1).any(axis=0)) * L5_MM * voxel_mm**2 / 1000
        ratio = ml[k + 1] / float(np.median(sizes[-3:] or first))
        bodies_in_it = (ratio + 0.1) / 1.1 if ratio > MERGED else 1.0  # with up to 0.2 of a body for a disc
        n = round(bodies_in_it)
        if abs(bodies_in_it - n) > 0.3 or n > (MOST_MERGED if found else 1):
            raise _uncounted(f"a piece of {ratio:.1f} times the volume of the bodies below")
        cut |= n > 1
        z = (high - 1 - np.arange(len(labels))) * n // (high - low)
        found += [(labels == k + 1) & (z == part)[:, None, None] for part in range(n)]
        sizes += [ml[k + 1] / n] * n
    if len(found) < len(Vertebra):
        raise _uncounted(f"{len(found)} separate bodies above the sacrum")
    middles = [float(np.flatnonzero(body.any(axis=(1, 2))).mean()) for body in found[15:18]]
    if len(middles) == 3 and middles[1] - middles[2] < LEAST_COUNTED_STEP * (middles[0] - middles[1]):
        raise _uncounted("T1 in pieces")
    for level, body in zip(reversed(Vertebra), found, strict=False):
        levels[box[0]][body] = level + 1
    return levels, cut


def check_present(bodies: Levels, voxel_mm: float) -> None:
    """Raise NoSpineError unless every level from T1 to L5 has a body of ``LEAST_BODY_ML``."""
    ml = np.bincount(bodies.ravel(), minlength=max(ORDER) + 1) * voxel_mm**3 / 1000
    if missing := [level.name for level in Vertebra if ml[level + 1] < LEAST_BODY_ML]:
        raise no_spine(f"a label map without {', '.join(missing)}", "every vertebra from T1 to L5")


def check_levels(bodies: Levels, column: Bool, voxel_mm: float, *, counted: bool = False) -> None:
    """Raise NoSpineError unless the column holds every level, in order, with plausible volumes and distances.

    ``bodies`` are those that the column was made of.
    """
    check_present(bodies, voxel_mm)
    order = [number for number in ORDER if (bodies == number).any()]
    names = [EXTRA.get(n) or Vertebra(n - 1).name for n in order]
    if lost := [name for name, n in zip(names, order, strict=True) if column[bodies == n].mean() < 0.5]:
        raise no_spine(f"a column that breaks: {', '.join(lost)} left over", "one column from T1 to L5")
    centres = np.array(ndimage.center_of_mass(bodies > 0, bodies, order))
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1) * np.sign(np.diff(centres[:, 0]))
    least = LEAST_COUNTED_STEP if counted else STEP_RATIO[0]
    pairs = [" to ".join(pair) for pair in pairwise(names)]
    _check_even("distance (mm)", steps * voxel_mm, pairs, (least, STEP_RATIO[1]), TYPICAL[counted])
    ml = np.bincount(bodies.ravel())[order] * voxel_mm**3 / 1000
    _check_even("volume (ml)", ml, names, (0.0, MERGED), TYPICAL[counted])
    _check_height(column, voxel_mm)


def _check_even(
    what: str, values: Float, names: list[str], ratios: tuple[float, float], quantile: float
) -> None:
    """Raise NoSpineError where a value over a quantile of four on either side is outside of ``ratios``."""
    for k, value in enumerate(values):
        typical = float(np.quantile(np.delete(values[max(k - 4, 0) : k + 5], min(k, 4)), quantile))
        if not ratios[0] * typical <= value <= ratios[1] * typical:
            found = f"a {what} of {value:.0f} at {names[k]}, {typical:.0f} among its neighbours"
            raise no_spine(found, "vertebrae in order, none missing, merged or in pieces")


def one_column(mask: AnyArray, voxel_mm: float) -> Bool:
    """The column of a mask, pieces below ``LEAST_BODY_ML`` left out; NoSpineError if there are more."""
    column = largest_component(mask)
    if (np.count_nonzero(mask) - column.sum()) * voxel_mm**3 >= 1000 * LEAST_BODY_ML:
        raise no_spine("a column in pieces", "one connected column T1–L5 with label 1")
    _check_height(column, voxel_mm)
    return column


def _check_height(column: Bool, voxel_mm: float) -> None:
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


def _open_rows(mask: Bool, radius_px: float) -> Bool:
    return np.stack([_open(row, radius_px) for row in mask])


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
