"""Spine labels made elsewhere, brought to the project's column of bodies and discs from T1 to L5.

Other tools number vertebrae with their arches, number nothing, or leave out discs.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from os import PathLike
from pathlib import Path

import numpy as np
from scipy import ndimage

from spinelift.errors import AmbiguousScanError, ConfigError
from spinelift.geometry import Vertebra
from spinelift.geometry.arrays import Bool
from spinelift.io.dixon.volume import DixonVolume
from spinelift.io.nifti.column import (
    EXTRA,
    between_ends,
    bodies_of,
    check_levels,
    check_present,
    count_from_sacrum,
    join_bodies,
    no_spine,
    one_column,
)
from spinelift.io.nifti.volume import read_nifti_on


def _run(first: int, step: int = 1) -> dict[int, Vertebra]:
    """Labels of T1…L5 where T1 has ``first`` and each lower one ``step`` more."""
    return {first + step * level: level for level in Vertebra}


@dataclass(frozen=True)
class LabelTable:
    """What the numbers of a tool mean.

    ``source`` is where the numbers were read, ``word`` what the tool's or task's files have in their names,
    ``labels`` all numbers of the tool: a map with others is refused. ``vertebrae`` maps labels to levels,
    ``extra`` those of a T13 and an L6 to numbers of ``EXTRA``. ``bodies`` are labels of vertebral bodies (or
    whole vertebrae) without a level, ``discs`` those of discs, whatever their level, ``below_l5`` more of
    them where there is an L6, and ``sacrum`` those from which levels are counted where there are none.
    ``bodies_only`` means that vertebrae and bodies come without arches.
    """

    source: str
    word: str
    labels: Collection[int]
    vertebrae: Mapping[int, Vertebra] = field(default_factory=dict)
    discs: tuple[int, ...] = ()
    bodies: tuple[int, ...] = ()
    sacrum: tuple[int, ...] = ()
    extra: Mapping[int, int] = field(default_factory=dict)
    below_l5: tuple[int, ...] = ()
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
    VERSE = "verse"

    @classmethod
    def named(cls, name: str, option: str) -> "LabelScheme":
        """The scheme of a name that was given with ``option``; raises ConfigError if there is none."""
        known = [scheme.value for scheme in cls]
        if name not in known:
            raise ConfigError(
                found=f"labels of {name!r}", expected=f"one of {', '.join(known)}", do=f"Check {option}."
            )
        return cls(name)


_TOTALSEGMENTATOR = "TotalSegmentator, totalsegmentator/map_to_binary.py, class_map"
_SPINEPS = "SPINEPS, README.md, Labels; numbers of vertebrae in TPTBox, core/vert_constants.py, v_idx2name"

TABLES: Mapping[LabelScheme, LabelTable] = {
    LabelScheme.SPINELIFT: LabelTable("this package: 1 is the column T1–L5", "spinelift", range(2)),
    LabelScheme.TOTALSEGMENTATOR_TOTAL: LabelTable(
        f"{_TOTALSEGMENTATOR}['total'] (v2, CT; early maps have 118)", "total", range(119),
        vertebrae=_run(43, -1), sacrum=(25,),
    ),
    LabelScheme.TOTALSEGMENTATOR_V1: LabelTable(
        f"{_TOTALSEGMENTATOR}['total_v1'] (CT)", "total-v1", range(105), vertebrae=_run(34, -1), sacrum=(92,)
    ),
    LabelScheme.TOTALSEGMENTATOR_VERTEBRAE_MR: LabelTable(
        f"{_TOTALSEGMENTATOR}['vertebrae_mr']", "vertebrae-mr", range(26), vertebrae=_run(18, -1), sacrum=(1,)
    ),
    LabelScheme.TOTALSEGMENTATOR_TOTAL_MR: LabelTable(
        f"{_TOTALSEGMENTATOR}['total_mr']", "total-mr", range(57), discs=(20,), bodies=(19,), sacrum=(18,)
    ),
    LabelScheme.TOTALSEGMENTATOR_VERTEBRAE_BODY: LabelTable(
        f"{_TOTALSEGMENTATOR}['vertebrae_body'] (CT)", "vertebrae-body", range(3),
        discs=(2,), bodies=(1,), bodies_only=True,
    ),
    LabelScheme.VIBESEGMENTATOR: LabelTable(
        "VIBESegmentator, README.md, Label Model 100", "vibesegmentator", range(101),
        discs=(68,), bodies=(69,), sacrum=(23,), bodies_only=True,
    ),
    LabelScheme.SPINEPS_VERT: LabelTable(
        f"{_SPINEPS}: disc below vertebra X 100 + X, endplate 200 + X",
        "seg-vert", {*range(65), *range(101, 134), *range(201, 234)}, sacrum=(26,), vertebrae=_run(8),
        discs=(*range(108, 124), 128, *range(208, 225), 228), extra={28: 18, 25: 19}, below_l5=(124, 225),
    ),
    LabelScheme.SPINEPS_SPINE: LabelTable(
        f"{_SPINEPS}: body 49 or 50, endplate 62, disc 100", "seg-spine", {*range(70), 100},
        discs=(62, 100), bodies=(49, 50), sacrum=(26,), bodies_only=True,
    ),
    LabelScheme.VERSE: LabelTable(
        "VerSe, README.md (CT); CTSpine1K numbers vertebrae alike", "seg-vert",
        range(29), sacrum=(26,), vertebrae=_run(8), extra={28: 18, 25: 19},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class SpineLabels:
    """A spine on the grid of a ``DixonVolume``, and remarks for the reader of the result.

    ``mask`` is bool [z, y, x]: bodies and discs, T1 to L5, one connected column. ``centres_mm`` are body
    centres (x, y, z), project axes, by level; empty for a mask without levels.
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

    ``bodies`` is a second map, of bodies and discs without arches (SPINEPS ``seg-spine``, VIBESegmentator,
    TotalSegmentator ``vertebrae_body``), where ``path`` has levels with arches. Raises the errors of
    ``read_nifti_on``, NoSpineError if a level from T1 to L5 is missing or implausible, and AmbiguousScanError
    if the map has no levels and they cannot be counted from the sacrum.
    """
    table = parts_table = TABLES[scheme]
    labels = read_nifti_on(path, volume, labels=table.labels)
    voxel_mm = volume.voxel_mm
    if not labels.any():
        raise no_spine("no label inside the MRI", "a label map of this MRI, in its coordinates")
    if scheme is LabelScheme.SPINELIFT:
        return SpineLabels(one_column(labels, voxel_mm), {})
    remarks: list[str] = []
    parts = labels
    if bodies is not None:
        parts_table = TABLES[bodies[1]]
        parts = read_nifti_on(bodies[0], volume, labels=parts_table.labels)
    box = ndimage.find_objects(((labels > 0) | (parts > 0)).view(np.int8))[0]
    labels, parts = labels[box], parts[box]
    levels = np.zeros(labels.shape, np.int8)
    for label, number in ({k: v + 1 for k, v in table.vertebrae.items()} | dict(table.extra)).items():
        levels[labels == label] = number
    if table.vertebrae:
        levels[~bodies_of(levels, voxel_mm)] = 0
    else:
        sacrum, unnumbered = np.isin(labels, table.sacrum), np.isin(labels, table.bodies)
        levels, cut = count_from_sacrum(unnumbered, sacrum, voxel_mm, whole=not table.bodies_only)
        remarks.append("Levels were counted from the sacrum upwards: five lumbar vertebrae were taken.")
        remarks += ["Bodies that touch were cut apart at equal heights."] * cut
    check_present(levels, voxel_mm)
    extra = [name for number, name in EXTRA.items() if (levels == number).any()]
    remarks += [
        f"The map has a vertebra {name}: it is part of the column, without a level." for name in extra
    ]
    if parts_table.bodies_only:
        keep = between_ends(np.isin(parts, parts_table.bodies), levels, voxel_mm)
    else:
        keep = levels > 0
        remarks.append("Arches were cut off by opening: the map holds whole vertebrae.")
    below_l5 = parts_table.below_l5 if "L6" in extra else ()
    discs = np.isin(parts, parts_table.discs + below_l5)
    if not parts_table.vertebrae:  # else the numbers themselves say which discs are between T1 and L5
        discs = between_ends(discs, levels, voxel_mm)
    if not discs.any():
        remarks.append("Discs were filled in between the bodies: the map holds none.")
    mask = np.zeros(volume.water.shape, bool)
    mask[box] = join_bodies(keep, discs, voxel_mm)
    check_levels(np.where(keep, levels, np.int8(0)), mask[box], voxel_mm, counted=not table.vertebrae)
    rows = np.flatnonzero(mask.any(axis=(1, 2)))
    if rows[0] <= volume.rows[0] or rows[-1] >= volume.rows[1] - 1:
        remarks.append("The column reaches an end of the MRI: it may be cut.")
    centres = {level: _centre(keep & (levels == level + 1), box, volume) for level in Vertebra}
    return SpineLabels(mask, centres, tuple(remarks))


def choose_labels(paths: Collection[Path], scheme: LabelScheme) -> Path:
    """The only label map of a visit, or the only one whose name has the scheme's word and no longer one.

    Raises AmbiguousScanError if there is no such file.
    """
    word = TABLES[scheme].word
    longest_first = sorted((table.word for table in TABLES.values()), key=len, reverse=True)
    names = {p: p.name.lower().replace("_", "-") for p in paths}
    named = [p for p in paths if next((w for w in longest_first if w in names[p]), "") == word]
    chosen = named if len(paths) > 1 else [*paths]
    if len(chosen) != 1:
        raise AmbiguousScanError(
            found=f"{len(paths)} label maps of one visit, {len(chosen)} named {word}",
            expected=f"one label map, or one with {word} in its name",
            do="Leave one in the folder, or name it after the tool's task.",
        )
    return chosen[0]


def _centre(mask: Bool, box: tuple[slice, ...], volume: DixonVolume) -> tuple[float, float, float]:
    """Centre (x, y, z) of a mask in a box of the volume, mm; NaN if it is empty."""
    places = zip(np.nonzero(mask), box, strict=True)
    z, y, x = (float(v.mean()) + (side.start or 0) if len(v) else float("nan") for v, side in places)
    ox, oy, oz = volume.origin_mm
    mm = volume.voxel_mm
    return ox + mm * x, oy + mm * y, oz + mm * z
