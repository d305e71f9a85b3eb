"""Training stores: sharded Zarr 3 groups that grow by whole rows.

A store's ``rows`` attribute is written last, after the arrays: rows beyond it are the rest of an append
that was cut short. They are not read, and the next append writes over them. Appending is buffered up to
whole shards; leave the ``with`` block, or call :meth:`flush`, to write what is left. One writer at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np
import zarr
from numpy.typing import ArrayLike, NDArray

from spinelift.errors import ConfigError
from spinelift.geometry import CROP_SIZE, SPINE_ROWS
from spinelift.geometry.canonical import CANONICAL_SHAPE

Field = tuple[str, tuple[int, ...]]


class RowStore:
    """Arrays of equal length on disk; subclasses name the fields as {name: (dtype, shape of one row)}."""

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
        """Make an empty store at a path that does not exist yet; ``about`` says what is in it (JSON)."""
        path = Path(path)
        if path.exists():
            raise ConfigError(
                found=f"that {path} exists", expected="a new path for the store", do="Open it, or delete it."
            )
        group = zarr.open_group(path, mode="w", zarr_format=3)
        for name, (dtype, shape) in cls.FIELDS.items():
            group.create_array(
                name,
                shape=(0, *shape),
                dtype=dtype,
                chunks=(cls.CHUNK, *shape),
                shards=(cls.SHARD, *shape),
            )
        group.attrs.update({"kind": cls.KIND, "version": 1, "rows": 0, "about": dict(about or {})})
        return cls(group, path)

    @classmethod
    def open(cls, path: Path | str, *, write: bool = False) -> Self:
        """Open a store to read, or to append to."""
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
        """Open to append, or create where nothing is; refused if the store says otherwise about itself."""
        if not Path(path).exists():
            return cls.create(path, about=about)
        store = cls.open(path, write=True)
        if about is not None and store.about != dict(about):
            raise ConfigError(
                found=f"that the rows of {path} were made with {store.about}",
                expected=f"{dict(about)}",
                do="Give the settings of that store, or another path.",
            )
        return store

    @property
    def about(self) -> dict[str, Any]:
        """What the maker of the store said about it."""
        about = self._group.attrs.get("about", {})
        return dict(about) if isinstance(about, Mapping) else {}

    def __len__(self) -> int:
        """Rows on disk; those still in the buffer do not count."""
        return self._rows

    def _extend(self, rows: Mapping[str, ArrayLike]) -> None:
        arrays = {name: np.asarray(value) for name, value in rows.items()}
        counts = {len(a) for a in arrays.values()}
        for name, (dtype, shape) in self.FIELDS.items():
            array = arrays[name]
            if array.shape[1:] != shape or len(counts) != 1:
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
            joined = np.concatenate(parts)
            array = self._group[name]
            assert isinstance(array, zarr.Array)
            array.resize((end, *array.shape[1:]))
            array[self._rows : end] = joined[:count]
            self._buffer[name] = [joined[count:]]
        self._group.attrs["rows"] = end
        self._rows = end

    def read(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Rows ``start:stop`` of one array, into memory."""
        array = self._group[name]
        assert isinstance(array, zarr.Array)
        return np.asarray(array[start : min(self._rows if stop is None else stop, self._rows)])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flush()


@dataclass(frozen=True)
class Pairs:
    """Crops and curves in memory.

    ``image`` uint8 [n, 224, 224]; ``curves`` float32 [n, 6, 209] in crop px; ``mm_per_px`` float32 [n];
    ``eid`` int64 [n].
    """

    image: NDArray[np.uint8]
    curves: NDArray[np.float32]
    mm_per_px: NDArray[np.float32]
    eid: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.image)


class PairStore(RowStore):
    """``pairs.zarr``: crops of the bone image and their six curves."""

    KIND = "pairs"
    CHUNK, SHARD = 64, 512
    FIELDS: ClassVar[Mapping[str, Field]] = {
        "image": ("uint8", (CROP_SIZE, CROP_SIZE)),
        "curves": ("float32", (6, SPINE_ROWS)),
        "mm_per_px": ("float32", ()),
        "eid": ("int64", ()),
    }

    def append(self, *, image: ArrayLike, curves: ArrayLike, mm_per_px: float, eid: int) -> None:
        """Add one person: image [224, 224] 0..255, curves [6, 209] crop px."""
        self._extend(_one(image=image, curves=curves, mm_per_px=mm_per_px, eid=eid))

    def extend(self, *, image: ArrayLike, curves: ArrayLike, mm_per_px: ArrayLike, eid: ArrayLike) -> None:
        """Add n people: arrays with n first."""
        self._extend({"image": image, "curves": curves, "mm_per_px": mm_per_px, "eid": eid})

    def load(self, limit: int | None = None) -> Pairs:
        """Read the first ``limit`` rows, or all, into memory."""
        return Pairs(**{name: self.read(name, stop=limit) for name in self.FIELDS})


@dataclass(frozen=True)
class Scans:
    """Whole bodies in memory.

    ``image`` uint8 [n, 832, 320] on the canonical grid; ``mask`` uint8 0/1 of the same shape; ``ends``
    float32 [n, 2, 2]: (row, col) of T1's upper and of L5's lower endplate in canonical px; ``eid`` int64 [n].
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    ends: NDArray[np.float32]
    eid: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.image)


class ScanStore(RowStore):
    """``scans.zarr``: whole-body bone images on the canonical grid, spine masks and ends."""

    KIND = "scans"
    CHUNK, SHARD = 16, 128
    FIELDS: ClassVar[Mapping[str, Field]] = {
        "image": ("uint8", CANONICAL_SHAPE),
        "mask": ("uint8", CANONICAL_SHAPE),
        "ends": ("float32", (2, 2)),
        "eid": ("int64", ()),
    }

    def append(self, *, image: ArrayLike, mask: ArrayLike, ends: ArrayLike, eid: int) -> None:
        """Add one person: image and mask [832, 320], ends [2, 2] (row, col)."""
        self._extend(_one(image=image, mask=mask, ends=ends, eid=eid))

    def extend(self, *, image: ArrayLike, mask: ArrayLike, ends: ArrayLike, eid: ArrayLike) -> None:
        """Add n people: arrays with n first."""
        self._extend({"image": image, "mask": mask, "ends": ends, "eid": eid})

    def load(self, limit: int | None = None) -> Scans:
        """Read the first ``limit`` rows, or all, into memory."""
        return Scans(**{name: self.read(name, stop=limit) for name in self.FIELDS})


def load_pairs(paths: Sequence[Path], *, limit: int | None = None) -> Pairs:
    """All pairs of several stores, at most ``limit`` of each, in one piece of memory."""
    parts = [PairStore.open(p).load(limit) for p in paths]
    return Pairs(**{name: _join([getattr(p, name) for p in parts]) for name in PairStore.FIELDS})


def load_scans(paths: Sequence[Path], *, limit: int | None = None) -> Scans:
    """All scans of several stores, at most ``limit`` of each, in one piece of memory."""
    parts = [ScanStore.open(p).load(limit) for p in paths]
    return Scans(**{name: _join([getattr(p, name) for p in parts]) for name in ScanStore.FIELDS})


def _one(**row: ArrayLike) -> dict[str, NDArray[Any]]:
    return {name: np.asarray(value)[None] for name, value in row.items()}


def _join(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
