"""NIfTI label maps: orientations and types of one meaning, hostile headers, damage, bombs."""

import gzip
import io
import struct
from functools import cache, partial
from pathlib import Path

import nibabel as nib
import numpy as np
from tests.fuzz.case import Case, differs
from tests.fuzz.damage import NUMBERS, WHOLE, damage, pick

from spinelift.geometry.arrays import Float32
from spinelift.io.dixon.volume import DixonVolume
from spinelift.io.nifti.labels import LabelScheme, read_spine_labels
from spinelift.io.nifti.volume import read_nifti_on

SHAPE = (60, 30, 24)
"""Of the volume and of the label map, [z, y, x]."""
_BLANK = np.broadcast_to(np.float32(0), SHAPE)
VOLUME = DixonVolume("x", _BLANK, _BLANK, (-40.0, -60.0, -300.0), (0, SHAPE[0]), voxel_mm=8.0)
LABELS = range(30)
_WORLD = np.diag([-1.0, -1.0, 1.0, 1.0])
_SHORTS = (0, 40, 42, 44, 46, 48, 50, 70, 72, 74, 120, 252, 254)
"""Offsets of 16-bit fields of the header: dimensions, type, codes."""
_FLOATS = (76, 80, 84, 88, 108, 112, 116, 256, 260, 264, 268, 272, 276, 280, 284, 300, 324)
"""Offsets of 32-bit floating point fields: pixel sizes, data offset, scaling, affine."""


@cache
def labels() -> np.ndarray:
    """Bodies 8 to 24 of a column, two rows each, on a sacrum: int16 [z, y, x], nothing symmetric."""
    out = np.zeros(SHAPE, np.int16)
    for k in range(17):
        out[3 + 3 * k : 5 + 3 * k, 8 + k % 3 : 15, 7:12] = 8 + k
    out[55:59, 7:15, 5:14] = 26
    return out


def _image(stored: np.ndarray) -> nib.Nifti1Image:
    return nib.Nifti1Image(stored.transpose(2, 1, 0), _WORLD @ VOLUME.affine)


def _file(rng: np.random.Generator, image: nib.Nifti1Image) -> tuple[bytes, bool]:
    data = image.to_bytes()
    packed = bool(rng.integers(2))
    return (gzip.compress(data, int(rng.integers(1, 10))) if packed else data), packed


def _read(rng: np.random.Generator, folder: Path, data: bytes, packed: bool) -> partial:
    path = folder / ("map.nii.gz" if packed else "map.nii")
    path.write_bytes(data)
    if rng.random() < 0.2:
        return partial(_spine, path)
    return partial(read_nifti_on, path, VOLUME, labels=LABELS)


def _spine(path: Path) -> Float32:
    """Read through the label scheme: its own checks run; the labels are returned for the judge."""
    read_spine_labels(path, VOLUME, LabelScheme.SPINEPS_VERT)
    return read_nifti_on(path, VOLUME, labels=LABELS)


def _plain(found: Float32) -> str:
    if found.shape != SHAPE or found.dtype != np.float32 or not np.isfinite(found).all():
        return f"a volume of shape {found.shape} and type {found.dtype}, or not finite"
    return "" if set(np.unique(found)) <= set(LABELS) else "values that are no labels"


def equals(found: Float32) -> str:
    return _plain(found) or differs("labels", found, labels())


def same(rng: np.random.Generator, folder: Path) -> Case:
    """The same labels in any orientation, type, scaling and packing."""
    kind = pick(rng, (np.uint8, np.int8, np.int16, np.uint16, np.int32, np.float32, np.float64))
    image = _image(labels().astype(kind))
    order, signs = rng.permutation(3), rng.choice((-1, 1), 3)
    image = image.as_reoriented(np.stack([order, signs], axis=1))
    if rng.random() < 0.3:
        image = nib.Nifti1Image(np.asarray(image.dataobj)[..., None], image.affine)
    if rng.random() < 0.3:
        affine = image.affine
        image.set_qform(affine, code=1)
        image.set_sform(None, code=0)
    if rng.random() < 0.3:
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"anything" * 9))
    if rng.random() < 0.2:
        image = nib.Nifti2Image(np.asarray(image.dataobj), image.affine)
    data, packed = _file(rng, image)
    if not packed and rng.random() < 0.3:
        data += bytes(100)
    path = folder / ("map.nii.gz" if packed else "map.nii")
    path.write_bytes(data)
    read = partial(read_nifti_on, path, VOLUME, labels=LABELS)
    return Case(f"{kind.__name__} {order} {signs}", read, equals, must_read=True)


