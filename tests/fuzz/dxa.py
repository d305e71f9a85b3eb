"""DXA in single DICOM files: oddities of one meaning, hostile fields, damaged bytes, bombs."""

import io
import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from tests.fuzz.case import Case, differs
from tests.fuzz.damage import damage, pick
from tests.fuzz.dicom import SYNTAXES, encoded
from tests.fuzz.elements import PIXELS, Element, elements_of, file_of, hostile_value, padded, put
from tests.fuzz.originals import SPACING, bone, dxa_dataset
from tests.fuzz.reference import wrong_scan

from spinelift.io import DxaScan, read_dxa

SUFFIXES = (".dcm", ".dcm", "", ".DCM", ".png", ".zip", ".nii.gz", ".txt", ".dcm.tmp")
FIELDS = (
    0x00080005, 0x00080016, 0x00080020, 0x00080060, 0x00100010, 0x00100020, 0x00100030, 0x00100040,
    0x00181030, 0x00181114, 0x00181164, 0x00181303, 0x0020000D, 0x00200013, 0x00200020, 0x00280002,
    0x00280004, 0x00280008, 0x00280010, 0x00280011, 0x00280030, 0x00280100, 0x00280101, 0x00280102,
    0x00280103, 0x00280120, 0x00280121, 0x00281050, 0x00281051, 0x00281052, 0x00281053, 0x00281056,
    0x00283000, 0x00283010, 0x20500020, PIXELS,
)  # fmt: skip
VR = {0x00181303: "DS", 0x00281056: "CS", 0x00283000: "SQ", 0x00283010: "SQ", 0x20500020: "CS"}


Elements = list[Element]


def reading(rng: np.random.Generator, folder: Path, data: bytes, **options: object) -> Callable[[], DxaScan]:
    """Reads bytes as a file of any name, as bytes or as an open file."""
    path = folder / f"scan{pick(rng, SUFFIXES)}"
    path.write_bytes(data)
    source = pick(rng, (path, path, str(path), data, io.BytesIO(data)))
    return partial(read_dxa, source, **options)


def equals_original(scan: DxaScan) -> str:
    """Whether a scan has the phantom's pixels and pixel size."""
    return differs("bone", scan.bone, bone(), 0.6) or differs(
        "spacing", (scan.spacing.row_mm, scan.spacing.col_mm), SPACING, 1e-6
    )


def base() -> Elements:
    """Elements of the phantom's bone image."""
    return [e for e in elements_of(dxa_dataset()) if e.tag != 0x00020010]


def same(rng: np.random.Generator, folder: Path) -> Case:
    """Another way to write the same image."""
    if rng.random() < 0.3:
        syntax, deep = pick(rng, SYNTAXES), bool(rng.integers(2))
        data = encoded(syntax, deep)
        return Case(f"{syntax} deep={deep}", reading(rng, folder, data), equals_original, must_read=True)
    elements, done = base(), []
    changes = [_SAME[k] for k in rng.permutation(len(_SAME))[: int(rng.integers(1, 4))]]
    for change in (*changes, pick(rng, _LAST)):
        elements = change(rng, elements)
        done.append(change.__name__)
    syntax = pick(rng, (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian))
    if syntax == ImplicitVRLittleEndian and any(e.vr == "SQ" for e in elements):
        syntax = ExplicitVRLittleEndian
    data = file_of(elements, syntax=syntax, preamble=syntax != ImplicitVRLittleEndian or rng.random() < 0.5)
    return Case(" ".join(done), reading(rng, folder, data), equals_original, must_read=True)


def fields(rng: np.random.Generator, folder: Path) -> Case:
    """One to three fields with values at their limits, wrong types or lengths."""
    present = base()
    for _ in range(int(rng.integers(1, 4))):
        tag = pick(rng, FIELDS)
        old = next((e for e in present if e.tag == tag), Element(tag, VR.get(tag, "DS"), b""))
        present = put(present, hostile_value(rng, old))
    syntax = pick(rng, (ExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian))
    data = file_of(present, syntax=syntax)
    return Case(f"hostile fields, {syntax}", reading(rng, folder, data), partial(wrong_scan, data=data))


