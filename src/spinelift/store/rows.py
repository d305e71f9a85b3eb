"""Training stores: sharded Zarr 3 groups that grow by whole rows.

A store's ``rows`` attribute is written last, after the arrays: rows beyond it belong to an append that was
interrupted. They are not read, and the next append overwrites them. Rows are buffered up to whole shards;
the end of the ``with`` block, or :meth:`RowStore.flush`, writes the rest. Only one process may write.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import zarr
from numpy.typing import ArrayLike, NDArray

from spinelift.errors import ConfigError
from spinelift.geometry import CROP_SIZE, SPINE_ROWS
from spinelift.geometry.arrays import Float32, Integers, UInt8
from spinelift.geometry.canonical import CANONICAL_SHAPE

Field = tuple[str, tuple[int, ...]]


class Rows:
    """Rows in memory: a dataclass of arrays with the same number of rows."""

    eid: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.eid)

    def take(self, rows: Integers) -> Self:
        """The given rows, in that order."""
        return type(self)(**{name: array[rows] for name, array in vars(self).items()})

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """All rows of several parts."""
        if len(parts) == 1:
            return parts[0]
        return cls(**{name: np.concatenate([vars(p)[name] for p in parts]) for name in vars(parts[0])})


@dataclass(frozen=True)
class Pairs(Rows):
    """Crops and curves.

    ``image`` uint8 [n, 224, 224]; ``curves`` float32 [n, 6, 209] in crop px; ``mm_per_px`` float32 [n];
    ``eid`` int64 [n].
    """

    image: UInt8
    curves: Float32
    mm_per_px: Float32
    eid: NDArray[np.int64]


@dataclass(frozen=True)
class Scans(Rows):
    """Whole-body images on the canonical grid.

    ``image`` uint8 [n, 832, 320]; ``mask`` uint8 0/1 of the same shape; ``ends`` float32 [n, 2, 2], (row,
    col) of T1's upper and L5's lower endplate in canonical px; ``eid`` int64 [n].
    """

    image: UInt8
    mask: UInt8
    ends: Float32
    eid: NDArray[np.int64]


RowsT = TypeVar("RowsT", bound=Rows)


class RowStore(Generic[RowsT]):
    """Rows on disk; subclasses give their type in memory and the fields, {name: (dtype, shape of a row)}."""

    ROWS: type[RowsT]
    FIELDS: ClassVar[Mapping[str, Field]]
    KIND: ClassVar[str]
    CHUNK: ClassVar[int]
    SHARD: ClassVar[int]

    def __init__(self, group: zarr.Group, path: Path) -> None:
        self._group, self.path = group, path
        self._rows = int(group.attrs["rows"])  # type: ignore[arg-type]
        self._buffer: dict[str, list[NDArray[Any]]] = {name: [] for name in self.FIELDS}

    @classmethod
    def create(cls, path: Path | str, *, about: Mapping[str, Any] | None = None) -> Self:
        """Make an empty store at a new path; ``about`` describes its content (JSON)."""
        path = Path(path)
        if path.exists():
            do = "Open it, or delete it."
            raise ConfigError(found=f"an existing {path}", expected="a new path for the store", do=do)
        group = zarr.open_group(path, mode="w", zarr_format=3)
        for name, (dtype, shape) in cls.FIELDS.items():
            chunks, shards = (cls.CHUNK, *shape), (cls.SHARD, *shape)
            group.create_array(name, shape=(0, *shape), dtype=dtype, chunks=chunks, shards=shards)
        group.attrs.update({"kind": cls.KIND, "version": 1, "rows": 0, "about": dict(about or {})})
        return cls(group, path)

    @classmethod
    def open(cls, path: Path | str, *, write: bool = False) -> Self:
        """Open a store for reading, or for appending with ``write``."""
        path = Path(path)
        if not (path / "zarr.json").is_file():
            raise ConfigError(
                found=f"no store at {path}",
                expected=f"a {cls.KIND} store (a Zarr 3 group)",
                do="Check the path, or make the store first.",
            )
        group = zarr.open_group(path, mode="r+" if write else "r", zarr_format=3)
        kind = group.attrs.get("kind")
        if kind != cls.KIND or set(cls.FIELDS) - set(group.array_keys()):
            raise ConfigError(
                found=f"a store of kind {kind!r} at {path}",
                expected=f"one of kind {cls.KIND!r} with arrays {', '.join(cls.FIELDS)}",
                do="Give the path of the right store.",
            )
        return cls(group, path)

    @classmethod
    def open_or_create(cls, path: Path | str, *, about: Mapping[str, Any] | None = None) -> Self:
        """Open for appending, or create; an existing store must have the same ``about``."""
        if not Path(path).exists():
            return cls.create(path, about=about)
        store = cls.open(path, write=True)
        if about is not None and store.about != dict(about):
            raise ConfigError(
                found=f"rows of {path} made with {store.about}",
                expected=f"{dict(about)}",
                do="Use the settings of that store, or another path.",
            )
        return store

    @property
    def about(self) -> dict[str, object]:
        """Description of the content."""
        return dict(self._group.attrs.get("about", {}))  # type: ignore[arg-type]

    def __len__(self) -> int:
        """Rows on disk, without those in the buffer."""
        return self._rows

    def append(self, **row: ArrayLike) -> None:
        """Add one row, a value for each field."""
        self.extend(**{name: np.asarray(value)[None] for name, value in row.items()})

    def extend(self, **rows: ArrayLike) -> None:
        """Add n rows, an array [n, ...] for each field; ValueError on another shape or type."""
        if not rows.keys() >= self.FIELDS.keys():
            raise ValueError(f"rows must have {', '.join(self.FIELDS)}, not {', '.join(rows)}")
        arrays = {name: np.asarray(rows[name]) for name in self.FIELDS}
        one_count = len({len(a) for a in arrays.values()}) == 1
        for name, (dtype, shape) in self.FIELDS.items():
            array = arrays[name]
            if array.shape[1:] != shape or not one_count:
                raise ValueError(f"{name} must be [n, {shape}] with one n for all, not {array.shape}")
            if not np.can_cast(array.dtype, dtype, "same_kind"):
                raise ValueError(f"{name} must be {dtype}, not {array.dtype}")
        for name, (dtype, _) in self.FIELDS.items():
            self._buffer[name].append(np.array(arrays[name], dtype))
        if self._rows % self.SHARD + self.pending >= self.SHARD:
            self._write(self.pending - (self._rows + self.pending) % self.SHARD)

    @property
    def pending(self) -> int:
        """Rows in the buffer."""
        return sum(len(a) for a in next(iter(self._buffer.values())))

    def flush(self) -> None:
        """Write every buffered row."""
        self._write(self.pending)

    def _write(self, count: int) -> None:
        if count <= 0:
            return
        end = self._rows + count
        for name, parts in self._buffer.items():
            joined, array = np.concatenate(parts), self._array(name)
            array.resize((end, *array.shape[1:]))
            array[self._rows : end] = joined[:count]
            self._buffer[name] = [joined[count:]]
        self._group.attrs["rows"] = end
        self._rows = end

    def read(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Rows ``start:stop`` of one array, into memory."""
        return np.asarray(self._array(name)[start : min(self._rows if stop is None else stop, self._rows)])

    def _array(self, name: str) -> zarr.Array[Any]:
        array = self._group[name]
        assert isinstance(array, zarr.Array)
        return array

    def load(self, limit: int | None = None) -> RowsT:
        """Read the first ``limit`` rows, or all, into memory."""
        return self.ROWS(**{name: self.read(name, stop=limit) for name in self.FIELDS})

    @classmethod
    def load_all(cls, paths: Sequence[Path], *, limit: int | None = None) -> RowsT:
        """Read several stores, at most ``limit`` rows of each, into memory."""
        return cls.ROWS.join([cls.open(path).load(limit) for path in paths])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.flush()


class PairStore(RowStore[Pairs]):
    """``pairs.zarr``: crops of the bone image and their six curves."""

    ROWS = Pairs
    KIND = "pairs"
    CHUNK, SHARD = 64, 512
    FIELDS: ClassVar[Mapping[str, Field]] = {
        "image": ("uint8", (CROP_SIZE, CROP_SIZE)),
        "curves": ("float32", (6, SPINE_ROWS)),
        "mm_per_px": ("float32", ()),
        "eid": ("int64", ()),
    }


class ScanStore(RowStore[Scans]):
    """``scans.zarr``: whole-body bone images on the canonical grid, spine masks and ends."""

    ROWS = Scans
    KIND = "scans"
    CHUNK, SHARD = 16, 128
    FIELDS: ClassVar[Mapping[str, Field]] = {
        "image": ("uint8", CANONICAL_SHAPE),
        "mask": ("uint8", CANONICAL_SHAPE),
        "ends": ("float32", (2, 2)),
        "eid": ("int64", ()),
    }


load_pairs = PairStore.load_all
load_scans = ScanStore.load_all
