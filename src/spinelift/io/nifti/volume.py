"""NIfTI files written and read: each of the 48 ways to store a volume gives the same array.

NIfTI's world is RAS (right, anterior, head positive), DICOM's LPS; the project's arrays are [z, y, x] with
z to the feet.
"""

import gzip
import math
import zlib
from collections.abc import Collection
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from spinelift.errors import MissingExtraError, NoScansError, UnsupportedImageError
from spinelift.files import whole_file
from spinelift.geometry.arrays import AnyArray, Float, Float32
from spinelift.io.dixon.volume import DixonVolume

MAX_VOXELS = 1 << 28
"""Largest volume that is opened: 7 times the default grid of a stitched MRI."""
LABEL_TOLERANCE = 0.05
"""How far the values of a label map may be from whole numbers, beyond what scaling to bytes rounds off."""
_ELSEWHERE = {
    ".mnc": ("MINC", "mnc2nii (minc-tools) or nibabel with h5py"),
    ".par": ("Philips PAR/REC", "parrec2nii (nibabel) or dcm2niix"),
    ".rec": ("Philips PAR/REC", "parrec2nii (nibabel) or dcm2niix"),
    ".nrrd": ("NRRD", "3D Slicer or SimpleITK"),
    ".mha": ("MetaImage", "3D Slicer or SimpleITK"),
    ".mgz": ("FreeSurfer MGH", "mri_convert (FreeSurfer) or nibabel"),
}
"""Formats by the end of the name, and what converts them to NIfTI."""
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_TO_PROJECT = np.diag([1.0, 1.0, -1.0, 1.0])


def write_nifti(path: str | PathLike[str], volume: AnyArray, affine: Float) -> Path:
    """Write [z, y, x] as ``.nii.gz``; ``affine`` as of ``DixonVolume.affine`` (x, y, z index → LPS mm).

    Floating point is rounded to int16 (the scanner's values are whole numbers), masks stay uint8. The
    header holds nothing but geometry.
    """
    nib = _nibabel()
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


def read_nifti_on(path: str | PathLike[str], volume: DixonVolume, *, labels: Collection[int] = ()) -> Float32:
    """Resample a NIfTI to the grid of a stitched MRI, float32 [z, y, x]; 0 outside the file.

    The file is a three-dimensional ``.nii`` or ``.nii.gz``, stored in any orientation, also oblique. A
    label map is read with the numbers that it may hold as ``labels``, not negative: values are rounded and
    the nearest voxel is taken, else a mean of neighbours. Raises NoScansError, MissingExtraError or
    UnsupportedImageError, also for other values.
    """
    data, affine, slope = _load(Path(path))
    if labels:
        data = _rounded(data, labels, slope)
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


def _rounded(data: Float32, labels: Collection[int], slope: float) -> Float32:
    """Whole numbers of a label map; bytes scaled by ``slope`` < 1 are up to half of it away from them."""
    whole = np.rint(data)
    off = float(np.abs(data - whole).max())
    near = off <= max(LABEL_TOLERANCE, slope / 2 + 1e-3)
    if near and whole.min() >= 0 and whole.max() <= max(labels):
        found = np.flatnonzero(np.bincount(whole.astype(np.uint16).ravel()))
        if set(found.tolist()) <= {0, *labels}:
            return whole
    raise UnsupportedImageError(
        found=f"an image that is no label map: values from {data.min():.6g} to {data.max():.6g}, "
        f"up to {off:.2g} from whole numbers",
        expected=f"whole numbers that the tool uses, none above {max(labels)}",
        do="Pass the segmentation, not the image, and check the tool's name.",
    )


def _load(path: Path) -> tuple[Float32, Float, float]:
    """Data [x, y, z], axes to left, posterior and feet, the affine to project mm, and the scaling below 1."""
    nib = _nibabel()
    if not path.is_file():
        raise NoScansError(found=f"no file {path.name}", expected="a NIfTI file", do="Check the path.")
    try:
        with path.open("rb") as file:
            minc = file.read(4) in (b"\x89HDF", b"CDF\x01", b"CDF\x02")
        if kind := _ELSEWHERE.get(".mnc" if minc else path.suffix.lower()):
            do = f"Convert it with {kind[1]}."
            raise UnsupportedImageError(found=f"a file in {kind[0]} format", expected="NIfTI", do=do)
        image = nib.load(path)
        if not isinstance(image, nib.Nifti1Image):
            raise _unsupported("an image that is no NIfTI")
        shape = tuple(n for k, n in enumerate(image.shape) if k < 3 or n != 1)
        if len(shape) != 3 or math.prod(shape) > MAX_VOXELS or min(shape) < 2:
            raise _unsupported(f"a NIfTI of shape {'×'.join(map(str, image.shape))[:60]}")
        affine = np.asarray(image.affine, np.float64)
        if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-6:
            raise _unsupported("a NIfTI whose affine has no volume")
        if not int(image.header["sform_code"]) and not int(image.header["qform_code"]):
            raise _unsupported("a NIfTI without orientation (sform and qform codes are 0)")
        target = nib.orientations.axcodes2ornt(("L", "P", "I"))
        turned = image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(affine), target))
        data = np.asarray(turned.dataobj, np.float32).reshape(turned.shape[:3])
    except (*_DAMAGE, nib.filebasedimages.ImageFileError):
        raise _unsupported("a NIfTI that is cut or damaged") from None
    if not np.isfinite(data).all():
        data = np.nan_to_num(data, posinf=0.0, neginf=0.0)
    slope = abs(float(image.dataobj.slope))
    return data, _TO_PROJECT @ _LPS_TO_RAS @ turned.affine, slope if slope < 1 else 0.0


_DAMAGE = (OSError, EOFError, ValueError, TypeError, KeyError, OverflowError, zlib.error, gzip.BadGzipFile)


def _nibabel() -> Any:
    try:
        import nibabel
    except ImportError:
        raise MissingExtraError(
            found="no package nibabel", expected="nibabel, for NIfTI", do="Run: pip install 'spinelift[mri]'"
        ) from None
    return nibabel


def _unsupported(found: str) -> UnsupportedImageError:
    return UnsupportedImageError(
        found=found,
        expected="a whole three-dimensional NIfTI with its orientation",
        do="Export it again, e.g. with dcm2niix or nibabel.",
    )