def bits(rng: np.random.Generator, folder: Path) -> Case:
    """Bytes damaged anywhere, or in the header alone."""
    syntax, deep = pick(rng, SYNTAXES), bool(rng.integers(2))
    original = encoded(syntax, deep)
    reach = pick(rng, (None, 1500, 400))
    data = damage(rng, original, encoded(pick(rng, SYNTAXES), not deep), reach)
    options = {"area": "total-body"} if rng.random() < 0.2 else {}
    check = partial(wrong_scan, data=data)
    return Case(f"damaged bytes, {syntax}", reading(rng, folder, data, **options), check)


def bomb(rng: np.random.Generator, folder: Path) -> Case:
    """A file whose size, counts or depth are absurd."""
    path = folder / "scan.dcm"
    head = file_of([e for e in base() if e.tag != PIXELS])
    count = int(rng.integers(20_000, 1_500_000))
    what = pick(
        rng, ("zeros", "sparse", "items", "elements", "nested", "deflate", "fragments", "rows", "values")
    )
    item = b"\xfe\xff\x00\xe0"
    match what:
        case "zeros":
            path.write_bytes(head + bytes(count * 40))
        case "sparse":
            path.write_bytes(head)
            with path.open("r+b") as file:
                file.truncate(int(rng.integers(100 << 20, 8 << 30)))
        case "items":
            path.write_bytes(head + _sequence(item + bytes(4), count))
        case "elements":
            pairs = np.arange(count, dtype="<u4")
            block = np.zeros(count, [("tag", "<u2", 2), ("vr", "S2"), ("length", "<u2")])
            block["tag"][:, 0], block["tag"][:, 1] = 0x4001 + 2 * (pairs >> 16), pairs & 0xFFFF
            block["vr"] = b"LO"
            path.write_bytes(head + block.tobytes())
        case "nested":
            depth = int(rng.integers(200, 100_000))
            one = b"\x32\x00\x64\x10SQ\0\0\xff\xff\xff\xff" + item + b"\xff\xff\xff\xff"
            path.write_bytes(head + one * depth)
        case "deflate":
            packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
            body = packer.compress(b"".join(e.encoded(False) for e in base()) + bytes(count * 400))
            whole = file_of([], syntax=DeflatedExplicitVRLittleEndian)[:-2]
            path.write_bytes(whole + body + packer.flush())
        case "fragments":
            data = encoded(pick(rng, SYNTAXES[4:]))
            at = data.rindex(item)
            path.write_bytes(data[:at] + (item + bytes(4)) * count + data[at:])
        case "rows":
            huge = struct.pack("<H", pick(rng, (65535, 40000, 8192)))
            path.write_bytes(file_of(put(put(base(), Element(0x00280010, "US", huge)),
                                         Element(0x00280011, "US", huge))) + bytes(count * 8))  # fmt: skip
        case "values":
            path.write_bytes(file_of(put(base(), Element(0x00283010, "UN", b"1\\" * count))))
    return Case(f"bomb of {what}", partial(read_dxa, path), lambda scan: "")


def _sequence(items: bytes, count: int) -> bytes:
    length = len(items) * count
    return struct.pack("<HH", 0x0032, 0x1064) + b"SQ\0\0" + struct.pack("<I", length) + items * count


def _last(elements: Elements) -> tuple[Elements, Element]:
    return [e for e in elements if e.tag != PIXELS], next(e for e in elements if e.tag == PIXELS)


def _inverted(rng: np.random.Generator, elements: Elements) -> Elements:
    others, pixels = _last(elements)
    if next(e for e in others if e.tag == 0x00280004).value.strip() == b"MONOCHROME1":
        return elements
    value = (255 - np.frombuffer(pixels.value, np.uint8)).tobytes()
    return put(put(elements, Element(0x00280004, "CS", b"MONOCHROME1 ")), Element(PIXELS, "OB", value))


def _turned(rng: np.random.Generator, elements: Elements) -> Elements:
    _, pixels = _last(elements)
    image = np.frombuffer(pixels.value, np.uint8).reshape(bone().shape)
    first, second = pick(rng, (("R", "F"), ("L", "H"), ("R", "H"), ("L", "F"), ("LA", "FP"), ("r ", "f ")))
    image = image[:: -1 if "H" in second else 1, :: -1 if first.upper()[0] == "R" else 1]
    text = padded(f"{first}\\{second}")
    return put(put(elements, Element(0x00200020, "CS", text)), Element(PIXELS, "OB", image.tobytes()))


