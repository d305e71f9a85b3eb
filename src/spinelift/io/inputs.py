"""What both readers check of an input file before they open it, and the DICOM members of its zip."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from enum import Enum
from pathlib import Path, PurePath, PurePosixPath
from typing import BinaryIO

from spinelift.errors import (
    EmptyFileError,
    HostileArchiveError,
    NoScansError,
    SpineliftError,
    UnsupportedImageError,
    WrongModalityError,
)
from spinelift.files import file_sha256
from spinelift.io.archive import Limits, iter_members
from spinelift.io.ukb_names import DIXON_FIELD, DXA_FIELD, UkbName

MAX_IMAGE_BYTES = 64 << 20
"""Largest DICOM file or picture that is opened: four times the largest image."""
NOT_DICOM, UNREADABLE = "not DICOM", "that cannot be read"
"""Under which members of an archive are counted."""
_OTHER_SUFFIX = re.compile(r"\.(?!dcm|dicom|ima|img|gz)(7z|[a-z][a-z0-9]{1,4})$", re.IGNORECASE)
_CONTENT = {DXA_FIELD: "DXA", DIXON_FIELD: "Dixon MRI"}
_PREAMBLE = 128
HEAD_BYTES = 262
"""First bytes of a file that say what it is."""
_GROUP_8_OR_2 = (b"\x08\x00", b"\x02\x00")
_BIG_ENDIAN = re.compile(rb"\x00\x08\x00.[A-Z]{2}", re.DOTALL)
_GROUP_LENGTH = (b"\x04\x00\x00\x00", b"UL\x04\x00")
_JPEG_XL = "a JPEG XL"
_UNPACK = "Unpack it, and pass what it holds."
_NOT_READ = {
    b"\xff\xd8\xff": "a JPEG",
    b"\x00\x00\x00\x0cjP  ": "a JPEG 2000",
    b"\xff\x4f\xff\x51": "a JPEG 2000",
    b"\x00\x00\x00\x0cJXL ": _JPEG_XL,
    b"\xff\x0a": _JPEG_XL,
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"RIFF": "a WebP",
    b"%PDF": "a PDF",
    b"II+\x00": "a BigTIFF",
    b"MM\x00+": "a BigTIFF",
    b"NRRD": "an NRRD",
    b"\x89HDF": "an HDF5 (MINC)",
    b"CDF\x01": "a NetCDF (MINC)",
    b"CDF\x02": "a NetCDF (MINC)",
    b"ObjectType": "a MetaImage",
    b"\x5c\x01\x00\x00": "a NIfTI or Analyze",
    b"\x00\x00\x01\x5c": "a NIfTI or Analyze",
    b"\x00\x00\x00\x18ftyp": "a HEIC or AVIF",
    b"\x00\x00\x00\x1cftyp": "a HEIC or AVIF",
    b"<": "an XML or HTML",
    b"\x1f\x8b": "a gzip",
    b"BZh": "a bzip2",
    b"\xfd7zXZ\x00": "an xz",
    b"\x28\xb5\x2f\xfd": "a Zstandard",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip",
    b"Rar!\x1a\x07": "a RAR",
    b"PK\x07\x08": "a split zip",
}
_PACKED = ("a gzip", "a bzip2", "an xz", "a Zstandard", "a 7-Zip", "a RAR", "a tar", "a split zip")
_TAR = 257


class FileKind(Enum):
    """Kind of an input file."""

    ZIP = (".zip",)
    DICOM = (".dcm", ".dicom")
    PICTURE = (".png", ".tif", ".tiff")
    OTHER = ()


def kind_of_bytes(data: bytes, suffix: str) -> FileKind:
    """Kind of a file from its first 132 bytes; its suffix decides only where they are of no known kind."""
    if data[_PREAMBLE : _PREAMBLE + 4] == b"DICM":
        return FileKind.DICOM
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return FileKind.ZIP
    if data.startswith((b"\x89PNG", b"II*\x00", b"MM\x00*")):
        return FileKind.PICTURE
    if data[:2] in _GROUP_8_OR_2 and (data[2:4] != b"\x00\x00" or data[4:8] in _GROUP_LENGTH):
        return FileKind.DICOM  # without the preamble, as some archives keep them, and ACR-NEMA
    if _BIG_ENDIAN.match(data):
        return FileKind.DICOM
    return next((kind for kind in FileKind if suffix.lower() in kind.value), FileKind.OTHER)


def read_head(path: Path) -> bytes:
    """First bytes of a file, as many as ``kind_of_bytes`` reads."""
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def kind_of_file(path: Path, expected: str, named: Path | None = None) -> FileKind:
    """Kind of a file on disk; ``named``: by what name the user knows it.

    Raises NoScansError if it is missing, EmptyFileError for zero bytes, and UnsupportedImageError for a known
    format that is not read, such as JPEG, whatever the file is called.
    """
    if not path.is_file():
        found = f"no file {(named or path).name}"
        raise NoScansError(found=found, expected=expected, do="Check the path.")
    return kind_of_content(read_head(path), named or path, expected)


def kind_of_content(head: bytes, path: Path, expected: str) -> FileKind:
    """Kind of a file from its first bytes and its name; raises as :func:`kind_of_file` does."""
    if not head:
        found = f"{path.name} with 0 bytes"
        raise EmptyFileError(found=found, expected=expected, do="Copy or download it again.")
    name = next((name for magic, name in _NOT_READ.items() if head.startswith(magic)), None)
    name = "a tar" if head[_TAR : _TAR + 5] == b"ustar" else name
    if name is not None and kind_of_bytes(head, "") is FileKind.OTHER:
        convert = "Convert it with djxl, or with Pillow and the package pillow-jxl-plugin."
        do = _UNPACK if name in _PACKED else "Export the scan as one of these."
        do = convert if name == _JPEG_XL else do
        raise UnsupportedImageError(found=f"{path.name}, which is {name} file", expected=expected, do=do)
    if len(head) >= HEAD_BYTES and not any(head[:HEAD_BYTES]):
        found, do = f"{path.name}, which starts with nothing but zeros", "Copy or download it again."
        raise UnsupportedImageError(found=found, expected=expected, do=do)
    return kind_of_bytes(head, path.suffix)


def check_field(path: Path, field: int) -> None:
    """Refuse a file whose UK Biobank name is of another data field; raises WrongModalityError."""
    name = UkbName.parse(path)
    if name is not None and name.field != field:
        content = f" ({_CONTENT[name.field]})" if name.field in _CONTENT else ""
        raise WrongModalityError(
            found=f"an archive of UK Biobank field {name.field}{content}",
            expected=f"field {field} ({_CONTENT[field]})",
            do=f"Pass <eid>_{field}_<instance>_0.zip.",
        )


def input_sha256(path: Path, max_bytes: int) -> str:
    """SHA-256 of a file; raises HostileArchiveError if it is larger than one visit can be."""
    check_size(path.stat().st_size, max_bytes)
    return file_sha256(path)


def read_bounded(path: Path, max_bytes: int = MAX_IMAGE_BYTES) -> bytes:
    """Content of a file; raises HostileArchiveError if it is larger."""
    check_size(path.stat().st_size, max_bytes)
    return path.read_bytes()


def bytes_sha256(data: bytes, max_bytes: int) -> str:
    """SHA-256 of a file's content; raises as :func:`input_sha256` does."""
    check_size(len(data), max_bytes)
    return hashlib.sha256(data).hexdigest()


