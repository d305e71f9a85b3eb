"""PNG and TIFF: forms of one meaning, damage that checksums show, hostile fields, bombs."""

import io
import struct
import warnings
import zlib
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from tests.fuzz.case import Case, differs
from tests.fuzz.damage import WORDS, damage, pick
from tests.fuzz.originals import SPACING, bone
from tests.fuzz.reference import implausible

from spinelift.io import DxaScan, read_dxa

_MODES = ("L", "L", "RGB", "RGBA", "P", "LA", "I;16")


def same(rng: np.random.Generator, folder: Path) -> Case:
    """The phantom as PNG or TIFF of any mode and compression."""
    kind = pick(rng, ("png", "tiff"))
    path = folder / f"bone.{kind}"
    data, mode, _ = _written(rng, kind)
    if kind == "png":
        data = _with_chunks(rng, data)
    path.write_bytes(data)
    return Case(f"{kind} {mode}", _read(path), partial(_equals, deep=mode == "I;16"), must_read=True)


def damaged(rng: np.random.Generator, folder: Path) -> Case:
    """Damaged bytes: what a checksum covers is as it was, or refused."""
    kind = pick(rng, ("png", "tiff"))
    path = folder / f"bone.{kind}"
    original, mode, checked = _written(rng, kind)
    other, *_ = _written(rng, pick(rng, ("png", "tiff")))
    data = damage(rng, original, other)
    path.write_bytes(data)
    reference = partial(_equals, deep=mode == "I;16") if kind == "png" else partial(_like_pillow, data=data)
    if kind == "tiff" and checked and data[-_IFD:] == original[-_IFD:] and data[:8] == original[:8]:
        reference = partial(_equals, deep=mode == "I;16")
    return Case(f"damaged {kind} {mode}", _read(path), reference)


def fields(rng: np.random.Generator, folder: Path) -> Case:
    """Header fields at their limits, with checksums that fit."""
    kind = pick(rng, ("png", "tiff"))
    path = folder / f"bone.{kind}"
    data = bytearray(_written(rng, kind)[0])
    for _ in range(int(rng.integers(1, 3))):
        if kind == "png":
            at = 16 + int(rng.integers(13))
            data[at : at + 1] = pick(
                rng, (b"\0", b"\1", b"\2", b"\3", b"\4", b"\6", b"\x08", b"\x10", b"\xff")
            )
            data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
        else:
            ifd = struct.unpack_from("<I", data, 4)[0]
            count = struct.unpack_from("<H", data, ifd)[0]
            at = ifd + 2 + 12 * int(rng.integers(count)) + pick(rng, (0, 2, 4, 8, 8, 8))
            word = pick(rng, WORDS)
            data[at : at + len(word)] = word
    path.write_bytes(data)
    return Case(f"hostile fields of {kind}", _read(path), partial(_like_pillow, data=bytes(data)))


def bomb(rng: np.random.Generator, folder: Path) -> Case:
    """Absurd sizes, pages and chunks."""
    what = pick(rng, ("png size", "png text", "pages", "ifd loop", "sparse", "tiff size", "chunks"))
    path = folder / ("bone.png" if "png" in what or what == "chunks" else "bone.tif")
    data = bytearray(_written(rng, path.suffix[1:].replace("tif", "tiff"))[0])
    match what:
        case "png size":
            side = pick(rng, (3000, 20_000, 60_000, 2**31 - 1))
            image = zlib.compress(bytes(min(side * (side + 1), 400 << 20)), 1)
            data = bytearray(_png(struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0), image))
        case "png text":
            text = _chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(200 << 20), 1))
            data[33:33] = text * int(rng.integers(1, 4))
        case "pages":
            data = bytearray(_pages(int(rng.integers(100, 60_000))))
        case "ifd loop":
            ifd = struct.unpack_from("<I", data, 4)[0]
            end = ifd + 2 + 12 * struct.unpack_from("<H", data, ifd)[0]
            data[end : end + 4] = struct.pack("<I", ifd)
        case "tiff size":
            ifd = struct.unpack_from("<I", data, 4)[0]
            for k in range(struct.unpack_from("<H", data, ifd)[0]):
                at = ifd + 2 + 12 * k
                if struct.unpack_from("<H", data, at)[0] in (256, 257, 278):
                    data[at + 2 : at + 12] = struct.pack("<HII", 4, 1, pick(rng, (2899, 20_000, 2**31)))
        case "chunks":
            data[33:33] = _chunk(b"tEXt", b"k\0v") * int(rng.integers(10_000, 500_000))
    path.write_bytes(data)
    if what == "sparse":
        with path.open("r+b") as file:
            file.truncate(int(rng.integers(10 << 20, 4 << 30)))
    return Case(f"bomb of {what}", _read(path), implausible)


