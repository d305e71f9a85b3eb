"""A CT and its label map, in patient axes: read, checked, and turned into masses of bone, lean and fat."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spinelift.errors import UnsupportedImageError
from spinelift.geometry.arrays import AnyArray, Float, Float32, Integers
from spinelift.io.nifti.labels import TABLES, LabelScheme
from spinelift.io.nifti.load import load_nifti
from spinelift.io.nifti.volume import require_nibabel
from spinelift.simulate.ct.materials import HIPS, RIBS, Spacing3, densities

Levels = NDArray[np.int8]
COARSE_MM = 1.6
"""Voxels are averaged in plane up to this size; a pixel of a DXA is 2.4 mm wide."""
MAX_SPACING_MM = 5.0
"""Largest distance of slices; thoracic bodies are 17 mm high."""
MAX_TURN = 0.26
"""Largest sine of the angle between an axis of the voxels and of the patient: 15°."""
MAX_SHEAR = 0.01
"""Largest cosine of the angle between two axes of the voxels: slices of a tilted gantry have more."""
MAX_APART_MM = 1.0
"""Largest distance between the corners of the CT and of its label map."""
AIR_HU, BONE_HU = -50.0, (150.0, 3000.0)
"""The 1st percentile of a CT lies below the first; the 95th of its vertebrae between the others."""


@dataclass(frozen=True)
class CtVolume:
    """A CT in patient axes: x to the left, y to posterior, z to the feet, from the centre of voxel 0.

    Parameters
    ----------
    density
        g/cm³ of bone, lean and fat, float32 [3, z, y, x].
    levels
        ``Vertebra`` + 1, 0 elsewhere, int8 [z, y, x]; vertebrae with their arches.
    spacing
        mm a voxel (z, y, x).
    labels
        Numbers of the label map, uint16 [z, y, x].
    """

    density: Float32
    levels: Levels
    spacing: Spacing3
    labels: NDArray[np.uint16]

    def xyz_mm(self, index: Integers) -> Float:
        """Voxel indices (z, y, x) [n, 3] → (x, y, z) in mm [n, 3]."""
        return np.asarray(index[:, ::-1] * np.array(self.spacing[::-1]), np.float64)


def read_ct(image: Path, label_map: Path, scheme: LabelScheme, *, coarse_mm: float = COARSE_MM) -> CtVolume:
    """Read a CT in HU and the map of its vertebrae, both NIfTI on one grid, stored in any orientation.

    ``label_map`` may be a folder of masks ``vertebrae_T1.nii.gz`` …, one a vertebra.

    Voxels are averaged in plane up to ``coarse_mm``. The table is taken out; arms stay as they lie.

    Raises
    ------
    UnsupportedImageError
        The grids differ, slices are too thick or oblique, the values are not HU, or no vertebra is labelled.
        Also the errors of ``load_nifti``.
    """
    nib = require_nibabel()
    table = TABLES[scheme]
    if not table.vertebrae:
        raise _refuse(f"labels of {scheme.value}, without levels", "levels T1 to L5", "Check --label-scheme.")
    values, spacing, origin = _oriented(*load_nifti(nib, image))
    hu = values.astype(np.float32, copy=False)
    read = partial(load_nifti, nib)
    stored = _masks(label_map, scheme, read) if label_map.is_dir() else read(label_map, table.labels)
    numbers, label_spacing, label_origin = _oriented(*stored)
    labels = numbers.astype(np.uint16, copy=False)
    apart = np.abs(np.subtract(origin, label_origin)).max()
    same = hu.shape == labels.shape and np.allclose(spacing, label_spacing, rtol=1e-2)
    if not same or apart > MAX_APART_MM:
        raise _refuse(
            f"a CT of {_grid(hu, spacing)}, labels of {_grid(labels, label_spacing)}, {apart:.0f} mm apart",
            "labels on the grid of the CT",
            "Resample the label map to the CT, nearest neighbour.",
        )
    if max(spacing) > MAX_SPACING_MM:
        raise _refuse(
            f"voxels of {max(spacing):.1f} mm", f"at most {MAX_SPACING_MM:g} mm", "Choose a finer series."
        )
    levels = np.zeros(labels.shape, np.int8)
    for label, level in table.vertebrae.items():
        levels[labels == label] = level + 1
    if not levels.any():
        raise _refuse("a label map without T1 to L5", "labelled vertebrae", "Check --label-scheme.")
    if np.isin(labels, list(table.extra)).any():
        raise _refuse("a 13th thoracic or 6th lumbar vertebra", "T1 to L5", "Leave this person out.")
    check_hu(hu, levels)
    factor = max(1, int(coarse_mm / max(spacing[1:])))
    organs = scheme is LabelScheme.TOTALSEGMENTATOR_TOTAL and np.isin(labels, (*RIBS, *HIPS)).any()
    density = densities(hu, labels, spacing, factor, vertebrae=None if organs else levels > 0)
    half = factor // 2
    rows, cols = (n // factor * factor for n in hu.shape[1:])
    middle = (slice(None), slice(half, rows, factor), slice(half, cols, factor))
    coarse = spacing[0], spacing[1] * factor, spacing[2] * factor
    return CtVolume(
        density, np.ascontiguousarray(levels[middle]), coarse, np.ascontiguousarray(labels[middle])
    )


def _masks(
    folder: Path, scheme: LabelScheme, read: Callable[..., tuple[AnyArray, Float]]
) -> tuple[AnyArray, Float]:
    """One label map of a folder of masks ``vertebrae_T1.nii.gz`` …, and its affine."""
    out: tuple[AnyArray, Float] | None = None
    for label, level in TABLES[scheme].vertebrae.items():
        for path in sorted(folder.glob(f"vertebrae_{level.name}.nii*")):
            mask, affine = read(path, range(2))
            labels, first = out or (np.zeros(mask.shape, np.uint16), affine)
            if mask.shape != labels.shape:
                raise _refuse("masks of different sizes", "masks on the grid of the CT", "Segment again.")
            labels[mask != 0] = label
            out = labels, first
    if out is None:
        raise _refuse("a folder without masks of T1 to L5", "vertebrae_T1.nii.gz …", "Check --labels.")
    return out


def _oriented(data: AnyArray, affine: Float) -> tuple[AnyArray, Spacing3, Float]:
    """Array [x, y, z] as ``load_nifti`` gives it → [z, y, x], mm a voxel (z, y, x), place of voxel 0."""
    size = np.linalg.norm(affine[:3, :3], axis=0)
    axes = affine[:3, :3] / size
    shear = np.abs(axes.T @ axes - np.eye(3)).max()
    turn = np.abs(axes - np.diag(np.diagonal(axes))).max()
    if shear > MAX_SHEAR or turn > MAX_TURN:
        raise _refuse(
            "oblique or sheared slices", "slices across the body", "Resample the CT to the patient's axes."
        )
    return (
        np.ascontiguousarray(data.transpose(2, 1, 0)),
        (float(size[2]), float(size[1]), float(size[0])),
        affine[:3, 3],
    )


def check_hu(hu: Float32, levels: Levels) -> None:
    """Raise UnsupportedImageError unless the values look like Hounsfield units."""
    low = float(np.percentile(hu[:: max(1, len(hu) // 20), ::4, ::4], 1))
    bone = float(np.percentile(hu[levels > 0][::7], 95))
    if low > AIR_HU or not BONE_HU[0] <= bone <= BONE_HU[1]:
        raise _refuse(
            f"values from {low:.0f} (1st percentile) with vertebrae up to {bone:.0f} (95th percentile)",
            f"Hounsfield units: below {AIR_HU:.0f}, and vertebrae from {BONE_HU[0]:.0f} to {BONE_HU[1]:.0f}",
            "Export the CT in Hounsfield units, and check that the labels belong to it.",
        )


def _grid(data: AnyArray, spacing: Collection[float]) -> str:
    """Size of a volume in words."""
    return "×".join(map(str, data.shape)) + " voxels of " + "×".join(f"{s:.2f}" for s in spacing) + " mm"


def _refuse(found: str, expected: str, do: str) -> UnsupportedImageError:
    return UnsupportedImageError(found=found, expected=expected, do=do)
