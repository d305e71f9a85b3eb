"""NIfTI from files that are not trusted: in pieces, with every size checked before memory is taken for it."""

import bz2
import gzip
import math
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from spinelift.errors import NoScansError, UnsupportedImageError
from spinelift.geometry.arrays import Float, Float32

Voxels = NDArray[np.number[Any]]
MAX_VOXELS = 1 << 28
"""Largest volume that is opened: 7 times the default grid of a stitched MRI."""
LABEL_TOLERANCE = 0.05
"""How far the values of a label map may be from whole numbers, beyond what scaling to bytes rounds off."""
MAX_STORED_BYTES = 1 << 30
"""Largest content of a file, when expanded: ``MAX_VOXELS`` of 32 bits."""
MAX_OFFSET = 1 << 20
"""Most bytes before the voxels, and after them."""
VOXEL_RANGE_MM = (0.01, 100.0)
"""Sizes of voxels that are accepted."""
LEAST_CELL = 0.5
"""Least volume of the cell of unit vectors along the three axes: 1 if they are at right angles."""
MAX_APART_MM = 2.0
"""Largest distance between two statements of where a voxel is."""
_MM = {1: 1000.0, 3: 0.001}
"""Units of length, as the header numbers them, that are not mm: metre and micrometre."""
PIECE = 1 << 20
"""Voxels that are read at once, or one plane."""
_PAIRED = b"ni"
_PACKED: Mapping[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open}
_MINC = ("MINC", "mnc2nii (minc-tools) or nibabel with h5py")
_PAR_REC = ("Philips PAR/REC", "parrec2nii (nibabel) or dcm2niix")
_META_IMAGE = ("MetaImage", "3D Slicer or SimpleITK")
_PAIR = ("Analyze or NIfTI pair (.hdr, .img)", "nibabel or 3D Slicer, to one .nii file")
_OF_MAGIC = {
    b"\x89HDF": _MINC,
    b"CDF\x01": _MINC,
    b"CDF\x02": _MINC,
    b"NRRD": ("NRRD", "3D Slicer or SimpleITK"),
    b"ObjectType": _META_IMAGE,
    b"NDims": _META_IMAGE,
    b"# === DATA": _PAR_REC,
    b"PK\x03\x04": ("zip", "unzip, and pass the NIfTI"),
    b"\x28\xb5\x2f\xfd": ("Zstandard", "unzstd, and pass the NIfTI"),
    b"\xfd7zXZ": ("xz", "unxz, and pass the NIfTI"),
}
"""Formats by their first bytes, and what converts them to NIfTI."""
_OF_SUFFIX = {
    ".mnc": _MINC,
    ".par": _PAR_REC,
    ".rec": _PAR_REC,
    ".nrrd": _OF_MAGIC[b"NRRD"],
    ".nhdr": _OF_MAGIC[b"NRRD"],
    ".mha": _META_IMAGE,
    ".mhd": _META_IMAGE,
    ".mgh": ("FreeSurfer MGH", "mri_convert (FreeSurfer) or nibabel"),
    ".mgz": ("FreeSurfer MGH", "mri_convert (FreeSurfer) or nibabel"),
    ".hdr": _PAIR,
    ".img": _PAIR,
    ".dcm": ("DICOM", "dcm2niix"),
}


