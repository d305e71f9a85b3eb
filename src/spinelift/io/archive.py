"""Untrusted zip archives: nothing is written to disk, and all that they declare is checked.

Members come out one at a time, so an archive costs the memory of its largest member.
"""

import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO, cast

from spinelift.errors import HostileArchiveError, SpineliftError, TruncatedZipError
from spinelift.files import Bounded

REPEATED = "repeated"
"""Under which members that are there twice are counted."""
_ARCHIVE_MAGIC = (b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"BZh", b"\xfd7zXZ\x00")
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
_DIRECTORY_BYTES_A_MEMBER = 512


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


def iter_members(
    file: BinaryIO, limits: Limits | None = None, skipped: Counter[str] | None = None
) -> Iterator[tuple[str, bytes | SpineliftError]]:
    """Yield (name, content) of every file in an open zip, in the archive's order.

    In place of the content of a member that is damaged, a link, encrypted, an archive, packed by another
    method than deflate, or too large, comes the error. Names are never written anywhere: backslashes are
    taken for slashes, and what no file system takes is accepted. Equal copies under one name are read once
    and counted in ``skipped``.

    The whole table of contents is checked before the first member is read. Raises TruncatedZipError if it is
    cut or damaged, and HostileArchiveError if a name points outside, if two members of one name differ, or
    if there are more members, or more bytes together, than the limits allow.
    """
    limits = limits or Limits()
    bounded = Bounded(file, limits.max_members * _DIRECTORY_BYTES_A_MEMBER)
    try:
        archive = zipfile.ZipFile(cast(BinaryIO, bounded))
    except _DAMAGE as error:
        if bounded.exceeded:
            raise _hostile(f"more than {limits.max_members} members, or long names") from None
        raise _unreadable(error) from None
    with archive:
        bounded.most = None
        infos = [info for info in archive.infolist() if not _name(info).endswith("/")]
        members = {_name(info): info for info in infos}
        errors = {name: _refused(info, limits) for name, info in members.items()}
        _check_contents(infos, members, errors, limits)
        if skipped is not None:
            skipped[REPEATED] += len(infos) - len(members)
        for name, info in members.items():
            yield name, errors[name] or _read(archive, info)


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes | SpineliftError:
    """Content of one member; zipfile stops at the declared size and compares the checksum."""
    try:
        with archive.open(info) as member:
            data = member.read(info.file_size + 1)
    except _DAMAGE:
        return _damaged("a damaged member")
    if len(data) != info.file_size:
        return _damaged("a member of another size than it declares")
    if data.startswith(_ARCHIVE_MAGIC):
        return _hostile("an archive inside the archive", "Unpack it and pass the inner archives.")
    return data


def _check_contents(
    infos: list[zipfile.ZipInfo],
    members: dict[str, zipfile.ZipInfo],
    errors: dict[str, HostileArchiveError | None],
    limits: Limits,
) -> None:
    if len(infos) > limits.max_members:
        raise _hostile(f"{len(infos)} members (limit {limits.max_members})")
    if len({(_name(info), info.CRC, info.file_size) for info in infos}) != len(members):
        raise _hostile("two different members of the same name", "Pack the files of the visit again.")
    if any(".." in PurePosixPath(name).parts for name in members):
        raise _hostile("a member whose name points outside the archive")
    total = sum(info.file_size for name, info in members.items() if errors[name] is None)
    if total > limits.max_total_bytes:
        raise _hostile(f"{total >> 20} MB when expanded (limit {limits.max_total_bytes >> 20} MB)")


def _name(info: zipfile.ZipInfo) -> str:
    """Name of a member, also where it was written in UTF-16."""
    return info.orig_filename.replace("\0", "").replace("\\", "/")


def _refused(info: zipfile.ZipInfo, limits: Limits) -> HostileArchiveError | None:
    """Why a member is not read, by what the table of contents says of it."""
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return _hostile("a link or a special file")
    if info.flag_bits & _ENCRYPTED:
        return _hostile("an encrypted member", "Decrypt the archive first.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return _hostile("a compression other than deflate", "Pack it again with plain deflate.")
    if info.file_size > limits.max_member_bytes:
        return _hostile(f"a member of {info.file_size >> 20} MB (limit {limits.max_member_bytes >> 20} MB)")
    if info.file_size > max(limits.ratio_from, limits.max_ratio * info.compress_size):
        return _hostile(f"a member that expands more than {limits.max_ratio:.0f}-fold")
    return None


def _unreadable(error: Exception) -> TruncatedZipError | HostileArchiveError:
    """The error for a table of contents that zipfile cannot read."""
    if "multiple disks" in str(error):
        return _hostile("only a part of its volumes", "Join the parts of the split archive first.")
    if isinstance(error, UnicodeDecodeError):
        return _hostile("names in another encoding than it declares", "Pack the files of the visit again.")
    return _damaged("a table of contents that is cut or damaged")


def _damaged(found: str) -> TruncatedZipError:
    return TruncatedZipError(
        found=f"a zip archive with {found}",
        expected="a complete zip archive",
        do="Copy or download it again and compare its size with the original's.",
    )


def _hostile(found: str, do: str = "Do not trust this file; ask where it comes from.") -> HostileArchiveError:
    return HostileArchiveError(
        found=f"a zip archive with {found}", expected="the plain zip of one visit", do=do
    )
