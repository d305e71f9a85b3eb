"""A cohort's own files: parts, manifest, splits and stores, damaged or changed by somebody."""

import io
import json
import shutil
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import polars as pl
from tests.fuzz.case import Case, differs
from tests.fuzz.damage import NUMBERS, damage, mutate_tree, pick
from tests.fuzz.documents import finite

from spinelift.cohort.manifest import MANIFEST, SCHEMA, SPLITS, compact, read_manifest, read_splits
from spinelift.cohort.record import (
    DONE,
    FAILED,
    REJECTED,
    STAGES,
    STATUSES,
    Record,
    all_parts,
    read_part,
    write_part,
)
from spinelift.store.rows import PairStore


@cache
def _store() -> Path:
    """A small store made from eight parts."""
    store = Path(mkdtemp(prefix="spinelift-fuzz-")) / "store"
    for eid in range(1000, 1008):
        write_part(store / "parts", _record(eid))
    compact(store)
    return store


def _record(eid: int) -> Record:
    """Of a made-up visit: most are kept, one is rejected, one failed."""
    rng = np.random.default_rng(eid)
    status = {1006: REJECTED, 1007: FAILED}.get(eid, DONE)
    values = {"mm_per_px": 2.0 + rng.random(), "ferguson_deg": 20 * rng.random(), "iou": rng.random()}
    return Record(
        eid, 2, f"{eid}_20158_2_0.zip", f"{eid}_20201_2_0.zip", "fingerprint", "settings", status,
        {DONE: "curves", REJECTED: "overlap", FAILED: "mri"}[status],
        values=values if status != FAILED else {},
        image=rng.integers(0, 255, (224, 224), dtype=np.uint8),
        curves=rng.random((6, 209), np.float32) if status == DONE else None,
        outlines=np.zeros((2, 224, 28), np.uint8),
    )  # fmt: skip


def part(rng: np.random.Generator, folder: Path) -> Case:
    """A part: its zip has checksums, so damage changes nothing, or is refused."""
    source = pick(rng, all_parts(_store() / "parts"))
    data, path = source.read_bytes(), folder / source.name
    what = pick(rng, ("same", "bytes", "bytes", "record", "record", "array", "pickle", "bomb"))
    check = partial(_same_record, expected=read_part(source)) if what in ("same", "bytes") else _sound_record
    with np.load(io.BytesIO(data)) as held:
        arrays: dict[str, Any] = {name: held[name] for name in held.files}
    match what:
        case "bytes":
            path.write_bytes(damage(rng, data, data[::-1]))
        case "record":
            document = mutate_tree(rng, json.loads(arrays["record"].tobytes()))
            arrays["record"] = np.frombuffer(json.dumps(document).encode(), np.uint8)
        case "array":
            name = pick(rng, list(arrays))
            curves = np.full((6, 209), pick(rng, NUMBERS), np.float32)
            bad = (np.zeros(3), np.zeros((0, 224)), curves, np.array("text"), np.zeros((224, 224), np.int64))
            arrays[name] = pick(rng, bad)
        case "pickle":
            arrays[pick(rng, list(arrays))] = np.array([{"an": "object"}], object)
        case "bomb":
            arrays["image"] = np.zeros((int(rng.integers(1000, 30_000)), 20_000), np.uint8)
    if what == "same":
        path.write_bytes(data)
    elif what != "bytes":
        with path.open("wb") as file:
            (np.savez if what == "pickle" else np.savez_compressed)(file, **arrays)
    return Case(f"part: {what}", partial(read_part, path), check, must_read=what == "same")


def _sound_record(record: Record) -> str:
    if record.status not in STATUSES or record.stage not in STAGES:
        return f"a record of status {record.status!r}, stage {record.stage!r}"
    if not (isinstance(record.eid, int) and isinstance(record.instance, int)):
        return "a record of nobody"
    forms = {
        "image": ((224, 224), np.uint8),
        "curves": ((6, 209), np.float32),
        "outlines": ((2, 224, 28), np.uint8),
    }
    for name, (shape, kind) in forms.items():
        array = getattr(record, name)
        if array is not None and (
            array.shape != shape or array.dtype != kind or not np.isfinite(array).all()
        ):
            return f"{name} of shape {array.shape} and type {array.dtype}, or not finite"
    return finite(record.values)


