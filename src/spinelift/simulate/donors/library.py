"""Libraries of donors as files: one ``.npz`` each, without pickles.

All vertebrae's points and triangles stand in one array after another; ``vertex_count`` and ``face_count``
say how many belong to each.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinelift.errors import ConfigError, DamagedFileError
from spinelift.files import whole_file
from spinelift.geometry import Vertebra
from spinelift.simulate.body.bones import make_mesh, signed_volume
from spinelift.simulate.body.donors import DonorLibrary, DonorVertebra
from spinelift.simulate.donors.surface import is_closed

SHIPPED = Path(__file__).with_name("shipped.npz")
"""The library that comes with the package; ``NOTICE.md`` beside it names sources and licences."""
VERSION = 1
"""Of the format."""
_DAMAGE: tuple[type[Exception], ...] = (
    *(OSError, EOFError, KeyError, ValueError, RuntimeError, MemoryError, OverflowError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)
_FIELDS: dict[str, tuple[str, int | None]] = {
    "person": ("U", None),
    "licence": ("U", None),
    "source": ("U", None),
    "level": ("u1", None),
    "size": ("f4", 3),
    "centre": ("f4", 3),
    "frame": ("f4", 9),
    "arch_mineral": ("f4", None),
    "vertex_count": ("u2", None),
    "face_count": ("u2", None),
}
"""Arrays with one row a vertebra: type, and columns."""


def load_library(paths: Sequence[Path]) -> DonorLibrary:
    """Libraries read and joined; of a person's level that several have, the last one's is taken.

    Raises
    ------
    ConfigError
        A file does not exist.
    DamagedFileError
        A file is no library, or was changed.
    """
    return DonorLibrary().joined(map(_read, paths))


def save_library(path: Path, library: DonorLibrary) -> None:
    """Write a library as one file, in the order of people and levels."""
    bones = sorted(library.vertebrae, key=lambda v: (v.person, v.level))
    rows = {name: [getattr(v, name) for v in bones] for name in _FIELDS if not name.endswith("_count")}
    rows["vertex_count"] = [len(v.mesh.vertices) for v in bones]
    rows["face_count"] = [len(v.mesh.faces) for v in bones]
    arrays: dict[str, NDArray[Any]] = {}
    for name, (kind, columns) in _FIELDS.items():
        shape = (len(bones),) if columns is None else (len(bones), columns)
        arrays[name] = np.array(rows[name], dtype=kind).reshape(shape)
    nothing = np.zeros((0, 3))
    arrays["vertices"] = np.concatenate([nothing, *[v.mesh.vertices for v in bones]]).astype(np.float32)
    arrays["faces"] = np.concatenate([nothing, *[v.mesh.faces for v in bones]]).astype(np.uint16)
    with whole_file(path) as file:
        np.savez_compressed(file, format=np.array(VERSION), **arrays)  # type: ignore[arg-type]


def _read(path: Path) -> DonorLibrary:
    if not path.is_file():
        raise ConfigError(
            found=f"no file {path.name}", expected="a library of donors (.npz)", do="Check the path."
        )
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name] for name in (*_FIELDS, "vertices", "faces", "format")}
        return DonorLibrary(tuple(_vertebrae(arrays)))
    except _DAMAGE as error:
        raise DamagedFileError(
            found=f"{path.name}, which is no library of donors or was changed ({error})",
            expected="a file that spinelift simulate donors wrote",
            do="Make it again with spinelift simulate donors build or add.",
        ) from None


def _vertebrae(arrays: dict[str, NDArray[Any]]) -> list[DonorVertebra]:
    """Raises ValueError where arrays do not fit each other."""
    if arrays["format"] != VERSION:
        raise ValueError(f"its format is {arrays['format']}, not {VERSION}")
    n = len(arrays["person"])
    for name, (kind, columns) in _FIELDS.items():
        array = arrays[name]
        if array.shape != ((n,) if columns is None else (n, columns)) or (
            array.dtype.kind != "U" if kind == "U" else array.dtype != kind
        ):
            raise ValueError(f"{name} has type {array.dtype} and shape {array.shape}")
    counts = arrays["vertex_count"].astype(int), arrays["face_count"].astype(int)
    for name, count in zip(("vertices", "faces"), counts, strict=True):
        if arrays[name].shape != (count.sum(), 3):
            raise ValueError(f"{name} has shape {arrays[name].shape}")
    parts = zip(
        np.split(arrays["vertices"].astype(np.float64), np.cumsum(counts[0])[:-1]),
        np.split(arrays["faces"].astype(np.int32), np.cumsum(counts[1])[:-1]),
        strict=True,
    )
    out = []
    for k, (vertices, faces) in enumerate(parts) if n else ():
        level = Vertebra(int(arrays["level"][k]))
        name = f"{arrays['person'][k]} {level.name}"
        if not (np.isfinite(vertices).all() and np.abs(vertices).max(initial=0) < 1000):
            raise ValueError(f"{name} has points that are not finite, or far away")
        if faces.max(initial=0) >= len(vertices) or not is_closed(faces):
            raise ValueError(f"{name} is not closed")
        if signed_volume(vertices, faces) <= 0:
            raise ValueError(f"{name} has triangles that face inward")
        size = arrays["size"][k].astype(np.float64)
        if not (np.isfinite(size).all() and size.min() > 0):
            raise ValueError(f"{name} has a size of {size}")
        out.append(
            DonorVertebra(
                str(arrays["person"][k]),
                level,
                make_mesh(vertices, faces),
                size,
                arrays["centre"][k].astype(np.float64),
                arrays["frame"][k].astype(np.float64).reshape(3, 3),
                str(arrays["licence"][k]),
                str(arrays["source"][k]),
                float(arrays["arch_mineral"][k]),
            )
        )
    return out