def fields(rng: np.random.Generator, folder: Path) -> Case:
    """One to three header fields at their limits."""
    raw = bytearray(_image(labels()).to_bytes())
    for _ in range(int(rng.integers(1, 4))):
        if rng.random() < 0.5:
            value = pick(rng, (*WHOLE, 512, 1024, 2048, 1536))
            struct.pack_into("<H", raw, pick(rng, _SHORTS), value)
        else:
            value = float(np.clip(pick(rng, (*NUMBERS, 0.5, 2.0, 1e-3)), -3e38, 3e38))
            struct.pack_into("<f", raw, pick(rng, _FLOATS), value)
    packed = bool(rng.integers(2))
    data = gzip.compress(bytes(raw), 1) if packed else bytes(raw)
    read = _read(rng, folder, data, packed)
    return Case("hostile header", read, partial(_like_nibabel, data=bytes(raw)))


def damaged(rng: np.random.Generator, folder: Path) -> Case:
    """Damaged bytes: gzip's checksum sees to it that a packed map is as it was, or refused."""
    data, packed = _file(rng, _image(labels()))
    other = gzip.compress(data)
    damaged = damage(rng, data, other, pick(rng, (None, 348)))
    check = equals if packed else partial(_like_nibabel, data=damaged)
    return Case(f"damaged, packed: {packed}", _read(rng, folder, damaged, packed), check)


def bomb(rng: np.random.Generator, folder: Path) -> Case:
    """Absurd sizes, in the header, when unpacked, or of the file."""
    raw = bytearray(_image(labels()).to_bytes())
    what = pick(rng, ("gzip", "wide type", "dimensions", "sparse", "doubles"))
    path = folder / ("map.nii" if what in ("dimensions", "sparse") else "map.nii.gz")
    sides, kind = (24, 30, 60), 4
    match what:
        case "gzip" | "sparse":
            pass
        case "wide type":
            sides, kind = (640, 640, 640), pick(rng, (64, 1536, 1792, 2048))
        case "dimensions":
            sides, kind = (32767, 32767, 32767), 2
        case "doubles":
            sides, kind = (512, 512, int(rng.integers(100, 1020))), 64
    struct.pack_into("<8h", raw, 40, 3, *sides, 1, 1, 1, 1)
    struct.pack_into("<hh", raw, 70, kind, {2: 8, 4: 16, 64: 64}.get(kind, 128))
    if what in ("wide type", "doubles", "gzip"):
        size = int(np.prod(sides)) * (8 if kind == 64 else 16) if what == "doubles" else 400 << 20
        with gzip.open(path, "wb", 1) as file:
            file.write(raw)
            for _ in range(size >> 24):
                file.write(bytes(1 << 24))
    else:
        path.write_bytes(raw)
    if what == "sparse":
        with path.open("r+b") as file:
            file.truncate(int(rng.integers(1 << 30, 8 << 30)))
    return Case(f"bomb of {what}", partial(read_nifti_on, path, VOLUME, labels=LABELS), _plain)


def _like_nibabel(found: Float32, data: bytes) -> str:
    """Whether labels are those that nibabel finds at the same places in the patient."""
    if fault := _plain(found):
        return fault
    try:
        image = nib.Nifti1Image.from_file_map({"image": nib.FileHolder(fileobj=io.BytesIO(data))})
        stored = np.asarray(image.dataobj, np.float64)
        stored = stored.reshape(stored.shape[:3])
        to_voxel = np.linalg.inv(image.affine) @ _WORLD @ VOLUME.affine
    except Exception:  # noqa: BLE001 - what nibabel cannot read is not known
        return ""
    z, y, x = np.indices(SHAPE).reshape(3, -1)
    places = (to_voxel @ np.stack([x, y, z, np.ones_like(x)]))[:3]
    near = np.rint(places)
    clear = np.abs(np.abs(places - near) - 0.5).min(axis=0) > 1e-3
    inside = (near >= 0).all(axis=0) & (near < np.array(stored.shape)[:, None]).all(axis=0)
    expected = np.zeros(x.size)
    expected[inside] = np.rint(np.nan_to_num(stored[tuple(near[:, inside].astype(int))]))
    far = (found.ravel() != expected) & clear
    return f"{far.sum()} voxels differ from nibabel's" if far.any() else ""