def load_nifti(nib: Any, path: Path, labels: Collection[int] = ()) -> tuple[Voxels, Float]:
    """Data [x, y, z], axes to left, posterior and feet, and the affine from voxels to NIfTI's mm (RAS).

    Float32 without NaN and infinity, or, for a map of ``labels``, rounded to uint16. Raises NoScansError
    or UnsupportedImageError.
    """
    if not path.is_file():
        raise NoScansError(found=f"no file {path.name}", expected="a NIfTI file", do="Check the path.")
    damage = (OSError, EOFError, ValueError, TypeError, KeyError, OverflowError, zlib.error)
    try:
        with path.open("rb") as file:
            magic = file.read(132)
        _check_format(magic, path)
        opener = next((opener for start, opener in _PACKED.items() if magic.startswith(start)), None)
        with path.open("rb") if opener is None else opener(path) as stream:
            header = _header(nib, stream, path)
            shape, affine = _geometry(header)
            data = _voxels(stream, header, shape, labels)
            _drain(stream, plain=opener is None)
    except (*damage, nib.spatialimages.HeaderDataError):
        raise unsupported("a NIfTI that is cut or damaged") from None
    target = nib.orientations.axcodes2ornt(("L", "P", "I"))
    turn = nib.orientations.ornt_transform(nib.io_orientation(affine), target)
    turned: Voxels = nib.orientations.apply_orientation(data, turn)
    return turned, affine @ nib.orientations.inv_ornt_aff(turn, data.shape)


def _check_format(magic: bytes, path: Path) -> None:
    kind = next((kind for start, kind in _OF_MAGIC.items() if magic.startswith(start)), None)
    kind = _OF_SUFFIX[".dcm"] if magic[128:132] == b"DICM" else kind or _OF_SUFFIX.get(path.suffix.lower())
    if kind:
        do = f"Convert it with {kind[1]}."
        raise UnsupportedImageError(found=f"a file in {kind[0]} format", expected="NIfTI", do=do)


