"""NIfTI files written and read: each of the 48 ways to store a volume gives the same array.

NIfTI's world is RAS (right, anterior, head positive), DICOM's LPS; the project's arrays are [z, y, x] with
z to the feet.
"""

import gzip
from collections.abc import Collection
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from spinelift.errors import MissingExtraError
from spinelift.files import whole_file
from spinelift.geometry.arrays import AnyArray, Float, Float32
from spinelift.io.dixon.volume import DixonVolume
from spinelift.io.nifti.load import Voxels, load_nifti

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_TO_PROJECT = np.diag([1.0, 1.0, -1.0, 1.0])


def write_nifti(path: str | PathLike[str], volume: AnyArray, affine: Float) -> Path:
    """Write [z, y, x] as ``.nii.gz``; ``affine`` as of ``DixonVolume.affine`` (x, y, z index → LPS mm).

    Floating point is rounded to int16 (the scanner's values are whole numbers), masks stay uint8. The
    header holds nothing but geometry.
    """
    nib = require_nibabel()
    if volume.dtype in (np.bool_, np.uint8):
        stored = volume.astype(np.uint8)
    else:
        stored = np.clip(np.rint(volume), -32768, 32767).astype(np.int16)
    image = nib.Nifti1Image(stored.transpose(2, 1, 0), _LPS_TO_RAS @ affine)
    image.header.set_xyzt_units("mm")
    image.set_qform(image.affine, code=1)
    image.set_sform(image.affine, code=1)
    path = Path(path)
    with whole_file(path) as file, gzip.GzipFile("", "wb", 1, file, 0) as packed:
        image.to_stream(packed)
    return path


def read_nifti(path: str | PathLike[str], *, labels: Collection[int] = ()) -> tuple[Voxels, Float]:
    """A NIfTI as it is stored: voxels [x, y, z], and the affine [4, 4] from their index to project mm.

    ``labels`` and errors as of ``read_nifti_on``.
    """
    data, affine = load_nifti(require_nibabel(), Path(path), labels)
    return data, _TO_PROJECT @ _LPS_TO_RAS @ affine


def read_nifti_on(path: str | PathLike[str], volume: DixonVolume, *, labels: Collection[int] = ()) -> Float32:
    """Resample a NIfTI to the grid of a stitched MRI, float32 [z, y, x]; 0 outside the file.

    The file is a three-dimensional ``.nii`` or ``.nii.gz``, stored in any orientation, also oblique. A
    label map is read with the numbers that it may hold as ``labels``, not negative: values are rounded and
    the nearest voxel is taken, else a mean of neighbours. Raises NoScansError, MissingExtraError or
    UnsupportedImageError, also for other values.
    """
    data, affine = read_nifti(path, labels=labels)
    to_mm = np.diag([volume.voxel_mm] * 3 + [1.0])
    to_mm[:3, 3] = volume.origin_mm
    to_voxel = np.linalg.inv(affine) @ to_mm  # grid index (x, y, z) → stored index (x, y, z)
    matrix, offset = np.round(to_voxel[2::-1, 2::-1], 9), np.round(to_voxel[2::-1, 3], 6)
    out = np.zeros(volume.water.shape, np.float32)
    box = _covered(matrix, offset, data.shape[::-1], out.shape)
    if box is not None:
        diagonal = np.diagonal(matrix)
        straight = np.allclose(matrix, np.diag(diagonal), atol=1e-9)
        ndimage.affine_transform(
            data.transpose(2, 1, 0),
            diagonal if straight else matrix,
            offset + matrix @ [side.start for side in box],
            output=out[box],
            order=0 if labels else 1,
            mode="constant" if labels else "grid-constant",
        )
    return out


def _covered(
    matrix: Float, offset: Float, shape: tuple[int, ...], grid: tuple[int, ...]
) -> tuple[slice, ...] | None:
    """Part of the grid that a volume of ``shape`` covers, with a margin of one voxel; None if none."""
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in shape], indexing="ij")).reshape(3, -1)
    places = np.linalg.inv(matrix) @ (corners - offset[:, None])
    low = np.maximum(np.floor(places.min(axis=1)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(places.max(axis=1)).astype(int) + 2, grid)
    return tuple(map(slice, low, high)) if (low < high).all() else None


def require_nibabel() -> Any:
    """The package nibabel, or a MissingExtraError."""
    try:
        import nibabel
    except ImportError:
        raise MissingExtraError(
            found="no package nibabel", expected="nibabel, for NIfTI", do="Run: pip install 'spinelift[mri]'"
        ) from None
    return nibabel
