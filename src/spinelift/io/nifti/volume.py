"""NIfTI out and in, orientation obeyed: any of the 48 ways to store a volume gives the same one.

NIfTI's world is RAS (right, anterior, head positive), DICOM's LPS; the project's arrays are [z, y, x] with
z to the feet. These turns are made here and nowhere else.
"""

import gzip
import zlib
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from spinelift.errors import MissingExtraError, NoScansError, UnsupportedImageError
from spinelift.files import whole_file
from spinelift.io.dixon.volume import GRID_MM, GRID_SHAPE, DixonVolume

MAX_VOXELS = 1 << 28
"""Largest volume that is opened: 7 times the project's grid."""
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_TO_PROJECT = np.diag([1.0, 1.0, -1.0, 1.0])


def write_nifti(path: str | PathLike[str], volume: NDArray[np.generic], affine: NDArray[np.float64]) -> Path:
    """Write [z, y, x] as ``.nii.gz``; ``affine`` as of ``DixonVolume.affine`` (x, y, z index → LPS mm).

    Floating point is rounded to int16 (the scanner's values are whole numbers), masks stay uint8. The
    header holds nothing but geometry.
    """
    nib = _nibabel()
    if volume.dtype == np.bool_ or volume.dtype == np.uint8:
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


def read_nifti_on(
    path: str | PathLike[str], origin_mm: tuple[float, float, float], *, labels: bool = False
) -> NDArray[np.float32]:
    """Resample a NIfTI to the project's grid, float32 [700, 224, 224].

    Parameters
    ----------
    path
        Three-dimensional ``.nii`` or ``.nii.gz``, stored in any orientation, also oblique.
    origin_mm
        (x, y, z) of the grid's voxel (0, 0, 0), project axes, as of ``DixonVolume.origin_mm``.
    labels
        Take the nearest voxel, not a mean of neighbours. Outside the file 0 either way.

    Raises
    ------
    NoScansError, UnsupportedImageError, MissingExtraError
    """
    data, affine = _load(Path(path))
    grid = np.diag([GRID_MM, GRID_MM, GRID_MM, 1.0])
    grid[:3, 3] = origin_mm
    to_voxel = np.linalg.inv(affine) @ grid  # grid index (x, y, z) → stored index (x, y, z)
    matrix, offset = np.round(to_voxel[2::-1, 2::-1], 9), np.round(to_voxel[2::-1, 3], 6)
    out = np.zeros(GRID_SHAPE, np.float32)
    box = _covered(matrix, offset, data.shape[::-1])
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
    matrix: NDArray[np.float64], offset: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[slice, ...] | None:
    """Part of the grid that a volume of ``shape`` covers, with a margin of one voxel; None if none."""
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in shape], indexing="ij")).reshape(3, -1)
    places = np.linalg.inv(matrix) @ (corners - offset[:, None])
    low = np.maximum(np.floor(places.min(axis=1)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(places.max(axis=1)).astype(int) + 2, GRID_SHAPE)
    return tuple(map(slice, low, high)) if (low < high).all() else None


def read_dixon_nifti(water: str | PathLike[str], fat: str | PathLike[str], *, spine_id: str) -> DixonVolume:
    """A stitched Dixon made elsewhere, from its water and fat NIfTI, on the project's grid.

    The grid begins at the file's head end and is centred on it left to right and front to back.
    ``spine_id`` is a pseudonym: file names are not used, for they may name people.
    """
    data, affine = _load(Path(water))
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in data.shape], indexing="ij")).reshape(3, -1)
    mm = affine[:3, :3] @ corners + affine[:3, 3:]
    low, high = mm.min(axis=1), mm.max(axis=1)
    half = (GRID_SHAPE[1] - 1) / 2 * GRID_MM
    x, y = ((low[k] + high[k]) / 2 - half for k in (0, 1))
    origin = (float(x), float(y), float(low[2]))
    rows = min(GRID_SHAPE[0], int((high[2] - low[2]) / GRID_MM + 1e-6) + 1)
    volumes = [read_nifti_on(path, origin) for path in (water, fat)]
    return DixonVolume(spine_id, volumes[0], volumes[1], origin, (0, rows))


def _load(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Data [x, y, z], axes to the left, to posterior and to the feet, and the affine to project mm."""
    nib = _nibabel()
    if not path.is_file():
        raise NoScansError(found=f"no file {path.name}", expected="a NIfTI file", do="Check the path.")
    try:
        image = nib.load(path)
        if not isinstance(image, nib.Nifti1Image):
            raise _unsupported("an image that is no NIfTI")
        shape = tuple(n for k, n in enumerate(image.shape) if k < 3 or n != 1)
        if len(shape) != 3 or int(np.prod(shape)) > MAX_VOXELS or min(shape) < 2:
            raise _unsupported(f"a NIfTI of shape {'×'.join(map(str, image.shape))[:60]}")
        affine = np.asarray(image.affine, np.float64)
        if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-6:
            raise _unsupported("a NIfTI whose affine has no volume")
        if not int(image.header["sform_code"]) and not int(image.header["qform_code"]):
            raise _unsupported("a NIfTI that does not say how it lies (sform and qform codes are 0)")
        turn = nib.orientations.ornt_transform(
            nib.io_orientation(affine), nib.orientations.axcodes2ornt(("L", "P", "I"))
        )
        turned = image.as_reoriented(turn)
        data = np.asarray(turned.dataobj, np.float32).reshape(turned.shape[:3])
    except (*_DAMAGE, nib.filebasedimages.ImageFileError):
        raise _unsupported("a NIfTI that is cut or damaged") from None
    if not np.isfinite(data).all():
        data = np.nan_to_num(data, posinf=0.0, neginf=0.0)
    return data, _TO_PROJECT @ _LPS_TO_RAS @ turned.affine


_DAMAGE = (OSError, EOFError, ValueError, TypeError, KeyError, OverflowError, zlib.error, gzip.BadGzipFile)


def _nibabel() -> Any:
    try:
        import nibabel
    except ImportError:
        raise MissingExtraError(
            found="no package nibabel",
            expected="nibabel, to read and write NIfTI",
            do="Run: pip install 'spinelift[mri]'",
        ) from None
    return nibabel


def _unsupported(found: str) -> UnsupportedImageError:
    return UnsupportedImageError(
        found=found,
        expected="a whole three-dimensional NIfTI with its orientation",
        do="Export it again, e.g. with dcm2niix or nibabel.",
    )
