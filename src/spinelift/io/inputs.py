"""What both readers check of an input file before they open it, and the DICOM members of its zip."""

from collections.abc import Iterator
from pathlib import Path

from spinelift.errors import HostileArchiveError, WrongModalityError
from spinelift.files import file_sha256
from spinelift.io.archive import Limits, iter_members
from spinelift.io.kinds import FileKind, kind_of_bytes
from spinelift.io.ukb_names import DIXON_FIELD, DXA_FIELD, UkbName

_CONTENT = {DXA_FIELD: "DXA", DIXON_FIELD: "Dixon MRI"}


def is_of_other_field(path: Path, field: int) -> bool:
    """Whether a UK Biobank name says that a file is of another data field than ``field``."""
    name = UkbName.parse(path)
    return name is not None and name.field != field


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


def pseudonym(path: Path, field: int, *, sha256: str, prefix: str) -> str:
    """``<eid>_<instance>`` for a UK Biobank name of the field, else ``<prefix>-`` and 12 hex digits."""
    name = UkbName.parse(path)
    return name.visit if name is not None and name.field == field else f"{prefix}-{sha256[:12]}"


def input_sha256(path: Path, max_bytes: int) -> str:
    """SHA-256 of a file; raises HostileArchiveError if it is larger than one visit can be."""
    if path.stat().st_size > max_bytes:
        raise HostileArchiveError(
            found=f"a file of {path.stat().st_size >> 20} MB",
            expected=f"at most {max_bytes >> 20} MB",
            do="Pass one visit at a time.",
        )
    return file_sha256(path)


def dicom_members(path: Path, limits: Limits | None = None) -> Iterator[bytes]:
    """DICOM members of a zip; manifests, hidden files and other content are skipped."""
    with path.open("rb") as file:
        for name, data in iter_members(file, limits):
            member = Path(name)
            hidden = member.name.startswith(".") or "__MACOSX" in member.parts
            if not hidden and kind_of_bytes(data[:132], member.suffix) is FileKind.DICOM:
                yield data
