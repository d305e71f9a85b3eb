"""What a file is, judged by its first bytes; its name decides only where they say nothing."""

from enum import Enum
from pathlib import Path

from spinelift.errors import EmptyFileError

_PREAMBLE = 128
_GROUP_8_OR_2 = (b"\x08\x00", b"\x02\x00")


class FileKind(Enum):
    """Kind of an input file."""

    ZIP = "zip archive"
    DICOM = "DICOM file"
    PICTURE = "PNG or TIFF picture"
    OTHER = "other file"


_KIND_OF_SUFFIX = {
    ".zip": FileKind.ZIP,
    ".dcm": FileKind.DICOM,
    ".dicom": FileKind.DICOM,
    ".png": FileKind.PICTURE,
    ".tif": FileKind.PICTURE,
    ".tiff": FileKind.PICTURE,
}


def kind_of_bytes(head: bytes, suffix: str) -> FileKind:
    """Kind of a file from its first 132 bytes and its suffix."""
    if head[_PREAMBLE : _PREAMBLE + 4] == b"DICM":
        return FileKind.DICOM
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return FileKind.ZIP
    if head.startswith((b"\x89PNG", b"II*\x00", b"MM\x00*")):
        return FileKind.PICTURE
    if head[:2] in _GROUP_8_OR_2 and head[2:4] != b"\x00\x00":
        return FileKind.DICOM  # without the preamble, as some archives keep them
    return _KIND_OF_SUFFIX.get(suffix.lower(), FileKind.OTHER)


def read_head(path: Path) -> bytes:
    """First bytes of a file, as many as ``kind_of_bytes`` reads."""
    with path.open("rb") as file:
        return file.read(_PREAMBLE + 4)


def kind_of_file(path: Path) -> FileKind:
    """Kind of a file on disk; raises EmptyFileError for zero bytes."""
    head = read_head(path)
    if not head:
        raise EmptyFileError(
            found=f"{path.name} with 0 bytes",
            expected="a zip, DICOM, PNG or TIFF file",
            do="Copy or download it again.",
        )
    return kind_of_bytes(head, path.suffix)
