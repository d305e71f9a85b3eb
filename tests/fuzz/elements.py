"""DICOM files as lists of raw elements, so that values, types, lengths and order can be anything."""

import struct
import zlib
from dataclasses import dataclass, replace

import numpy as np
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32
from tests.fuzz.damage import NUMBERS, TEXTS, WHOLE, pick

LONG = {vr.value for vr in EXPLICIT_VR_LENGTH_32}
PIXELS = 0x7FE00010


@dataclass(frozen=True)
class Element:
    """One element, explicit little endian: its tag, VR, value and, if it lies, its length."""

    tag: int
    vr: str
    value: bytes
    length: int | None = None

    def encoded(self, implicit: bool) -> bytes:
        length = len(self.value) if self.length is None else self.length
        tag = struct.pack("<HH", self.tag >> 16, self.tag & 0xFFFF)
        if implicit:
            return tag + struct.pack("<I", length & 0xFFFFFFFF) + self.value
        vr = self.vr.encode()[:2].ljust(2)
        if self.vr in LONG:
            return tag + vr + b"\0\0" + struct.pack("<I", length & 0xFFFFFFFF) + self.value
        return tag + vr + struct.pack("<H", length & 0xFFFF) + self.value


def elements_of(data: Dataset) -> list[Element]:
    """Top-level elements of a data set."""
    found = []
    for element in data:
        stream = DicomBytesIO()
        stream.is_little_endian, stream.is_implicit_VR = True, False
        write_data_element(stream, element)
        raw = stream.getvalue()
        vr = raw[4:6].decode()
        found.append(Element(int(element.tag), vr, raw[12 if vr in LONG else 8 :]))
    return found


def file_of(elements: list[Element], *, syntax: str = ExplicitVRLittleEndian, preamble: bool = True) -> bytes:
    """A file of the elements, in the order given; the pixels come last if the caller puts them there."""
    implicit = syntax == ImplicitVRLittleEndian
    body = b"".join(element.encoded(implicit) for element in elements)
    if not preamble:
        return body
    if syntax == DeflatedExplicitVRLittleEndian:
        packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
        body = packer.compress(body) + packer.flush()
    uid = syntax.encode()
    meta = Element(0x00020010, "UI", uid + b"\0" * (len(uid) % 2)).encoded(False)
    group = Element(0x00020000, "UL", struct.pack("<I", len(meta))).encoded(False)
    return bytes(128) + b"DICM" + group + meta + body


def hostile_value(rng: np.random.Generator, element: Element) -> Element:
    """The element with a value at the limits of its type, or of another type or length."""
    text = "\\".join(pick(rng, TEXTS) for _ in range(int(rng.integers(1, 3)))).encode("latin-1", "replace")
    match pick(rng, ("own", "own", "own", "own", "text", "empty", "vr", "length", "long", "bytes")):
        case "own" if element.vr in ("US", "SS", "AT"):
            return replace(element, value=struct.pack("<H", pick(rng, WHOLE)))
        case "own" if element.vr in ("FD", "FL"):
            code = "<d" if element.vr == "FD" else "<f"
            value = float(np.clip(pick(rng, NUMBERS), -3e38, 3e38)) if code == "<f" else pick(rng, NUMBERS)
            return replace(element, value=struct.pack(code, value))
        case "empty":
            return replace(element, value=b"")
        case "vr":
            vrs = ("US", "SS", "DS", "IS", "LO", "SQ", "OW", "OB", "UN", "FD", "AT", "PN", "UI", "ZZ", "\0\0")
            return replace(element, vr=pick(rng, vrs))
        case "length":
            lengths = (0, 1, len(element.value) + 2, len(element.value) - 1, 0xFFFE, 0xFFFFFFFF, 0x7FFFFFFF)
            return replace(element, length=pick(rng, lengths))
        case "long":
            return replace(element, value=(text * 400)[:60_000])
        case "bytes":
            return replace(element, value=rng.bytes(int(rng.integers(0, 40))))
    return replace(element, value=text + b" " * (len(text) % 2))


def padded(value: str) -> bytes:
    """A text of even length."""
    raw = value.encode("latin-1")
    return raw + b" " * (len(raw) % 2)


def put(elements: list[Element], element: Element) -> list[Element]:
    """The elements with another one in its place, by its tag."""
    others = [e for e in elements if e.tag != element.tag]
    return sorted([*others, element], key=lambda e: e.tag)
