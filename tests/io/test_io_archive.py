import io
import struct
import zipfile
from collections import Counter

import pytest

from spinelift.errors import HostileArchiveError, SpineliftError, TruncatedZipError
from spinelift.io.archive import REPEATED, Limits, iter_members


def packed(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return buffer.getvalue()


def read(data: bytes, limits: Limits | None = None) -> list[tuple[str, bytes]]:
    members: list[tuple[str, bytes]] = []
    for name, content in iter_members(io.BytesIO(data), limits):
        if isinstance(content, SpineliftError):
            raise content
        members.append((name, content))
    return members


def test_members_come_in_order_and_folders_do_not() -> None:
    assert read(packed(("b.txt", b"2"), ("d/", b""), ("d/a.txt", b"1"))) == [
        ("b.txt", b"2"),
        ("d/a.txt", b"1"),
    ]


@pytest.mark.parametrize(
    "name",
    ["../evil", "a/../../evil", "..\\evil", "a/..", "/../evil"],
)
def test_hostile_names_are_refused_before_anything_is_read(name: str) -> None:
    data = packed(("good", b"1"), (name, b"2"))
    with pytest.raises(HostileArchiveError):
        next(iter_members(io.BytesIO(data)))


def test_links_are_refused() -> None:
    link = zipfile.ZipInfo("link")
    link.create_system = 3
    link.external_attr = 0o120777 << 16
    with pytest.raises(HostileArchiveError, match="link"):
        read(packed((link, b"/etc/passwd")))


def test_encrypted_members_are_refused() -> None:
    data = bytearray(packed(("a", b"1")))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(HostileArchiveError, match="encrypted"):
        read(bytes(data))


def test_rare_compression_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a", b"1" * 100)
    with pytest.raises(HostileArchiveError, match="compression"):
        read(buffer.getvalue())


@pytest.mark.parametrize("magic", [packed(("inner", b"1")), b"\x1f\x8b\x08\x00", b"7z\xbc\xaf\x27\x1c\x00"])
def test_nested_archives_are_refused(magic: bytes) -> None:
    with pytest.raises(HostileArchiveError, match="inside"):
        read(packed(("scan.dcm", magic)))


def test_bombs_are_refused() -> None:
    zeros = bytes(5 << 20)
    with pytest.raises(HostileArchiveError, match="200-fold"):
        read(packed(("a", zeros)))
    with pytest.raises(HostileArchiveError, match="member of 5 MB"):
        read(packed(("a", zeros)), Limits(max_member_bytes=1 << 20))
    with pytest.raises(HostileArchiveError, match="when expanded"):
        read(packed(*((str(i), bytes(1 << 20)) for i in range(4))), Limits(max_total_bytes=3 << 20))
    with pytest.raises(HostileArchiveError, match="members"):
        read(packed(*((str(i), b"") for i in range(5))), Limits(max_members=4))


@pytest.mark.parametrize(
    "name",
    [
        *("患者\u3000太郎/a.dcm", "a\u00a0b", "a\u202eb", "é\u0301", "a\nb", "a\x1bb", "a. ", "a..", "NUL"),
        *("12:30.dcm", "C:a.dcm", "C:/a.dcm", "/data/a.dcm", "//host/share/a.dcm"),
    ],
)
def test_names_in_any_script_are_no_attack(name: str) -> None:
    assert read(packed((name, b"1"))) == [(name, b"1")]


def test_names_in_utf_16_and_long_forms_of_zip_are_read() -> None:
    data = packed(("a.dcm___", b"1")).replace(b"a.dcm___", "a.dc".encode("utf-16-le"))
    assert read(data) == [("a.dc", b"1")]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("a.dcm", "w", force_zip64=True) as member:
        member.write(b"1")
    assert read(buffer.getvalue()) == [("a.dcm", b"1")]


def test_names_that_are_not_as_declared_are_named() -> None:
    data = bytearray(packed(("aä", b"1")))
    for at in (data.index(b"PK\x03\x04") + 30, data.index(b"PK\x01\x02") + 46):
        data[at : at + 3] = b"\xff\xfe\xfd"
    with pytest.raises(HostileArchiveError, match="names in another encoding"):
        read(bytes(data))


def test_a_part_of_a_split_archive_is_named() -> None:
    data = bytearray(packed(("a", b"1")))
    end = data.index(b"PK\x05\x06")
    record = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 1, 0, 1, 1, 0, 0)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 1, end, 2)
    with pytest.raises(HostileArchiveError, match="part of its volumes"):
        read(bytes(data[:end] + record + locator + data[end:]))


def test_repeats_are_counted() -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        data = packed(("a", b"1"), ("b", b"2"), ("a", b"1"), ("a", b"1"))
    skipped: Counter[str] = Counter()
    assert len([*iter_members(io.BytesIO(data), skipped=skipped)]) == 2
    assert skipped == {REPEATED: 2}


def test_backslashes_are_slashes() -> None:
    assert read(packed(("DXA\\", b""), ("DXA\\a.dcm", b"1"))) == [("DXA/a.dcm", b"1")]


def test_same_name_twice_is_read_once_if_the_copies_are_equal() -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        data = packed(("a", b"1"), ("b", b"2"), ("a", b"1"))
    assert read(data) == [("a", b"1"), ("b", b"2")]
    with pytest.warns(UserWarning, match="Duplicate"):
        data = packed(("a", b"1"), ("a", b"2"))
    with pytest.raises(HostileArchiveError, match="same name"):
        read(data)


@pytest.mark.parametrize("declared", [10, 5000])
def test_declared_size_that_is_a_lie_is_found(declared: int) -> None:
    data = bytearray(packed(("a", bytes(range(256)) * 4)))
    for magic, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.index(magic) + at, declared)
    with pytest.raises(TruncatedZipError):
        read(bytes(data))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_cut_archives_are_told(share: float) -> None:
    data = packed(*((str(i), bytes([i]) * 500) for i in range(10)))
    with pytest.raises(TruncatedZipError):
        read(data[: int(len(data) * share)])


def test_flipped_bits_are_found_by_the_checksum() -> None:
    data = bytearray(packed(("a", bytes(range(256)) * 8)))
    data[60] ^= 0xFF
    with pytest.raises(TruncatedZipError):
        read(bytes(data))
