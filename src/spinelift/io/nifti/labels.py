"""Spine labels made elsewhere, in place of the project's own MRI segmentation.

The project's spine is the column of vertebral bodies and discs from T1 to L5. Other tools number
vertebrae with their arches, number nothing, or leave out discs; each is brought to that one definition.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from os import PathLike

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from spinelift.errors import NoSpineError
from spinelift.geometry import Vertebra, largest_component
from spinelift.geometry.arrays import Bool, Float32
from spinelift.io.dixon.volume import DixonVolume
from spinelift.io.nifti.column import between_ends, bodies_of, count_from_sacrum, join_bodies
from spinelift.io.nifti.volume import read_nifti_on


def _run(first: int, step: int = 1) -> dict[int, Vertebra]:
    """Labels of T1…L5 where T1 has ``first`` and each lower one ``step`` more."""
    return {first + step * level: level for level in Vertebra}


@dataclass(frozen=True)
class LabelTable:
    """What the numbers of a tool mean; other labels are ignored.

    Parameters
    ----------
    vertebrae
        Label → level, arches included unless ``bodies_only``.
    discs
        Labels of discs, whatever their level.
    bodies
        Labels of vertebral bodies (or whole vertebrae) without a level.
    sacrum
        Labels of the sacrum, from which levels are counted where there are none.
    bodies_only
        Whether ``vertebrae`` and ``bodies`` are bodies without arches.
    source
        Where the numbers were read.
    """

    source: str
    vertebrae: Mapping[int, Vertebra] = field(default_factory=dict)
    discs: frozenset[int] = frozenset()
    bodies: frozenset[int] = frozenset()
    sacrum: frozenset[int] = frozenset()
    bodies_only: bool = False


class LabelScheme(Enum):
    """Tools whose labels are understood; the value names the tool and its task."""

    SPINELIFT = "spinelift"
    TOTALSEGMENTATOR_TOTAL = "totalsegmentator-total"
    TOTALSEGMENTATOR_V1 = "totalsegmentator-v1"
    TOTALSEGMENTATOR_VERTEBRAE_MR = "totalsegmentator-vertebrae-mr"
    TOTALSEGMENTATOR_TOTAL_MR = "totalsegmentator-total-mr"
    TOTALSEGMENTATOR_VERTEBRAE_BODY = "totalsegmentator-vertebrae-body"
    VIBESEGMENTATOR = "vibesegmentator"
    SPINEPS_VERT = "spineps-vert"
    SPINEPS_SPINE = "spineps-spine"

    @property
    def table(self) -> LabelTable:
        """The meaning of its numbers."""
        return TABLES[self]


_TOTALSEGMENTATOR = "TotalSegmentator, totalsegmentator/map_to_binary.py, class_map"
_SPINEPS = "SPINEPS, README.md, Labels; numbers of vertebrae in TPTBox, core/vert_constants.py, v_idx2name"

TABLES: Mapping[LabelScheme, LabelTable] = {
    LabelScheme.SPINELIFT: LabelTable("this package: 1 is the column T1–L5"),
    LabelScheme.TOTALSEGMENTATOR_TOTAL: LabelTable(
        f"{_TOTALSEGMENTATOR}['total'] (version 2, CT): L5 27 … T1 43, sacrum 25",
        vertebrae=_run(43, -1),
        sacrum=frozenset({25}),
    ),
    LabelScheme.TOTALSEGMENTATOR_V1: LabelTable(
        f"{_TOTALSEGMENTATOR}['total_v1'] (CT): L5 18 … T1 34, sacrum 92",
        vertebrae=_run(34, -1),
        sacrum=frozenset({92}),
    ),
    LabelScheme.TOTALSEGMENTATOR_VERTEBRAE_MR: LabelTable(
        f"{_TOTALSEGMENTATOR}['vertebrae_mr']: L5 2 … T1 18, sacrum 1",
        vertebrae=_run(18, -1),
        sacrum=frozenset({1}),
    ),
    LabelScheme.TOTALSEGMENTATOR_TOTAL_MR: LabelTable(
        f"{_TOTALSEGMENTATOR}['total_mr']: sacrum 18, vertebrae 19, discs 20",
        discs=frozenset({20}),
        bodies=frozenset({19}),
        sacrum=frozenset({18}),
    ),
    LabelScheme.TOTALSEGMENTATOR_VERTEBRAE_BODY: LabelTable(
        f"{_TOTALSEGMENTATOR}['vertebrae_body'] (CT): bodies 1, discs 2; levels from a second file",
        discs=frozenset({2}),
        bodies=frozenset({1}),
        bodies_only=True,
    ),
    LabelScheme.VIBESEGMENTATOR: LabelTable(
        "VIBESegmentator, README.md, Label Model 100: sacrum 23, IVD 68, vertebra_body 69",
        discs=frozenset({68}),
        bodies=frozenset({69}),
        sacrum=frozenset({23}),
        bodies_only=True,
    ),
    LabelScheme.SPINEPS_VERT: LabelTable(
        f"{_SPINEPS}: T1 8 … T12 19, L1 20 … L5 24, S1 26; disc below vertebra X 100 + X, endplate 200 + X",
        vertebrae=_run(8),
        discs=frozenset(range(108, 124)) | frozenset(range(208, 225)),
        sacrum=frozenset({26}),
    ),
    LabelScheme.SPINEPS_SPINE: LabelTable(
        f"{_SPINEPS}: sacrum 26, body 49 or 50, endplate 62, disc 100",
        discs=frozenset({62, 100}),
        bodies=frozenset({49, 50}),
        sacrum=frozenset({26}),
        bodies_only=True,
    ),
}


@dataclass(frozen=True)
class SpineLabels:
    """A spine on the grid of a ``DixonVolume``.

    Parameters
    ----------
    mask
        bool [z, y, x]: bodies and discs, T1 to L5, one connected column.
    centres_mm
        Body centres (x, y, z), project axes, by level; empty for a mask without levels.
    remarks
        Remarks for whoever reads the result.
    """

    mask: Bool
    centres_mm: Mapping[Vertebra, tuple[float, float, float]]
    remarks: tuple[str, ...] = ()


def read_spine_labels(
    path: str | PathLike[str],
    volume: DixonVolume,
    scheme: LabelScheme,
    *,
    bodies: tuple[str | PathLike[str], LabelScheme] | None = None,
) -> SpineLabels:
    """Spine mask of ``volume`` from a label map in NIfTI, stored in any orientation.

    Parameters
    ----------
    path, scheme
        The label map, and whose numbers it holds.
    bodies
        A second map, with bodies and discs without arches (SPINEPS ``seg-spine``, VIBESegmentator,
        TotalSegmentator ``vertebrae_body``), where ``path`` has levels with arches.

    Raises
    ------
    NoSpineError
        A level from T1 to L5 is missing.
    AmbiguousScanError
        Neither map has levels, and they cannot be counted from the sacrum.
    """
    labels = read_nifti_on(path, volume, labels=True)
    if scheme is LabelScheme.SPINELIFT:
        return _column(labels == 1)
    remarks: list[str] = []
    voxel_mm = volume.voxel_mm
    table = scheme.table
    parts, parts_table = labels, table
    if bodies is not None:
        parts = read_nifti_on(bodies[0], volume, labels=True)
        parts_table = bodies[1].table
    box = _box(labels > 0 if bodies is None else (labels > 0) | (parts > 0))
    labels, parts = labels[box], parts[box]
    levels = _levels(labels, table)
    if not table.vertebrae:
        sacrum = np.isin(labels, list(table.sacrum))
        bodies_mask = np.isin(labels, list(table.bodies))
        levels = count_from_sacrum(bodies_mask, sacrum, voxel_mm, whole=not table.bodies_only)
        remarks.append("Levels were counted from the sacrum upwards: five lumbar vertebrae were taken.")
    missing = [level.name for level in Vertebra if not (levels == level + 1).any()]
    if missing:
        raise NoSpineError(
            found=f"a label map without {', '.join(missing)}",
            expected="every vertebra from T1 to L5",
            do="Check the tool's name, or leave this person out.",
        )
    if table.vertebrae:
        levels[~bodies_of(levels, voxel_mm)] = 0
    if parts_table.bodies_only:
        keep = between_ends(np.isin(parts, list(parts_table.bodies)), levels, voxel_mm)
    else:
        keep = levels > 0
        remarks.append("Arches were cut off by opening: the map holds whole vertebrae.")
    discs = np.isin(parts, list(parts_table.discs))
    if not parts_table.vertebrae:  # else the numbers themselves say which discs are between T1 and L5
        discs = between_ends(discs, levels, voxel_mm)
    if not discs.any():
        remarks.append("Discs were filled in between the bodies: the map holds none.")
    mask = np.zeros(volume.water.shape, bool)
    mask[box] = join_bodies(keep, discs, voxel_mm)
    centres = {level: _centre(keep & (levels == level + 1), box, volume) for level in Vertebra}
    return SpineLabels(mask, centres, tuple(remarks))


def _levels(labels: Float32, table: LabelTable) -> NDArray[np.int8]:
    """Level + 1 in each voxel of a vertebra T1…L5, else 0."""
    levels = np.zeros(labels.shape, np.int8)
    for label, level in table.vertebrae.items():
        levels[labels == label] = level + 1
    return levels


def _box(mask: Bool) -> tuple[slice, ...]:
    """Bounding box of a mask; of an empty one the whole."""
    found = ndimage.find_objects(mask.view(np.int8))
    return tuple(found[0]) if found else tuple(slice(0, n) for n in mask.shape)


def _centre(mask: Bool, box: tuple[slice, ...], volume: DixonVolume) -> tuple[float, float, float]:
    places = zip(np.nonzero(mask), box, strict=True)
    z, y, x = (float(v.mean()) + side.start if len(v) else float("nan") for v, side in places)
    ox, oy, oz = volume.origin_mm
    mm = volume.voxel_mm
    return ox + mm * x, oy + mm * y, oz + mm * z


def _column(mask: Bool) -> SpineLabels:
    if not mask.any():
        raise NoSpineError(
            found="a label map without a spine",
            expected="the column T1–L5 with label 1",
            do="Check the tool's name.",
        )
    return SpineLabels(largest_component(mask), {})
