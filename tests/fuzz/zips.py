"""Zips of DXA and Dixon visits: packed in other ways, damaged, hostile, with odd or damaged members."""

import io
import struct
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
from tests.fuzz import originals
from tests.fuzz.case import Case, differs
from tests.fuzz.damage import damage, pick
from tests.fuzz.dicom import SYNTAXES
from tests.fuzz.dxa import equals_original

from spinelift.io import DxaScan, read_dxa
from spinelift.io.dixon.read import read_dixon
from spinelift.io.dixon.volume import DixonVolume
from spinelift.io.dxa.visit import LONE_IMAGE

Members = dict[str, bytes]
HARMLESS = (b"", b"text", b"%PDF-1.4", b"GIF89a", b"\xff\xd8\xff\xe0", b"<html>", bytes(300))
NAMES = ("a b.dcm", "\\sub\\one.dcm", "ä/ö.dcm", "\u3000x.dcm", "no-suffix", "x" * 200 + ".dcm", "CON.dcm",
         "deep/" * 30 + "x.dcm", "IMG.TXT", "файл", "-rf.dcm", "a.png")  # fmt: skip
BAD_NAMES = ("../x.dcm", "/etc/x.dcm", "C:\\x.dcm", "a/../../x", "a\x00b.dcm", "a\nb.dcm", "..\\..\\x")


def dxa_reading(path: Path) -> Callable[[], DxaScan]:
    return partial(read_dxa, path)


def dixon_reading(path: Path) -> Callable[[], DixonVolume]:
    return partial(read_dixon, path, grid=originals.GRID)


def dxa_same(rng: np.random.Generator, folder: Path) -> Case:
    """The same visit, packed in another way."""
    path = folder / pick(rng, ("1234567_20158_2_0.zip", "any.zip", "visit"))
    contents = _repacked(rng, originals.dxa_members())
    stub = b"MZ stub" if path.suffix and rng.random() < 0.1 else b""
    path.write_bytes(stub + packed(rng, contents))
    return Case("repacked", dxa_reading(path), equals_original, must_read=True)


def dixon_same(rng: np.random.Generator, folder: Path) -> Case:
    """The same MRI, packed in another way."""
    path = folder / "1234567_20201_2_0.zip"
    path.write_bytes(packed(rng, _repacked(rng, originals.dixon_members())))
    return Case("repacked", dixon_reading(path), equals_volume, must_read=True)


def equals_volume(volume: DixonVolume) -> str:
    """Whether a volume is the original one."""
    whole = originals.dixon_volume()
    place = differs("origin", volume.origin_mm, whole.origin_mm) or differs("rows", volume.rows, whole.rows)
    return place or differs("water", volume.water, whole.water) or differs("fat", volume.fat, whole.fat)


def equals_or_finding(volume: DixonVolume) -> str:
    """Whether a volume is the original one, or says what was found in its archive."""
    if fault := plausible(volume):
        return fault
    usual = {f.trap for f in originals.dixon_volume().findings}
    return "" if {f.trap for f in volume.findings} - usual else equals_volume(volume)


def dxa_damaged(rng: np.random.Generator, folder: Path) -> Case:
    """Damaged bytes: the result is undisturbed, or none; zip's checksums see to it."""
    path = folder / "1234567_20158_2_0.zip"
    path.write_bytes(_damaged(rng, originals.dxa_members()))
    return Case("damaged zip", dxa_reading(path), bone_or_tissue)


def dixon_damaged(rng: np.random.Generator, folder: Path) -> Case:
    """Damaged bytes of an MRI's zip."""
    path = folder / "1234567_20201_2_0.zip"
    path.write_bytes(_damaged(rng, originals.dixon_members()))
    return Case("damaged zip", dixon_reading(path), equals_or_finding)


def _damaged(rng: np.random.Generator, contents: Members) -> bytes:
    data = packed(rng, contents)
    other = packed(rng, dict(list(originals.dxa_members().items())[:2]))
    if rng.random() < 0.6:
        return damage(rng, data, other)
    table = data.index(b"PK\x01\x02")  # of contents
    return data[:table] + damage(rng, data[table:], other)