def _same_record(record: Record, expected: Record) -> str:
    arrays = ("image", "curves", "outlines")
    for name in arrays:
        one, other = getattr(record, name), getattr(expected, name)
        if (one is None) != (other is None) or (one is not None and differs(name, one, other)):
            return f"{name} differs"
    plain = [{k: v for k, v in vars(r).items() if k not in arrays} for r in (record, expected)]
    return "" if plain[0] == plain[1] else "a record that differs"


def manifest(rng: np.random.Generator, folder: Path) -> Case:
    """The manifest or the splits of a store."""
    store = folder / "store"
    shutil.copytree(_store(), store, ignore=shutil.ignore_patterns("parts"))
    if rng.random() < 0.4:
        path, text = store / SPLITS, (store / SPLITS).read_text()
        broken = damage(rng, text.encode(), text.encode()[::-1])
        changed = json.dumps(mutate_tree(rng, json.loads(text))).encode()
        path.write_bytes(pick(rng, (broken, changed, changed, b"", b"[" * 100_000)))
        return Case("splits", partial(read_splits, store), _sound_splits)
    path, data = store / MANIFEST, (store / MANIFEST).read_bytes()
    frame = pl.read_parquet(path)
    what = pick(rng, ("same", "bytes", "bytes", "column", "type", "rows", "empty"))
    match what:
        case "bytes":
            path.write_bytes(damage(rng, data, data[::-1], pick(rng, (None, 400))))
        case "column":
            frame.drop(pick(rng, frame.columns)).write_parquet(path)
        case "type":
            name = pick(rng, frame.columns)
            frame.with_columns(pl.lit(pick(rng, ("x", 1.5, None, True))).alias(name)).write_parquet(path)
        case "rows":
            pl.concat([frame, frame]).write_parquet(path)
        case "empty":
            path.write_bytes(b"")
    same = what == "same"
    return Case(f"manifest: {what}", partial(read_manifest, store), _sound_manifest, must_read=same)


def _sound_splits(places: dict[int, Any]) -> str:
    sound = all(p.split in ("train", "val", "test") and p.fold in range(5) for p in places.values())
    return "" if sound else "places that do not exist"


def _sound_manifest(frame: pl.DataFrame) -> str:
    wrong = [name for name, kind in SCHEMA.items() if frame.schema.get(name) != kind]
    return f"columns that are missing or of another type: {wrong}" if wrong else ""


def store(rng: np.random.Generator, folder: Path) -> Case:
    """A Zarr store with damaged, missing or foreign files: its rows are as they were, or refused."""
    source = _store() / "pairs.zarr"
    path = folder / "pairs.zarr"
    shutil.copytree(source, path)
    files = sorted(p for p in path.rglob("*") if p.is_file())
    chosen = pick(rng, files)
    what = pick(rng, ("same", "bytes", "bytes", "missing", "json", "json", "swap"))
    match what:
        case "bytes":
            chosen.write_bytes(damage(rng, chosen.read_bytes(), pick(rng, files).read_bytes()))
        case "missing":
            chosen.unlink()
        case "json":
            chosen = pick(rng, [p for p in files if p.name == "zarr.json"])
            chosen.write_text(json.dumps(mutate_tree(rng, json.loads(chosen.read_text()))))
        case "swap":
            other = pick(rng, [p for p in files if p.name == chosen.name])
            chosen.write_bytes(other.read_bytes())
    return Case(f"store: {what} {chosen.relative_to(path)}", partial(_rows, path), _same_rows, what == "same")


def _rows(path: Path) -> dict[str, np.ndarray]:
    return vars(PairStore.open(path).load())


@cache
def _whole_rows() -> dict[str, np.ndarray]:
    return _rows(_store() / "pairs.zarr")


def _same_rows(rows: dict[str, np.ndarray]) -> str:
    return next(filter(None, (differs(k, rows[k], v) for k, v in _whole_rows().items())), "")


def remove_shared() -> None:
    """Remove the folder of the shared store."""
    shutil.rmtree(_store().parent, ignore_errors=True)