def _header(nib: Any, stream: BinaryIO, path: Path) -> Any:
    """Header of NIfTI-1 or NIfTI-2, without its extensions; the stream is after it."""
    start = stream.read(348)
    if start[344:348] in (b"n+1\0", b"ni1\0"):
        kind, magic = nib.Nifti1Header, start[344:346]
    elif start[4:8] in (b"n+2\0", b"ni2\0"):
        kind, magic = nib.Nifti2Header, start[4:6]
        start += stream.read(540 - 348)
    elif len(start) < 348:
        raise EOFError
    elif start[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c"):
        magic = _PAIRED
    else:
        raise unsupported(f"{path.name}, an image that is no NIfTI")
    if magic == _PAIRED:
        raise UnsupportedImageError(
            found=f"a file in {_PAIR[0]} format", expected="NIfTI", do=f"Convert it with {_PAIR[1]}."
        )
    return kind(start)


def _geometry(header: Any) -> tuple[tuple[int, ...], Float]:
    """Shape [x, y, z] and affine to mm (RAS), if they are plausible."""
    stored = header.get_data_shape()
    shape = tuple(n for k, n in enumerate(stored) if k < 3 or n != 1)
    if len(shape) != 3 or math.prod(shape) > MAX_VOXELS or min(shape) < 2:
        raise unsupported(f"a NIfTI of shape {'×'.join(map(str, stored))[:60]}")
    if not int(header["sform_code"]) and not int(header["qform_code"]):
        raise unsupported("a NIfTI without orientation (sform and qform codes are 0)")
    affines = list(_affines(header))
    if not affines or not _is_plausible(affines[0]):
        unit = header.get_xyzt_units()[0]
        raise unsupported(f"a NIfTI whose affine has voxels of no plausible size or shape (unit: {unit})")
    corners = np.array([(*corner, 1) for corner in np.ndindex(2, 2, 2)]) * [*np.array(shape) - 1, 1]
    others = [affines[0] - affine for affine in affines[1:] if _is_plausible(affine)]
    apart = max((np.linalg.norm(corners @ other[:3].T, axis=1).max() for other in others), default=0.0)
    if apart > MAX_APART_MM:
        raise UnsupportedImageError(
            found=f"a NIfTI whose sform and qform are {apart:.0f} mm apart",
            expected="one orientation, that of the MRI",
            do="Set the wrong one's code to 0, or write it again with the tool that segmented.",
        )
    return shape, affines[0]


def _affines(header: Any) -> Iterator[Float]:
    """The affines of sform and qform, from voxels to mm (RAS), of which either may be absent or wrong."""
    mm = _MM.get(int(header["xyzt_units"]) & 7, 1.0)
    for read in (header.get_sform, header.get_qform):
        with suppress(ValueError):
            affine, _ = read(coded=True)
            if affine is not None:
                yield np.asarray(affine, np.float64) * [[mm], [mm], [mm], [1.0]]


def _is_plausible(affine: Float) -> bool:
    """Whether voxels have a plausible size, and axes that stand well apart."""
    if not np.isfinite(affine).all():
        return False
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    if not (sizes.min() >= VOXEL_RANGE_MM[0] and sizes.max() <= VOXEL_RANGE_MM[1]):
        return False
    return bool(abs(np.linalg.det(affine[:3, :3] / sizes)) >= LEAST_CELL)


def _voxels(stream: BinaryIO, header: Any, shape: tuple[int, ...], labels: Collection[int]) -> Voxels:
    """Voxels [x, y, z], read a few planes at a time."""
    dtype, offset = header.get_data_dtype(), int(header["vox_offset"])
    if dtype.kind not in "uif" or dtype.itemsize * math.prod(shape) > MAX_STORED_BYTES:
        raise unsupported(f"a NIfTI of {math.prod(shape)} voxels of type {dtype}")
    if not 0 <= offset - stream.tell() <= MAX_OFFSET:
        raise ValueError
    stream.read(offset - stream.tell())
    slope, intercept = (value or 0.0 for value in header.get_slope_inter())
    slope = slope or 1.0  # 0 and NaN say that there is no scaling
    out = np.empty(shape, np.uint16 if labels else np.float32, order="F")
    for first, last in _pieces(shape):
        size = dtype.itemsize * shape[0] * shape[1] * (last - first)
        raw = np.frombuffer(stream.read(size), dtype)  # too few bytes do not fit the shape
        stored = raw.reshape((shape[0], shape[1], last - first), order="F")
        values: Float = stored.astype(np.float64) * slope + intercept
        out[..., first:last] = _rounded(values, labels, abs(slope)) if labels else _finite(values)
    return out


def _pieces(shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    step = max(PIECE // (shape[0] * shape[1]), 1)
    for first in range(0, shape[2], step):
        yield first, min(first + step, shape[2])


def _finite(values: Float) -> Float32:
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    return np.nan_to_num(single, copy=False, nan=0.0, posinf=0.0, neginf=0.0)


def _rounded(values: Float, labels: Collection[int], slope: float) -> NDArray[np.uint16]:
    """Whole numbers of a label map; bytes scaled by ``slope`` < 1 are up to half of it away from them."""
    values = np.nan_to_num(values, nan=0.0)  # some tools write NaN as the background
    whole = np.rint(values)
    off = float(np.abs(values - whole).max())
    near = off <= max(LABEL_TOLERANCE, slope / 2 + 1e-3 if slope < 1 else 0.0)
    if near and whole.min() >= 0 and whole.max() <= max(labels):
        numbers = whole.astype(np.uint16)
        found = np.flatnonzero(np.bincount(numbers.ravel()))
        if set(found.tolist()) <= {0, *labels}:
            return numbers
    raise UnsupportedImageError(
        found=f"an image that is no label map: values from {values.min():.6g} to {values.max():.6g}, "
        f"up to {off:.2g} from whole numbers",
        expected=f"whole numbers that the tool uses, none above {max(labels)}",
        do="Pass the segmentation, not the image, and check the tool's name.",
    )


def _drain(stream: BinaryIO, *, plain: bool) -> None:
    """Read a packed file to its end, where its checksum is; there is little after the voxels."""
    if not plain and len(stream.read(MAX_OFFSET + 1)) > MAX_OFFSET:
        raise ValueError


def unsupported(found: str) -> UnsupportedImageError:
    """The error for a NIfTI that cannot be used."""
    return UnsupportedImageError(
        found=found,
        expected="a whole three-dimensional NIfTI with its orientation",
        do="Export it again, e.g. with dcm2niix or nibabel.",
    )
