"""Inputs that are small on disk and large or endless when read naively; a script that reads them all.

``python hostile_cases.py FOLDER`` makes and reads them in two processes. It prints, for each, its name,
seconds, peak memory of the process so far (MB), and the class of the error ("" if it was read).
"""

import gzip
import io
import json
import os
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
from io_cases import dataset, encoded, phantom, saved, zip_of
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

META = b"\0" * 128 + b"DICM"
ITEM, UNDEFINED = b"\xfe\xff\x00\xe0", b"\xff\xff\xff\xff"
TB = 1 << 40


def sparse(path: Path, head: bytes = b"") -> Path:
    with path.open("wb") as file:
        file.write(head)
        file.truncate(TB)
    return path


def png_bomb(path: Path) -> Path:
    """20,000 × 20,000 pixels of one grey."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    packed = zlib.compress(bytes(20_000) * 1000)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )
    return path


def pages(path: Path, count: int) -> Path:
    """A TIFF whose directories are chained, with one small strip for all."""
    picture = io.BytesIO()
    Image.fromarray(phantom()).save(picture, "TIFF")
    data = picture.getvalue()
    start = struct.unpack_from("<I", data, 4)[0]
    entries = struct.unpack_from("<H", data, start)[0]
    directory = data[start : start + 2 + 12 * entries]
    size = len(directory) + 4
    out = bytearray(data)
    first = len(out)
    struct.pack_into("<I", out, 4, first)
    for k in range(count):
        out += directory + struct.pack("<I", first + (k + 1) * size if k + 1 < count else 0)
    path.write_bytes(out)
    return path


def elements(path: Path, data: bytes) -> Path:
    path.write_bytes(META + b"\x02\x00\x10\x00UI\x12\x001.2.840.10008.1.2\0" + data)
    return path


def items(folder: Path, name: str, item: bytes, count: int) -> Path:
    """A sequence of undefined length in front of a whole image."""
    data = encoded(dataset(folder))
    at = data.index(b"\x08\x00\x18\x00")  # SOPInstanceUID; the sequence of (0008,0006) stands before it
    sequence = b"\x08\x00\x06\x00" + UNDEFINED + item * count + b"\xfe\xff\xdd\xe0\0\0\0\0"
    path = folder / name
    path.write_bytes(data[:at] + sequence + data[at:])
    return path


def nifti(path: Path, shape: tuple[int, int, int], code: int, bits: int, stored: int) -> Path:
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *shape, 1, 1, 1, 1)
    struct.pack_into("<hh", header, 70, code, bits)
    struct.pack_into("<8f", header, 76, *[1.0] * 8)
    struct.pack_into("<f", header, 108, 352)
    struct.pack_into("<hh", header, 252, 0, 1)
    struct.pack_into("<12f", header, 280, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)
    header[344:348] = b"n+1\0"
    with gzip.open(path, "wb", 1) if path.suffix == ".gz" else path.open("wb") as file:
        file.write(header)
        for _ in range(stored >> 20):
            file.write(bytes(1 << 20))
    return path


def central_directory(path: Path, count: int) -> Path:
    entry = (
        struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    )
    size = count * len(entry)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count & 0xFFFF, count & 0xFFFF, size, 4, 0)
    path.write_bytes(b"PK\x03\x04" + entry * count + end)
    return path


def hostile(folder: Path) -> list[tuple[str, str, Path]]:
    """(name, reader, path) of every case."""
    rle = dataset(folder)
    rle.compress(RLELossless)
    rle.Rows, rle.Columns = 2800, 2900
    table = dataset(folder)
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [0, 0, 16])
    item.add_new("LUTData", "OW", bytes(32 << 20))
    table.VOILUTSequence = [item]
    numbers = dataset(folder)
    numbers.WindowCenter = "1"
    texts = encoded(numbers).replace(b"\x28\x00\x50\x10\x02\x00\x00\x001 ", _window(20 << 20))
    (folder / "numbers.dcm").write_bytes(texts)
    zeros = bytes(1 << 18)
    deflated = _deflated(40 << 20)
    depth, nested = 20_000, b"\x08\x00\x06\x00" + UNDEFINED + ITEM + UNDEFINED
    cases = [
        ("zeros.dcm", "dxa", _written(folder / "zeros.dcm", bytes(60 << 20))),
        ("zero elements", "dxa", elements(folder / "elements.dcm", bytes(60 << 20))),
        ("zero members", "dxa", zip_of(folder / "z.zip", {f"{k}.dcm": META + zeros for k in range(100)})),
        ("deflated members", "dxa", zip_of(folder / "d.zip", {f"{k}.dcm": deflated for k in range(100)})),
        ("a million items", "dxa", items(folder, "items.dcm", ITEM + b"\0\0\0\0", 1_000_000)),
        ("nested items", "dxa", items(folder, "nested.dcm", nested, depth)),
        ("elements in an item", "dxa", items(folder, "item.dcm", ITEM + UNDEFINED + bytes(50 << 20), 1)),
        ("numbers", "dxa", folder / "numbers.dcm"),
        ("table", "dxa", saved(table, folder / "table.dcm")),
        ("short RLE", "dxa", saved(rle, folder / "rle.dcm")),
        ("sparse DICOM", "dxa", sparse(folder / "sparse.dcm", encoded(dataset(folder)))),
        ("sparse PNG", "dxa", sparse(folder / "sparse.png", b"\x89PNG\r\n\x1a\n")),
        ("sparse zip", "dxa", sparse(folder / "sparse.zip", b"PK\x03\x04")),
        ("PNG bomb", "dxa", png_bomb(folder / "bomb.png")),
        ("50,000 pages", "dxa", pages(folder / "pages.tif", 50_000)),
        ("a million members", "dxa", central_directory(folder / "members.zip", 1_000_000)),
        ("a million members, MRI", "dixon", folder / "members.zip"),
        ("zero members, MRI", "dixon", folder / "z.zip"),
        ("NIfTI of 4096³ float64", "nifti", nifti(folder / "a.nii", (4096, 4096, 4096), 64, 64, 0)),
        ("NIfTI of 640³ float64", "nifti", nifti(folder / "b.nii", (640, 640, 640), 64, 64, 0)),
        ("NIfTI of 640³ int16", "nifti", nifti(folder / "c.nii", (640, 640, 640), 4, 16, 0)),
        ("NIfTI of zeros", "nifti", nifti(folder / "d.nii.gz", (512, 512, 256), 2, 8, 64 << 20)),
        ("NIfTI and zeros", "nifti", nifti(folder / "e.nii.gz", (8, 8, 8), 2, 8, 64 << 20)),
        ("sparse bundle", "bundle", _bundle(folder / "bundle")),
        ("card of zeros", "bundle", zip_of(folder / "card.zip", {"card.json": b" " * (60 << 20)})),
        ("a million files", "bundle", folder / "members.zip"),
        ("deep card", "bundle", zip_of(folder / "deep.zip", {"card.json": b"[" * 1_000_000})),
        ("aliases", "yaml", _written(folder / "a.yaml", _aliases())),
        ("deep YAML", "yaml", _written(folder / "b.yaml", b"[" * 50_000)),
        ("long YAML", "yaml", sparse(folder / "c.yaml", b"a: 1\n")),
    ]
    many = folder / "folder"
    many.mkdir()
    sparse(many / "a.dcm", META)
    sparse(many / "b.dcm", META)
    return [*cases, ("sparse folder", "dxa", many), ("sparse folder, search", "find", many)]


def _window(size: int) -> bytes:
    return b"\x28\x00\x50\x10" + struct.pack("<I", size) + b"1\\" * (size // 2)


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _deflated(size: int) -> bytes:
    meta = b"\x02\x00\x10\x00UI\x16\x001.2.840.10008.1.2.1.99"
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    start = META + b"\x02\x00\x00\x00UL\x04\x00" + struct.pack("<I", len(meta)) + meta
    return start + packer.compress(bytes(size)) + packer.flush()


def _aliases() -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 20)]
    return "\n".join(lines).encode()


def _bundle(folder: Path) -> Path:
    folder.mkdir()
    sparse(folder / "card.json", b"{}")
    return folder


def read(reader: str, path: Path) -> object:
    from spinelift.geometry import Spacing

    match reader:
        case "dxa":
            from spinelift.io import read_dxa

            picture = path.suffix in (".png", ".tif")
            return read_dxa(path, spacing=Spacing(8.5, 8.0) if picture else None)
        case "find":
            from spinelift.io import find_scans

            return find_scans([path])
        case "dixon":
            from spinelift.io.dixon.read import read_dixon

            return read_dixon(path)
        case "nifti":
            from spinelift.io.dixon.volume import DixonVolume
            from spinelift.io.nifti.volume import read_nifti_on

            empty = np.zeros((60, 60, 60), np.float32)
            return read_nifti_on(path, DixonVolume("mri-1", empty, empty, (0.0, 0.0, 0.0), (0, 60)))
        case "bundle":
            from spinelift.bundle import load_any

            return load_any(path)
        case "yaml":
            from spinelift.learn.loop.config import TrainingConfig

            return TrainingConfig.load(path)
    raise ValueError(reader)


def main(listed: Path) -> None:
    """Read every case of a list; memory is that of this process alone."""
    from spinelift.errors import SpineliftError

    for name, reader, path in json.loads(listed.read_text(encoding="utf-8")):
        start, error = time.perf_counter(), ""
        try:
            read(reader, Path(path))
        except SpineliftError as caught:
            error = type(caught).__name__
        seconds = time.perf_counter() - start
        status = Path("/proc/self/status")  # rusage would count what the parent had before it forked
        peak = int(status.read_text().split("VmHWM:")[1].split()[0]) >> 10 if status.exists() else 0
        print(name, f"{seconds:.1f}", peak, error, sep="\t", flush=True)


def measured(folder: Path) -> str:
    """What ``main`` prints of all cases, made in a folder and read in a process of their own."""
    listed = folder / "cases.json"
    cases = [(name, reader, str(path)) for name, reader, path in hostile(folder)]
    listed.write_text(json.dumps(cases), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-W", "ignore", __file__, "--read", str(listed)]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    if sys.argv[1] == "--read":
        main(Path(sys.argv[2]))
    else:
        print(measured(Path(sys.argv[1])), end="")
