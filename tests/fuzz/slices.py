"""Sound zips of DXA and Dixon visits whose members are damaged, dropped, doubled, or have hostile fields."""

import io
import os
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
from tests.fuzz import originals
from tests.fuzz.case import Case
from tests.fuzz.damage import damage, pick
from tests.fuzz.elements import elements_of, file_of, hostile_value
from tests.fuzz.reference import implausible, wrong_scan
from tests.fuzz.zips import (
    Members,
    bone_or_tissue,
    dixon_reading,
    dxa_reading,
    equals_or_finding,
    packed,
    plausible,
)

from spinelift.io import DxaScan, read_dxa

SLICE_FIELDS = (
    0x00080060, 0x0008103E, 0x00180050, 0x00200011, 0x00200013, 0x00200032, 0x00200037, 0x0020000E,
    0x00280010, 0x00280011, 0x00280030, 0x00280100, 0x00280101, 0x00280102, 0x00280103, 0x00281053,
    0x7FE00010,
)  # fmt: skip

PIXEL_FIELDS = {0x00280100, 0x00280101, 0x00280102, 0x00280103, 0x00281053, 0x7FE00010}
"""Those that change the meaning of a slice's pixels, which no other slice contradicts."""


def dxa(rng: np.random.Generator, folder: Path) -> Case:
    """Members damaged, dropped, doubled or given hostile fields, in a sound zip."""
    contents, _ = _with_bad_members(rng, originals.dxa_members())
    path = folder / "1234567_20158_2_0.zip"
    path.write_bytes(packed(rng, contents))

    def check(scan: DxaScan) -> str:
        faults = [wrong_scan(scan, data) for data in contents.values() if b"Total Body" in data]
        faults += [bone_or_tissue(scan)]
        return implausible(scan) or ("" if "" in faults else str(faults))

    return Case("bad members", dxa_reading(path), check)


def dixon(rng: np.random.Generator, folder: Path) -> Case:
    """Slices damaged, dropped, doubled or given hostile fields, in a sound zip."""
    contents, known = _with_bad_members(rng, originals.dixon_members())
    path = folder / "1234567_20201_2_0.zip"
    path.write_bytes(packed(rng, contents))
    return Case("bad members", dixon_reading(path), equals_or_finding if known else plausible)


def folder(rng: np.random.Generator, folder: Path) -> Case:
    """A visit's files in a folder, with odd things beside them."""
    visit = folder / "visit"
    visit.mkdir()
    for k, data in enumerate(originals.dxa_members().values()):
        (visit / f"{k}{pick(rng, ('.dcm', '', '.IMA', '.dcm'))}").write_bytes(data)
    odd = [pick(rng, ("link", "loop", "pipe", "folder", "empty", "hidden", "text")) for _ in range(3)]
    for k, what in enumerate(odd):
        path = visit / f"odd{k}"
        match what:
            case "link":
                path.symlink_to(visit / "nowhere.dcm")
            case "loop":
                path.symlink_to(path)
            case "pipe":
                os.mkfifo(path)
            case "folder":
                (path / "deeper").mkdir(parents=True)
            case "empty":
                path.write_bytes(b"")
            case "hidden":
                (visit / f".odd{k}.dcm").write_bytes(rng.bytes(300))
            case "text":
                path.write_bytes(b"text")
    return Case(f"folder with {odd}", partial(read_dxa, visit), bone_or_tissue, must_read=True)


def _with_bad_members(rng: np.random.Generator, contents: Members) -> tuple[Members, bool]:
    """Members, and whether a reader can know what is wrong with them: not of the pixels of a slice."""
    out, known = dict(contents), True
    names = [name for name in out if name.endswith(".dcm")]
    for _ in range(int(rng.integers(1, 4))):
        name, other = pick(rng, names), pick(rng, names)
        if name not in out or other not in out:
            continue
        match pick(rng, ("damage", "fields", "fields", "drop", "double", "swap", "cut")):
            case "damage":
                out[name], known = damage(rng, out[name], out[other], pick(rng, (None, 1200))), False
            case "fields":
                out[name], place = _hostile_fields(rng, out[name])
                known &= place
            case "drop":
                del out[name]
            case "double":
                out[f"copy{len(out)}.dcm"] = out[name]
            case "swap":
                out[name], out[other] = out[other], out[name]
            case "cut":
                out[name] = out[name][: int(rng.integers(len(out[name]) + 1))]
    return out, known


def _hostile_fields(rng: np.random.Generator, data: bytes) -> tuple[bytes, bool]:
    """A file with one or two hostile fields, and whether they leave its pixels as they are."""
    try:
        elements = elements_of(pydicom.dcmread(io.BytesIO(data)))
    except Exception:  # noqa: BLE001 - damaged before
        return data, False
    changed = set()
    tags = [k for k, e in enumerate(elements) if e.tag in SLICE_FIELDS]
    for _ in range(int(rng.integers(1, 3))):
        if tags:
            k = pick(rng, tags)
            elements[k] = hostile_value(rng, elements[k])
            changed.add(elements[k].tag)
    return file_of(elements), not changed & PIXEL_FIELDS
