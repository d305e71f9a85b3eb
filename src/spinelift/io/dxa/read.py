"""One DXA from any kind of input: zip, DICOM, folder, PNG or TIFF, on disk or in memory, or an array."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO, TextIOBase
from os import PathLike, fsdecode, fspath
from pathlib import Path
from typing import BinaryIO, TypedDict, get_args

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from spinelift.errors import (
    AmbiguousScanError,
    ConfigError,
    InputTypeError,
    NoScansError,
    NoSpacingError,
    SpineliftError,
    UnsupportedImageError,
)
from spinelift.geometry import Spacing
from spinelift.geometry.arrays import Float32
from spinelift.io.dicom_image import MAX_PIXELS, read_image, stretch
from spinelift.io.dicom_parse import to_bytes
from spinelift.io.dxa.discover import dicom_files
from spinelift.io.dxa.picture import read_picture
from spinelift.io.dxa.quality import check_image, notes
from spinelift.io.dxa.scan import DxaScan, scan_id
from spinelift.io.dxa.visit import Area, check_whole_body, pick_total_body
from spinelift.io.identity import OTHER_NAME
from spinelift.io.inputs import (
    MAX_IMAGE_BYTES,
    NOT_DICOM,
    FileKind,
    bytes_sha256,
    check_field,
    check_size,
    dicom_members,
    input_sha256,
    is_manifest,
    kind_of_bytes,
    kind_of_content,
    kind_of_file,
    read_head,
)
from spinelift.io.spacing import ASK_FOR_SPACING, check_spacing, given_spacing
from spinelift.io.ukb_names import DXA_FIELD

MAX_FILE_BYTES = 512 << 20
"""Largest zip, and largest content of a folder, that is opened."""
EXPECTED = "a zip, DICOM, PNG or TIFF file, or a folder of DICOM files"
_Content = bytes | bytearray | memoryview | BinaryIO
Source = str | PathLike[str] | _Content | Dataset | NDArray[np.generic] | DxaScan
"""What a scan can be read from."""
_NO_NAME = Path("data")
"""Stands for the name of what has none."""


class ReadOptions(TypedDict, total=False):
    """Keywords of :func:`read_dxa`."""

    spacing: Spacing | None
    spacing_mm: tuple[float, float] | None
    area: Area | None


def read_dxa(
    source: Source,
    *,
    spacing: Spacing | None = None,
    spacing_mm: tuple[float, float] | None = None,
    area: Area | None = None,
    name: str = "",
) -> DxaScan:
    """Read the total-body DXA of one visit.

    Parameters
    ----------
    source
        Path of a zip of a visit, of one DICOM file, of a folder that directly holds a visit's DICOM files, or
        of a grey PNG or TIFF; the bytes of such a file, or a file that is open to read in binary mode; a
        pydicom data set; a grey array [H, W], rows to the feet, columns to the patient's left; or a
        ``DxaScan``, which is returned as it is. Arrays of uint8 keep their values; others are stretched from
        their minimum to their maximum.
    spacing
        Pixel size, mm, of the rows and columns that a DICOM file stores, in place of the header's, or of a
        picture or an array as it is shown; these need it.
    spacing_mm
        The same as two numbers, (row, col).
    area
        ``"total-body"`` says that the DICOM images are of the total body, whatever their header and size say.
    name
        Name of the file or folder, where a path has another one, such as that of an upload, or where bytes
        have none. It gives the scan id, and stands in messages.

    Raises
    ------
    SpineliftError
        Its subclass names what is wrong with the input; nothing else is raised for bad input. Sources of
        another type are also a TypeError, files that are missing or cannot be read a FileNotFoundError.
    """
    spacing = given_spacing(spacing, spacing_mm)
    if area not in (None, *get_args(Area)):
        raise ConfigError(found=f"area {area!r}", expected="'total-body' or None", do="Leave it out.")
    match source:
        case str() | PathLike():
            if not fspath(source):
                raise NoScansError(found="an empty path", expected="a file or a folder", do="Check the path.")
            path = Path(fsdecode(source))
            named = path.with_name(name) if name else path
            with _readable(named):
                return _from_path(path, named, spacing, area)
        case bytes() | bytearray() | memoryview():
            return _from_bytes(bytes(source), Path(name) if name else _NO_NAME, spacing, area)
        case Dataset():
            data = to_bytes(source)
            return _from_dicom(_NO_NAME, bytes_sha256(data, MAX_IMAGE_BYTES), [data], spacing, area)
        case np.ndarray():
            return _from_array(source, spacing)
        case DxaScan() if spacing is None:
            return source
        case DxaScan():
            do = "Leave the spacing out, or make another DxaScan."
            raise ConfigError(found="a pixel size for a DxaScan", expected="none: it has its own", do=do)
    own = name or getattr(source, "name", None)
    path, content = Path(own) if isinstance(own, str) else _NO_NAME, None
    file: object = source
    closed = "closed " if getattr(file, "closed", False) else ""
    if hasattr(file, "read") and not closed and not isinstance(file, TextIOBase):
        with _readable(path):
            content = file.read(MAX_FILE_BYTES + 1)
    if not isinstance(content, bytes):
        raise InputTypeError(
            found=f"a {closed}{type(source).__name__}",
            expected="a path, bytes, a binary file, a pydicom Dataset, a NumPy array or a DxaScan",
            do="Convert it to one of these.",
        )
    return _from_bytes(content, path, spacing, area)


def scan_sha256(path: Path) -> str:
    """``DxaScan.sha256`` of a path: of the file, or of the hashes of a folder's DICOM files, sorted.

    Raises NoScansError if it cannot be read, HostileArchiveError if it is larger than one visit can be.
    """
    with _readable(path):
        if not path.is_dir():
            return input_sha256(path, _most_bytes(kind_of_bytes(read_head(path), path.suffix)))
        digests = "".join(sorted(input_sha256(file, MAX_IMAGE_BYTES) for file in _folder(path, Counter())))
        return hashlib.sha256(digests.encode()).hexdigest()


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except SpineliftError:
        raise
    except OSError as error:
        found = f"{path.name}, which cannot be read ({error.strerror or type(error).__name__})"
        raise NoScansError(found=found, expected=EXPECTED, do="Check its permissions.") from None


def _from_path(path: Path, named: Path, spacing: Spacing | None, area: Area | None) -> DxaScan:
    if path.is_dir():
        skipped: Counter[str] = Counter()
        contents = (file.read_bytes() for file in _folder(path, skipped))
        return _from_dicom(named, scan_sha256(path), contents, spacing, area, skipped)
    kind, sha256 = kind_of_file(path, EXPECTED, named), scan_sha256(path)
    with path.open("rb") as file:
        return _from_file(file, kind, named, sha256, spacing, area)


def _folder(folder: Path, skipped: Counter[str]) -> list[Path]:
    """DICOM files of a folder that are not too large; the others are counted."""
    files = dicom_files(folder)
    others = {file for file in folder.iterdir() if file.is_file() and not is_manifest(file)}
    skipped[NOT_DICOM] = len(others.difference(files))
    small = [file for file in files if file.stat().st_size <= MAX_IMAGE_BYTES]
    skipped["too large"] = len(files) - len(small)
    check_size(sum(file.stat().st_size for file in small), MAX_FILE_BYTES)
    return small


def _from_bytes(data: bytes, path: Path, spacing: Spacing | None, area: Area | None) -> DxaScan:
    kind = kind_of_content(data, path, EXPECTED)
    return _from_file(BytesIO(data), kind, path, bytes_sha256(data, _most_bytes(kind)), spacing, area)


def _most_bytes(kind: FileKind) -> int:
    return MAX_FILE_BYTES if kind is FileKind.ZIP else MAX_IMAGE_BYTES


def _from_file(
    file: BinaryIO, kind: FileKind, path: Path, sha256: str, spacing: Spacing | None, area: Area | None
) -> DxaScan:
    match kind:
        case FileKind.ZIP:
            check_field(path, DXA_FIELD)
            skipped: Counter[str] = Counter()
            members = dicom_members(file, skipped=skipped)
            return _from_dicom(path, sha256, members, spacing, area, skipped)
        case FileKind.DICOM:
            return _from_dicom(path, sha256, [file.read()], spacing, area)
        case FileKind.PICTURE:
            spacing = _needed(spacing, "a picture")
            return _without_header(path, sha256, read_picture(file.read()), spacing, "A picture")
        case FileKind.OTHER:
            found = f"{path.name}, of a kind that is not known"
            raise UnsupportedImageError(found=found, expected=EXPECTED, do="Export the scan as one of these.")


def _from_array(array: NDArray[np.generic], spacing: Spacing | None) -> DxaScan:
    spacing = _needed(spacing, "an array")
    usable = array.ndim == 2 and array.dtype.kind in "uif" and 0 < array.size <= MAX_PIXELS
    if not usable or not np.isfinite(array).all():
        raise UnsupportedImageError(
            found=f"an array of shape {array.shape} and type {array.dtype}"
            + (", with values that are not finite" if usable else ""),
            expected=f"one grey image [H, W] of finite numbers, at most {MAX_PIXELS} pixels",
            do="Pass the bone image alone, rows to the feet and columns to the patient's left.",
        )
    data = f"{array.dtype.str} {array.shape} ".encode() + array.tobytes()
    keep = array.dtype == np.uint8
    bone = array.astype(np.float32) if keep else stretch(array.astype(np.float64))
    return _without_header(_NO_NAME, bytes_sha256(data, MAX_FILE_BYTES), bone, spacing, "An array")


def _from_dicom(
    path: Path,
    sha256: str,
    files: Iterable[bytes | SpineliftError],
    spacing: Spacing | None,
    area: Area | None,
    skipped: Counter[str] | None = None,
) -> DxaScan:
    chosen = pick_total_body(files, area, skipped)
    bone = read_image(chosen.bone, spacing=spacing)
    check_image(bone.pixels, bone.spacing)
    if area is None:
        check_whole_body(bone, chosen)
    tissue = read_image(chosen.tissue, spacing=spacing) if chosen.tissue else None
    if tissue and (tissue.pixels.shape != bone.pixels.shape or tissue.spacing != bone.spacing):
        raise AmbiguousScanError(
            found="Total Body images of two sizes",
            expected="a tissue and a bone image of the same scan",
            do="Pass the bone image alone.",
        )
    remarks = (*chosen.warnings, *bone.warnings, *notes(bone.pixels, bone.spacing))
    remarks += (OTHER_NAME,) if chosen.identity.contradicts(path) else ()
    pixels = tissue.pixels if tissue else None
    return DxaScan(_name(path, sha256), bone.pixels, pixels, bone.spacing, sha256, remarks, chosen.identity)


def _name(path: Path, sha256: str) -> str:
    return scan_id(Path() if path is _NO_NAME else path, lambda: sha256)


def _needed(spacing: Spacing | None, what: str) -> Spacing:
    if spacing is None:
        found = f"{what}, which has no pixel size"
        raise NoSpacingError(found=found, expected="the pixel size in mm", do=ASK_FOR_SPACING)
    return check_spacing(spacing.row_mm, spacing.col_mm, "given")


def _without_header(path: Path, sha256: str, bone: Float32, spacing: Spacing, what: str) -> DxaScan:
    check_image(bone, spacing)
    remark = f"{what} has no header: taken to be a bone image, columns to the patient's left."
    remarks = (remark, *notes(bone, spacing))
    return DxaScan(_name(path, sha256), bone, None, spacing, sha256, remarks)
