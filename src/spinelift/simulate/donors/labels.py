"""Donors from a segmented CT: a label map of whole vertebrae in NIfTI, and the CT itself."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from spinelift.errors import ConfigError
from spinelift.geometry import Vertebra, largest_component
from spinelift.geometry.arrays import Bool, Float
from spinelift.io.nifti.labels import TABLES, LabelScheme
from spinelift.io.nifti.load import Voxels
from spinelift.io.nifti.volume import read_nifti
from spinelift.simulate.body.bones import make_mesh, outward
from spinelift.simulate.body.donors import DonorVertebra
from spinelift.simulate.donors.check import check_vertebra
from spinelift.simulate.donors.folder import Refuse
from spinelift.simulate.donors.frame import donor_vertebra
from spinelift.simulate.donors.surface import surface_of

LABELS = range(1000)
"""Numbers that a map may hold."""
ML = (4.0, 150.0)
"""Least and greatest volume of a vertebra."""
USUAL_ML = ([Vertebra.T1, Vertebra.T6, Vertebra.T12, Vertebra.L5], [20.0, 22.0, 42.0, 62.0])
"""Volumes of whole vertebrae on CT, by level."""
MOST_OFF, CLEAR = 0.6, 0.15
"""Of recognising a scheme: greatest median difference of log volumes from the usual ones, and how much
larger it must be for any other one."""
WHOLE_SHARE = 0.9
"""Least share of a label that is one connected piece."""
CORE = 0.65
"""The middle of the body is where the surface is farther away than this share of the greatest depth."""
SOFT_HU, BONE_HU, BONE_DENSITY = 40.0, 1600.0, 1.92
"""HU of what fills bone's pores; HU at 120 kV and g/cm³ of compact bone (ICRU-44)."""


RECOGNISED = (LabelScheme.TOTALSEGMENTATOR_TOTAL, LabelScheme.TOTALSEGMENTATOR_V1, LabelScheme.VERSE)
"""Schemes that are recognised by their labels. SPINEPS has VerSe's numbers of vertebrae."""


def donors_of_labels(
    path: Path,
    person: str,
    *,
    ct: Path | None = None,
    scheme: LabelScheme | None = None,
    refuse: Refuse,
) -> list[DonorVertebra]:
    """The whole vertebrae T1 to L5 of a label map; ``refuse`` is called for those that cannot be used.

    With a ``ct`` of the same person and place the mineral of each arch is measured.

    Raises
    ------
    ConfigError
        The label scheme is not recognised.
    NoScansError, UnsupportedImageError, MissingExtraError
        A file cannot be read.
    """
    voxels, affine = read_nifti(path, labels=LABELS)
    labels = voxels.astype(np.int16)
    hu = None if ct is None else read_nifti(ct)
    numbers = recognised(labels, affine) if scheme is None else TABLES[scheme].vertebrae
    boxes = ndimage.find_objects(labels)
    out = []
    for label, level in sorted(numbers.items(), key=lambda item: item[1]):
        box = boxes[label - 1] if label <= len(boxes) else None
        if box is None:
            continue
        try:
            mask = _whole(labels, label, box, affine)
            start = affine @ np.append([side.start for side in box], 1.0)
            placed = np.column_stack([affine[:, :3], start])
            bone = _in_its_frame(person, level, mask, placed)
            check_vertebra(bone)
        except ValueError as error:
            refuse(f"{person} {level.name}", str(error))
            continue
        if hu is not None:
            bone = replace(bone, arch_mineral=arch_mineral(bone, mask, placed, *hu))
        out.append(bone)
    return out


def recognised(labels: NDArray[np.int16], affine: Float) -> Mapping[int, Vertebra]:
    """Level by label of the tool whose vertebrae follow each other down in a map [x, y, z].

    Raises
    ------
    ConfigError
        None of the tools fits, or several do equally.
    """
    ml = np.bincount(labels.ravel()) * abs(np.linalg.det(affine[:3, :3])) / 1000
    off = {}
    for scheme in RECOGNISED:
        numbers = {k: v for k, v in TABLES[scheme].vertebrae.items() if k < len(ml) and ml[k] > 0}
        present = sorted(numbers, key=lambda k: numbers[k])
        if len(present) >= 2:
            centres: Float = np.array(ndimage.center_of_mass(labels > 0, labels, present))
            usual = np.interp([numbers[k] for k in present], *USUAL_ML)
            if (np.diff(centres @ affine[2, :3]) > 0).all():
                off[scheme] = float(np.median(np.abs(np.log(ml[present] / usual))))
    best = [n for n, value in off.items() if value < min(CLEAR + min(off.values()), MOST_OFF)]
    if len(best) != 1:
        raise ConfigError(
            found=f"labels that could be those of {' or '.join(n.value for n in best) or 'no known tool'}",
            expected="two vertebrae or more, numbered as by TotalSegmentator, VerSe or SPINEPS",
            do="Give --label-scheme.",
        )
    return TABLES[best[0]].vertebrae


def _whole(labels: NDArray[np.int16], label: int, box: tuple[slice, ...], affine: Float) -> Bool:
    """Mask of a vertebra in its box; ValueError if it is cut, in pieces, tiny or too large."""
    inside = labels[box] == label
    mask = largest_component(inside)
    ml = float(mask.sum()) * abs(np.linalg.det(affine[:3, :3])) / 1000
    if mask.sum() < WHOLE_SHARE * inside.sum():
        raise ValueError(f"it is in pieces: the largest has {mask.sum() / inside.sum():.0%} of it")
    if not ML[0] <= ml <= ML[1]:
        raise ValueError(f"it has {ml:.1f} ml, and vertebrae {ML[0]:.0f} to {ML[1]:.0f}")
    for axis, side in enumerate(box):
        ends = [(side.start == 0, 0), (side.stop == labels.shape[axis], -1)]
        if any(at_end and mask.take(k, axis).any() for at_end, k in ends):
            raise ValueError("it is cut by the end of the scan")
    return mask


def _in_its_frame(person: str, level: Vertebra, mask: Bool, affine: Float) -> DonorVertebra:
    """The surface of a mask [x, y, z] in the frame of the vertebra's endplates."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    core = largest_component(depth > CORE * depth.max())
    middle = affine[:3] @ np.append(ndimage.center_of_mass(core), 1.0)
    vertices, faces = surface_of(mask, spacing)
    mesh = outward(make_mesh(vertices @ affine[:3, :3].T + affine[:3, 3], faces))
    return donor_vertebra(person, level, mesh, middle)


def arch_mineral(bone: DonorVertebra, mask: Bool, affine: Float, hu: Voxels, ct_affine: Float) -> float:
    """Mineral in a cubic centimetre of the arch over that of the body; NaN where the CT shows no bone."""
    voxels = np.argwhere(mask)
    mm = voxels @ affine[:3, :3].T + affine[:3, 3]
    to_ct = np.linalg.inv(ct_affine)
    at = mm @ to_ct[:3, :3].T + to_ct[:3, 3]
    values = ndimage.map_coordinates(hu.astype(np.float32, copy=False), at.T, order=1, mode="nearest").astype(
        np.float64
    )
    mineral = np.clip((values - SOFT_HU) / (BONE_HU - SOFT_HU), 0, 1.2) * BONE_DENSITY
    behind = ((mm - bone.centre) @ bone.frame)[:, 1] - bone.size[1] / 2
    body, arch = mineral[behind < 0].mean(), mineral[behind > 3].mean()
    return float(arch / body) if body > 0.02 else float("nan")
