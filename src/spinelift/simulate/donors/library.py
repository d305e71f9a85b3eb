"""Libraries of donors as files: one ``.npz`` each, without pickles.

All vertebrae's points stand one after another; ``vertex_count`` says how many belong to each. Triangles and
cortex of a topology are stored once; ``face_count`` says how many triangles of its own a vertebra has, none
if it has a topology's.
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
from spinelift.geometry.arrays import Float, Int32, Integers
from spinelift.simulate.body.bones import make_mesh, signed_volume
from spinelift.simulate.body.donors import DonorVertebra
from spinelift.simulate.body.library import DonorLibrary
from spinelift.simulate.donors.surface import is_closed

SHIPPED = Path(__file__).with_name("shipped.npz")
"""The library that comes with the package; ``NOTICE.md`` beside it names sources and licences."""
VERSION = 2
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
    "topology": ("U", None),
    "fit_mm": ("f4", None),
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
    shared = {v.topology: v for v in bones if v.topology}
    own = [np.zeros((0, 3)) if v.topology else v.mesh.faces for v in bones]
    rows = {name: [getattr(v, name) for v in bones] for name in _FIELDS if not name.endswith("_count")}
    rows["vertex_count"] = [len(v.mesh.vertices) for v in bones]
    rows["face_count"] = [len(faces) for faces in own]
    arrays: dict[str, NDArray[Any]] = {}
    for name, (kind, columns) in _FIELDS.items():
        shape = (len(bones),) if columns is None else (len(bones), columns)
        arrays[name] = np.array(rows[name], dtype=kind).reshape(shape)
    nothing = np.zeros((0, 3))
    arrays["vertices"] = np.concatenate([nothing, *[v.mesh.vertices for v in bones]]).astype(np.float32)
    arrays["faces"] = np.concatenate([nothing, *own]).astype(np.uint16)
    arrays["topologies"] = np.array(list(shared), dtype="U")
    for k, bone in enumerate(shared.values()):
        arrays[f"faces_{k}"] = bone.mesh.faces.astype(np.uint16)
        cortex = np.zeros(0) if bone.cortex is None else bone.cortex
        arrays[f"cortex_{k}"] = cortex.astype(np.float32)
    with whole_file(path) as file:
        np.savez_compressed(file, format=np.array(VERSION), **arrays)  # type: ignore[arg-type]


def _read(path: Path) -> DonorLibrary:
    if not path.is_file():
        raise ConfigError(
            found=f"no file {path.name}", expected="a library of donors (.npz)", do="Check the path."
        )
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            if file["format"] != VERSION:
                raise ValueError(f"its format is {file['format']}, not {VERSION}")
            arrays = {name: file[name] for name in (*_FIELDS, "vertices", "faces", "topologies")}
            shared = {
                str(name): (file[f"faces_{k}"], file[f"cortex_{k}"])
                for k, name in enumerate(arrays["topologies"])
            }
        return DonorLibrary(tuple(_vertebrae(arrays, shared)))
    except _DAMAGE as error:
        raise DamagedFileError(
            found=f"{path.name}, which is no library of donors or was changed ({error})",
            expected="a file that spinelift simulate donors wrote",
            do="Make it again with spinelift simulate donors build or add.",
        ) from None


def _vertebrae(
    arrays: dict[str, NDArray[Any]], shared: dict[str, tuple[NDArray[Any], NDArray[Any]]]
) -> list[DonorVertebra]:
    """Raises ValueError where arrays do not fit each other."""
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
    meshes = {name: _shared(name, *both) for name, both in shared.items()}
    parts = zip(
        np.split(arrays["vertices"].astype(np.float64), np.cumsum(counts[0])[:-1]),
        np.split(arrays["faces"].astype(np.int32), np.cumsum(counts[1])[:-1]),
        strict=True,
    )
    out = []
    for k, (vertices, faces) in enumerate(parts) if n else ():
        level, topology = Vertebra(int(arrays["level"][k])), str(arrays["topology"][k])
        name = f"{arrays['person'][k]} {level.name}"
        cortex = None
        if topology:
            faces, cortex = meshes[topology]
            if cortex is not None and len(cortex) != len(vertices):
                raise ValueError(f"{name} has {len(vertices)} points and not those of {topology}")
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
                topology,
                float(arrays["fit_mm"][k]),
                cortex,
            )
        )
    return out


def _shared(name: str, faces: NDArray[Any], cortex: NDArray[Any]) -> tuple[Int32, Float | None]:
    """Triangles and cortex of a topology; its name has the code of its triangles."""
    if faces.dtype != np.uint16 or faces.ndim != 2 or faces.shape[1:] != (3,) or cortex.dtype != np.float32:
        raise ValueError(f"the topology {name} has other types")
    if name != topology_name(name.partition("-")[0], faces):
        raise ValueError(f"the topology {name} has other triangles")
    if cortex.ndim != 1 or not ((cortex >= 0) & (cortex < 20)).all():
        raise ValueError(f"the topology {name} has a cortex of no thickness")
    return faces.astype(np.int32), cortex.astype(np.float64) if len(cortex) else None


def topology_name(region: str, faces: Integers) -> str:
    """Name of a topology: where in the spine it serves, and a code of its triangles [f, 3]."""
    return f"{region}-{zlib.crc32(np.ascontiguousarray(faces, np.int32).tobytes()):08x}"