def hostile(rng: np.random.Generator, folder: Path) -> Case:
    """Zips that try to write outside, explode, or hold absurd numbers of members."""
    dixon = rng.random() < 0.4
    path = folder / ("1234567_20201_2_0.zip" if dixon else "1234567_20158_2_0.zip")
    contents = dict(originals.dixon_members() if dixon else originals.dxa_members())
    what = pick(rng, ("name", "link", "ratio", "large", "count", "nested", "encrypted", "method", "sizes",
                      "doubled", "overlap", "sparse", "zip64"))  # fmt: skip
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
        match what:
            case "name":
                archive.writestr(zipfile.ZipInfo(pick(rng, BAD_NAMES)), b"x")
            case "link":
                info = zipfile.ZipInfo("link.dcm")
                info.external_attr = 0xA1FF << 16
                archive.writestr(info, "/etc/passwd")
            case "ratio":
                archive.writestr("zeros.dcm", bytes(int(rng.integers(5 << 20, 63 << 20))))
            case "large":
                for k in range(int(rng.integers(2, 12))):
                    archive.writestr(f"zeros{k}.dcm", bytes(66 << 20))
            case "count":
                for k in range(int(rng.integers(3000, 30_000))):
                    archive.writestr(zipfile.ZipInfo(f"{k}.txt"), b"")
            case "nested":
                archive.writestr("inner.zip", packed(rng, contents))
            case "method":
                method = pick(rng, (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
                archive.writestr("other.dcm", next(iter(contents.values())), compress_type=method)
            case "doubled":
                archive.writestr(pick(rng, list(contents)), b"another")
    data = bytearray(stream.getvalue())
    first = data.index(b"PK\x01\x02")
    match what:
        case "encrypted":
            data[first + 8] |= 1
        case "sizes":
            data[first + 24 : first + 28] = struct.pack("<I", pick(rng, (0, 1, 2**31, 2**32 - 1, 60 << 20)))
        case "overlap":
            second = data.index(b"PK\x01\x02", first + 4)
            data[second + 42 : second + 46] = data[first + 42 : first + 46]
        case "zip64":
            data[-6:-2] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    if what == "sparse":
        with path.open("r+b") as file:
            file.truncate(int(rng.integers(100 << 20, 8 << 30)))
    check = equals_or_finding if dixon else bone_or_tissue
    return Case(f"hostile: {what}", (dixon_reading if dixon else dxa_reading)(path), check)


def bone_or_tissue(scan: DxaScan) -> str:
    """Whether a scan is the original one, or, with a warning, of the tissue image alone."""
    fault = equals_original(scan)
    alone = LONE_IMAGE in scan.warnings and not differs("tissue", scan.bone, originals.tissue(), 0.6)
    return "" if alone else fault


def packed(rng: np.random.Generator, contents: Members) -> bytes:
    """A valid zip, packed in one of many ways."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", allowZip64=True) as archive:
        for name, data in contents.items():
            info = zipfile.ZipInfo(name, (int(rng.integers(1980, 2107)), 1, 1, 0, 0, 0))
            info.compress_type = pick(rng, (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
            with archive.open(info, "w", force_zip64=rng.random() < 0.1) as member:
                member.write(data)
        archive.comment = rng.bytes(int(rng.integers(0, 200))) if rng.random() < 0.2 else b""
    return stream.getvalue()


def _repacked(rng: np.random.Generator, contents: Members) -> Members:
    """Members in another order, under other names, in other encodings, with harmless others."""
    names = list(contents)
    out: Members = {}
    rename, packed = rng.random() < 0.5, rng.random() < 0.5
    for k in rng.permutation(len(names)):
        name, data = names[k], contents[names[k]]
        if packed and name.endswith(".dcm") and rng.random() < 0.1:
            data = _encoded(data, SYNTAXES[int(rng.integers(1, 5))])
        if rename and name.endswith(".dcm") and rng.random() < 0.3:
            name = f"{k}{pick(rng, NAMES)}".replace("..", ".")
        out[name] = data
    for k in range(int(rng.integers(0, 5))):
        folder = pick(rng, ("", "__MACOSX/", "docs/", ".hidden/"))
        out[f"{folder}odd{k}{pick(rng, ('.txt', '.pdf', '', '.csv', '.xml'))}"] = pick(rng, HARMLESS)
    if rng.random() < 0.2:
        out["folder/"] = b""
    return out


def _encoded(data: bytes, syntax: str) -> bytes:
    header = pydicom.dcmread(io.BytesIO(data))
    if header.file_meta.TransferSyntaxUID.is_compressed or (header.BitsAllocated == 16 and "1.2.2" in syntax):
        return data
    header["PixelData"].VR = "OB" if header.BitsAllocated == 8 else "OW"
    if syntax.endswith("1.2.5"):
        header.compress(syntax, generate_instance_uid=False)
    header.file_meta.TransferSyntaxUID = syntax
    stream = io.BytesIO()
    order = {"implicit_vr": False, "little_endian": not syntax.endswith("1.2.2")}
    pydicom.dcmwrite(stream, header, force_encoding=True, **order)
    return stream.getvalue()


def plausible(volume: DixonVolume) -> str:
    """Whether values are finite and not negative."""
    numbers = (volume.water, volume.fat, volume.origin_mm)
    if not all(np.isfinite(v).all() for v in numbers) or min(volume.water.min(), volume.fat.min()) < 0:
        return "values that are not finite, or below 0"
    return ""
