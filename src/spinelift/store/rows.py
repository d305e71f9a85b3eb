"""Training stores: sharded Zarr 3 groups that grow by whole rows.

A store's ``rows`` attribute is written last, after the arrays: rows beyond it belong to an append that was
interrupted. They are not read, and the next append overwrites them. Rows are buffered up to whole shards;
the end of the ``with`` block, or :meth:`RowStore.flush`, writes the rest. Only one process may write.

Every chunk and the attributes have a checksum, and a shard that is missing is an error instead of zeros.
"""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import zarr
from numpy.typing import ArrayLike, NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec

from spinelift.errors import ConfigError, DamagedFileError
from spinelift.geometry import CROP_SIZE, SPINE_ROWS
from spinelift.geometry.canonical import CANONICAL_SHAPE, LATERAL_SHAPE
from spinelift.store.memory import Laterals, Pairs, Rows, Scans

Field = tuple[str, tuple[int, ...]]
VERSION = 2
"""Of the format."""


RowsT = TypeVar("RowsT", bound=Rows)


class RowStore(Generic[RowsT]):
    """Rows on disk; subclasses give their type in memory and the fields, {name: (dtype, shape of a row)}.

    A store may be without the fields of ``OPTIONAL``, {name: value}; every row then has that value.
    """

    ROWS: type[RowsT]
    FIELDS: ClassVar[Mapping[str, Field]]
    OPTIONAL: ClassVar[Mapping[str, object]] = {}
    KIND: ClassVar[str]
    CHUNK: ClassVar[int]
    SHARD: ClassVar[int]

    def __init__(self, group: zarr.Group, path: Path) -> None:
        self._group, self.path = group, path
        self._rows = int(group.attrs["rows"])  # type: ignore[arg-type]
        held: Any = group.attrs.get("optional", [])
        self._fields = {n: f for n, f in self.FIELDS.items() if n not in self.OPTIONAL or n in held}
        self._buffer: dict[str, list[NDArray[Any]]] = {name: [] for name in self._fields}

    @classmethod
    def create(
        cls, path: Path | str, *, about: Mapping[str, Any] | None = None, optional: bool = False
    ) -> Self:
        """Make an empty store at a new path; ``about`` describes its content (JSON).

        It has the fields of ``OPTIONAL`` if ``optional``.
        """
        path = Path(path)
        if path.exists():
            do = "Open it, or delete it."
            raise ConfigError(found=f"an existing {path.name}", expected="a new path for the store", do=do)
        group = zarr.open_group(path, mode="w", zarr_format=3)
        for name, (dtype, shape) in cls.FIELDS.items():
            if name in cls.OPTIONAL and not optional:
                continue
            group.create_array(
                name, shape=(0, *shape), dtype=dtype, chunks=(cls.CHUNK, *shape), shards=(cls.SHARD, *shape),
                compressors=[ZstdCodec(), Crc32cCodec()],
            )  # fmt: skip
        content: dict[str, Any] = {
            "kind": cls.KIND,
            "version": VERSION,
            "rows": 0,
            "about": dict(about or {}),
        }
        if optional and cls.OPTIONAL:
            content["optional"] = sorted(cls.OPTIONAL)
        group.attrs.update({**content, "checksum": _checksum(content)})
        return cls(group, path)

    @classmethod
    def open(cls, path: Path | str, *, write: bool = False) -> Self:
        """Open a store for reading, or for appending with ``write``.

        Raises ConfigError if there is none, or one of another kind or version; DamagedFileError if it was
        changed.
        """
        path = Path(path)
        if not (path / "zarr.json").is_file():
            raise ConfigError(
                found=f"no store {path.name}",
                expected=f"a {cls.KIND} store (a Zarr 3 group)",
                do="Check the path, or make the store first.",
            )
        with _damage(path, "its zarr.json cannot be read"):
            group = zarr.open_group(path, mode="r+" if write else "r", zarr_format=3)
            content = dict(group.attrs)
        kind, version = content.get("kind"), content.get("version")
        if kind != cls.KIND or version != VERSION:
            raise ConfigError(
                found=f"a store of kind {kind!r} and version {version!r} in {path.name}",
                expected=f"one of kind {cls.KIND!r} and version {VERSION}",
                do="Give the path of the right store, or make an old one again.",
            )
        with _damage(path, "its attributes do not fit their checksum"):
            if content.pop("checksum") != _checksum(content):
                raise ValueError
            store = cls(group, path)
        for name, (dtype, shape) in store._fields.items():
            with _damage(path, f"the array {name} is missing or another one"):
                array = store._array(name)
                layout = array.dtype, array.shape[1:], array.chunks, array.shards
                if layout != (np.dtype(dtype), shape, (cls.CHUNK, *shape), (cls.SHARD, *shape)):
                    raise ValueError
                if array.shape[0] < len(store):
                    raise ValueError
        return store

    @classmethod
    def open_or_create(
        cls, path: Path | str, *, about: Mapping[str, Any] | None = None, optional: bool = False
    ) -> Self:
        """Open for appending, or create; an existing store must have the same ``about``."""
        if not Path(path).exists():
            return cls.create(path, about=about, optional=optional)
        store = cls.open(path, write=True)
        if about is not None and store.about != dict(about):
            raise ConfigError(
                found=f"rows of {Path(path).name} made with {store.about}",
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
        """Add n rows, an array [n, ...] for each field; ValueError on another shape or type.

        Fields of ``OPTIONAL`` may be left out, and must have their value if the store is without them.
        """
        if not rows.keys() >= self._fields.keys() - self.OPTIONAL.keys():
            raise ValueError(f"rows must have {', '.join(self._fields)}, not {', '.join(rows)}")
        for name in rows.keys() & (self.FIELDS.keys() - self._fields.keys()):
            if not (np.asarray(rows[name]) == self.OPTIONAL[name]).all():
                raise ValueError(f"a store without {name} takes {self.OPTIONAL[name]} alone")
        count = len(np.asarray(next(iter(rows.values()))))
        arrays = {
            name: np.asarray(rows[name]) if name in rows else self._default(name, count)
            for name in self._fields
        }
        one_count = len({len(a) for a in arrays.values()}) == 1
        for name, (dtype, shape) in self._fields.items():
            array = arrays[name]
            if array.shape[1:] != shape or not one_count:
                raise ValueError(f"{name} must be [n, {shape}] with one n for all, not {array.shape}")
            if not np.can_cast(array.dtype, dtype, "same_kind"):
                raise ValueError(f"{name} must be {dtype}, not {array.dtype}")
        for name, (dtype, _) in self._fields.items():
            self._buffer[name].append(np.array(arrays[name], dtype))
        if self._rows % self.SHARD + self.pending >= self.SHARD:
            self._write(self.pending - (self._rows + self.pending) % self.SHARD)

    def _default(self, name: str, count: int) -> NDArray[Any]:
        dtype, shape = self.FIELDS[name]
        return np.full((count, *shape), self.OPTIONAL[name], dtype)

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
        self._check_shards(self._rows - self._rows % self.SHARD, self._rows)
        for name, parts in self._buffer.items():
            joined = np.concatenate(parts)
            with zarr.config.set({"array.write_empty_chunks": True}):  # a shard of zeros has its file, too
                array = self._array(name)
                array.resize((end, *array.shape[1:]))
                array[self._rows : end] = joined[:count]
            self._buffer[name] = [joined[count:]]
        content = {k: v for k, v in self._group.attrs.items() if k != "checksum"} | {"rows": end}
        self._group.attrs.update({**content, "checksum": _checksum(content)})
        self._rows = end

    def read(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Rows ``start:stop`` of one array, into memory; raises DamagedFileError, which names the rows."""
        stop = self._rows if stop is None else min(stop, self._rows)
        if name not in self._fields:
            return self._default(name, max(0, stop - start))
        self._check_shards(start, stop, [name])
        with _damage(self.path, f"rows {start} to {stop - 1} of {name} do not fit their checksum"):
            return np.asarray(self._array(name)[start:stop])

    def _check_shards(self, start: int, stop: int, names: Sequence[str] | None = None) -> None:
        """Raise DamagedFileError if the file of a shard of rows ``start:stop`` is missing or empty."""
        for name in names or self._fields:
            zeros = ["0"] * len(self.FIELDS[name][1])
            for shard in range(start // self.SHARD, -(-stop // self.SHARD)):
                first, last = shard * self.SHARD, min((shard + 1) * self.SHARD, self._rows) - 1
                file = self.path.joinpath(name, "c", str(shard), *zeros)
                with _damage(self.path, f"rows {first} to {last} of {name} are missing"):
                    if not file.stat().st_size:
                        raise ValueError

    def _array(self, name: str) -> zarr.Array[Any]:
        array = self._group[name]
        assert isinstance(array, zarr.Array)
        return array

    def load(self, limit: int | None = None, *, start: int = 0) -> RowsT:
        """Read the rows from ``start`` to before ``limit``, or to the last one, into memory."""
        return self.ROWS(**{name: self.read(name, start, limit) for name in self.FIELDS})

    @classmethod
    def load_all(cls, paths: Sequence[Path], *, limit: int | None = None) -> RowsT:
        """Read several stores, at most ``limit`` rows of each, into memory."""
        return cls.ROWS.join([cls.open(path).load(limit) for path in paths])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.flush()


def _checksum(content: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(dict(content), sort_keys=True).encode())


@contextmanager
def _damage(path: Path, what: str) -> Iterator[None]:
    """Turn whatever a store's files raise into a DamagedFileError that names the store."""
    try:
        yield
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 (damaged bytes can end anywhere in Zarr and its codecs)
        raise DamagedFileError(
            found=f"a damaged store {path.name}: {what}",
            expected="the store as it was written",
            do="Run the build again (pairs.zarr), or export or simulate it again.",
        ) from None


class PairStore(RowStore[Pairs]):
    """``pairs.zarr``: crops of the bone image, their six curves and, optionally, the rows that are known."""

    ROWS = Pairs
    KIND = "pairs"
    CHUNK, SHARD = 64, 512
    FIELDS: ClassVar[Mapping[str, Field]] = {
        "image": ("uint8", (CROP_SIZE, CROP_SIZE)),
        "curves": ("float32", (6, SPINE_ROWS)),
        "mm_per_px": ("float32", ()),
        "eid": ("int64", ()),
        "valid": ("bool", (SPINE_ROWS,)),
    }
    OPTIONAL: ClassVar[Mapping[str, object]] = {"valid": True}


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


class LateralStore(RowStore[Laterals]):
    """``laterals.zarr``: lateral vertebral views, masks of the column, its ends and centre line."""

    ROWS = Laterals
    KIND = "laterals"
    CHUNK, SHARD = 32, 256
    FIELDS: ClassVar[Mapping[str, Field]] = {
        "image": ("uint8", LATERAL_SHAPE),
        "mask": ("uint8", LATERAL_SHAPE),
        "ends": ("float32", (2, 2)),
        "line": ("float32", (LATERAL_SHAPE[0],)),
        "eid": ("int64", ()),
    }


load_pairs = PairStore.load_all
load_scans = ScanStore.load_all
load_laterals = LateralStore.load_all