def _private(rng: np.random.Generator, elements: Elements) -> Elements:
    extra = [Element(0x00090010, "LO", b"FUZZ")]
    for _ in range(int(rng.integers(1, 30))):
        vr = pick(rng, ("LO", "UN", "OB", "DS", "LT", "SQ"))
        extra.append(Element(0x00091000 + int(rng.integers(256)), vr,
                             b"" if vr == "SQ" else b"1" * (2 * int(rng.integers(0, 200)))))  # fmt: skip
    held = {e.tag: e for e in (*elements, *extra)}
    return sorted(held.values(), key=lambda e: e.tag)


def _shuffled(rng: np.random.Generator, elements: Elements) -> Elements:
    others, pixels = _last([e for e in elements if e.tag < 0xFFFC0000])
    first = others[:1]  # a file without a preamble is known by its first element
    rest = others[1:]
    return [*first, *(rest[k] for k in rng.permutation(len(rest))), pixels]


def _spaced(rng: np.random.Generator, elements: Elements) -> Elements:
    kinds = ("CS", "LO", "PN", "DS", "IS", "SH")
    return [
        Element(e.tag, e.vr, e.value + b"  ") if e.vr in kinds and e.value and rng.random() < 0.5 else e
        for e in elements
    ]


def _trailing(rng: np.random.Generator, elements: Elements) -> Elements:
    return [
        *(e for e in elements if e.tag != 0xFFFCFFFC),
        Element(0xFFFCFFFC, "OB", bytes(2 * int(rng.integers(0, 500)))),
    ]


def _identity_table(rng: np.random.Generator, elements: Elements) -> Elements:
    slope, intercept = Element(0x00281053, "DS", b"1.0 "), Element(0x00281052, "DS", b"0 ")
    return put(put(elements, slope), intercept)


def _long_pixels(rng: np.random.Generator, elements: Elements) -> Elements:
    others, pixels = _last(elements)
    return [
        *(e for e in others if e.tag < PIXELS),
        Element(PIXELS, pixels.vr, pixels.value + bytes(2 * int(rng.integers(1, 9)))),
    ]


def _deep(rng: np.random.Generator, elements: Elements) -> Elements:
    """Eight bits somewhere in sixteen, with anything in the others."""
    others, pixels = _last(elements)
    shift = int(rng.integers(9))
    cells = rng.integers(0, 65536, len(pixels.value), np.uint16) & np.uint16(~(255 << shift) & 0xFFFF)
    cells |= np.frombuffer(pixels.value, np.uint8).astype(np.uint16) << shift
    bits = {0x00280100: 16, 0x00280101: 8, 0x00280102: 7 + shift}
    return _with_bits(others, bits, cells)


def _signed(rng: np.random.Generator, elements: Elements) -> Elements:
    """Signed values below and above 0, with an intercept and a window that undo it."""
    others, pixels = _last(elements)
    offset, stored = int(rng.integers(1, 4000)), int(rng.integers(13, 17))
    cells = (np.frombuffer(pixels.value, np.uint8).astype(np.int16) - np.int16(offset)).view(np.uint16)
    cells &= np.uint16((1 << stored) - 1)
    bits = {0x00280100: 16, 0x00280101: stored, 0x00280102: stored - 1, 0x00280103: 1}
    texts = {0x00281052: str(offset), 0x00281053: "1", 0x00281050: "127.5", 0x00281051: "255"}
    for tag, text in texts.items():
        others = put(others, Element(tag, "DS", padded(text)))
    others = put(others, Element(0x00281056, "CS", padded("LINEAR_EXACT")))
    return _with_bits(others, bits, cells)


def _with_bits(others: Elements, bits: dict[int, int], cells: np.ndarray) -> Elements:
    for tag, value in bits.items():
        others = [e if e.tag != tag else Element(tag, "US", struct.pack("<H", value)) for e in others]
    return [*(e for e in others if e.tag < PIXELS), Element(PIXELS, "OW", cells.astype("<u2").tobytes())]


def _nothing(rng: np.random.Generator, elements: Elements) -> Elements:
    return elements


_SAME = (_inverted, _turned, _private, _shuffled, _spaced, _trailing, _identity_table)
_LAST = (_nothing, _nothing, _long_pixels, _deep, _signed)
