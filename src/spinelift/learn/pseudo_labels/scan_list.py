"""Archives of DXA scans as one store of whole bodies, without labels."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spinelift.errors import SpineliftError
from spinelift.files import make_folder, write_csv
from spinelift.geometry.canonical import CANONICAL_SHAPE, CanonicalGrid
from spinelift.io import read_dxa
from spinelift.io.dxa.discover import find_scans
from spinelift.learn.loop.checkpoint import read_rows
from spinelift.progress import Advance
from spinelift.store.rows import ScanStore

STORE, NAMES, FAILED = "scans.zarr", "scans.csv", "failed.csv"
_COLUMNS = ("row", "scan", "file", "cause")


class Stored(NamedTuple):
    """Path of the store, and numbers of scans that were read, now or before, and that failed."""

    path: Path
    read: int
    failed: int


def is_store(path: Path) -> bool:
    """Whether a path is a store rather than archives."""
    return (path / "zarr.json").is_file()


def store_archives(paths: Sequence[Path], folder: Path, *, advance: Advance) -> Stored:
    """Read DXA archives (files or folders of them) into ``folder/scans.zarr``.

    ``scans.csv`` names the scan of each row, ``failed.csv`` each scan that cannot be read, with its cause.
    A second call adds new scans. The ``eid`` of a row is its number: the name is in the table. ``advance`` is
    called with the number of scans read.
    """
    make_folder(folder)
    store = ScanStore.open_or_create(folder / STORE, about={"scans": "archives"})
    names, failed = read_rows(folder / NAMES)[: len(store)], read_rows(folder / FAILED)
    _write(folder / NAMES, names)  # without those that are named but not stored
    known = {row["file"] for row in (*names, *failed)}
    empty = np.zeros(CANONICAL_SHAPE, np.uint8)
    with store:
        for path in find_scans(paths):
            if str(path) in known:
                continue
            try:
                scan = read_dxa(path)
            except SpineliftError as error:
                failed.append({"row": "", "scan": "", "file": str(path), "cause": str(error)})
                _add(folder / FAILED, failed[-1])
                continue
            rows, cols = scan.bone.shape
            pixels = CanonicalGrid(scan.spacing, (rows, cols)).resample(scan.bone)
            image = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
            names.append({"row": str(len(names)), "scan": scan.scan_id, "file": str(path), "cause": ""})
            _add(folder / NAMES, names[-1])
            store.append(image=image, mask=empty, ends=np.zeros((2, 2), np.float32), eid=len(names) - 1)
            advance(1)
    return Stored(folder / STORE, len(names), len(failed))


def _add(path: Path, row: dict[str, str]) -> None:
    if not path.exists():
        _write(path, [])
    with path.open("a", newline="", encoding="utf-8") as file:
        csv.DictWriter(file, _COLUMNS, lineterminator="\n").writerow(row)


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    write_csv(path, _COLUMNS, [[row[name] for name in _COLUMNS] for row in rows])