def check_size(size: int, max_bytes: int) -> None:
    """Refuse what is larger than one visit can be; raises HostileArchiveError."""
    if size > max_bytes:
        raise HostileArchiveError(
            found=f"a file of {size >> 20} MB",
            expected=f"at most {max_bytes >> 20} MB",
            do="Pass one visit at a time.",
        )


def dicom_members(
    zipped: Path | BinaryIO, limits: Limits | None = None, skipped: Counter[str] | None = None
) -> Iterator[bytes | SpineliftError]:
    """DICOM members of a zip, or in the place of one that cannot be read, its error.

    All else but UK Biobank's manifest is counted in ``skipped``; if there is nothing but members that cannot
    be read, the error of the last one is raised.
    """
    skipped = Counter() if skipped is None else skipped
    unreadable: SpineliftError | None = None
    found = False
    with zipped.open("rb") if isinstance(zipped, Path) else nullcontext(zipped) as file:
        for name, data in iter_members(file, limits, skipped):
            member = PurePosixPath(name)
            hidden = member.name.startswith(".") or "__MACOSX" in member.parts
            if isinstance(data, SpineliftError) and not hidden and not _OTHER_SUFFIX.search(name):
                found = True
                yield data
            elif isinstance(data, SpineliftError):
                unreadable = data
                skipped[UNREADABLE] += 1
            elif not hidden and kind_of_bytes(data, member.suffix) is FileKind.DICOM:
                found = True
                yield data
            elif not is_manifest(member):
                skipped[NOT_DICOM] += 1
    if unreadable and not found:
        raise unreadable


def is_manifest(path: PurePath) -> bool:
    """Whether it is UK Biobank's table of contents, ``manifest.csv`` or ``manifest.cvs``."""
    return path.stem == "manifest"
