"""Untrusted zip archives: nothing is written to disk, and all that they declare is checked.

Members come out one at a time, so an archive costs the memory of its largest member.
"""

import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from spinelift.errors import HostileArchiveError, TruncatedZipError

_ARCHIVE_MAGIC = (b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"BZh", b"\xfd7zXZ\x00")
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class Limits:
    """What an archive may hold. A visit's DXA archive holds about ten members and 5 MB.

    ``max_ratio`` (expanded over packed size) is applied to members above ``ratio_from`` bytes: small
    black images pack that well too.
    """

    max_members: int = 4096
    max_member_bytes: int = 64 << 20
    max_total_bytes: int = 512 << 20
    max_ratio: float = 200.0
    ratio_from: int = 4 << 20


def iter_members(file: BinaryIO, limits: Limits | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of every file in an open zip, in the archive's order.

    The whole table of contents is checked before the first member is read. Backslashes in names are taken
    for slashes, and equal copies under one name are read once. Raises TruncatedZipError if the archive
    is cut or damaged, and HostileArchiveError if a name points outside, or if a member is a link, encrypted,
    an archive, or larger than the limits.
    """
    limits = limits or Limits()
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            _check_contents(infos, limits)
            for name, info in {_name(info): info for info in infos}.items():
                if not name.endswith("/"):
                    yield name, _read(archive, info)
    except _DAMAGE:
        raise TruncatedZipError(
            found="a zip archive that is cut or damaged",
            expected="a complete zip archive",
            do="Copy or download it again and compare its size with the original's.",
        ) from None


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Content of one member; zipfile stops at the declared size and compares the checksum."""
    with archive.open(info) as member:
        data = member.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise zipfile.BadZipFile("the size differs from the declared one")
    if data.startswith(_ARCHIVE_MAGIC):
        raise _hostile("an archive inside the archive", "Unpack it and pass the inner archives.")
    return data


def _check_contents(infos: list[zipfile.ZipInfo], limits: Limits) -> None:
    if len(infos) > limits.max_members:
        raise _hostile(f"{len(infos)} members (limit {limits.max_members})")
    contents = {(_name(info), info.CRC, info.file_size) for info in infos}
    if len({name for name, _, _ in contents}) != len(contents):
        raise _hostile("two different members of the same name", "Pack the files of the visit again.")
    for info in infos:
        _check_member(info, limits)
    total = sum(info.file_size for info in infos)
    if total > limits.max_total_bytes:
        raise _hostile(f"{total >> 20} MB when expanded (limit {limits.max_total_bytes >> 20} MB)")


def _name(info: zipfile.ZipInfo) -> str:
    return info.orig_filename.replace("\\", "/")


def _check_member(info: zipfile.ZipInfo, limits: Limits) -> None:
    name = _name(info)
    path = PurePosixPath(name)
    control = any(unicodedata.category(c) in ("Cc", "Cs") for c in name)
    if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", name) or control:
        raise _hostile("a member whose name points outside the archive or holds control characters")
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _hostile("a link or a special file")
    if info.flag_bits & 0x1:
        raise _hostile("an encrypted member", "Decrypt the archive first.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _hostile("a compression other than deflate", "Pack it again with plain deflate.")
    if info.file_size > limits.max_member_bytes:
        raise _hostile(f"a member of {info.file_size >> 20} MB (limit {limits.max_member_bytes >> 20} MB)")
    if info.file_size > max(limits.ratio_from, limits.max_ratio * info.compress_size):
        raise _hostile(f"a member that expands more than {limits.max_ratio:.0f}-fold")


def _hostile(found: str, do: str = "Do not trust this file; ask where it comes from.") -> HostileArchiveError:
    return HostileArchiveError(
        found=f"a zip archive with {found}", expected="the plain zip of one visit", do=do
    )