def _read(path: Path) -> "partial[DxaScan]":
    return partial(read_dxa, path, spacing_mm=SPACING)


def _equals(scan: DxaScan, deep: bool) -> str:
    expected = bone() * (255.0 / bone().max() if deep else 1.0)
    size = differs("spacing", (scan.spacing.row_mm, scan.spacing.col_mm), SPACING)
    return implausible(scan) or size or differs("bone", scan.bone, expected, 0.01)


_IFD = 600
"""The last bytes of a TIFF by Pillow: its table of fields lies there or at the start."""


def _written(rng: np.random.Generator, kind: str) -> tuple[bytes, str, bool]:
    """The phantom's file, its mode, and whether checksums cover its pixels."""
    mode = pick(rng, _MODES)
    grey = Image.fromarray(bone())
    image = Image.fromarray(bone().astype(np.uint16) * 200) if mode == "I;16" else grey.convert(mode)
    options: dict[str, object] = {}
    if kind == "tiff":
        choices = (None, "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits")
        options["compression"] = pick(rng, choices)
    else:
        options["compress_level"] = int(rng.integers(0, 10))
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue(), mode, "deflate" in str(options.get("compression"))


def _with_chunks(rng: np.random.Generator, data: bytes) -> bytes:
    extra = (_chunk(b"tEXt", b"Comment\0x" * 5), _chunk(b"tIME", bytes((7, 230, 1, 1, 1, 1, 1))),
             _chunk(b"prVt", rng.bytes(30)), _chunk(b"pHYs", struct.pack(">IIB", 412, 413, 1)))  # fmt: skip
    at = data.index(b"IDAT") - 4 if b"PLTE" not in data else 33
    return data[:at] + b"".join(pick(rng, extra) for _ in range(int(rng.integers(0, 3)))) + data[at:]


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _png(header: bytes, image: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", image) + _chunk(b"IEND", b"")


def _pages(count: int) -> bytes:
    """A TIFF of many pages that share their pixels."""
    out = bytearray(b"II*\0" + struct.pack("<I", 8 + 16000) + bone().tobytes())
    tags = ((256, 80), (257, 200), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 200), (279, 16000))
    for k in range(count):
        out += struct.pack("<H", len(tags))
        out += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
        out += struct.pack("<I", len(out) + 4 if k < count - 1 else 0)
    return bytes(out)


def _like_pillow(scan: DxaScan, data: bytes) -> str:
    """Whether a picture has the shape and, up to scale, the pixels of a plain decode by Pillow."""
    if fault := implausible(scan):
        return fault
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data)) as picture:
                plain, mode = np.asarray(picture), picture.mode
                turned = picture.getexif().get(0x0112, 1) not in (0, 1)
        except Exception:  # noqa: BLE001 - what Pillow cannot read is not known
            return ""
    if turned or mode not in ("L", "I;16"):
        return ""
    if scan.bone.shape != plain.shape:
        return f"an image of {scan.bone.shape}, not {plain.shape}"
    flat, values = scan.bone.ravel(), plain.astype(np.float64).ravel()
    low, high = values.min(), values.max()
    linear = values if mode == "L" else (values - low) * (255.0 / ((high - low) or 1))
    inverse = 255 - linear
    far = min(float(np.abs(flat - one).max()) for one in (linear, inverse))
    return f"pixels that differ from Pillow's by {far:.4g}" if far > 0.6 else ""
