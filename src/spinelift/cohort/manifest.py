"""``cohort.parquet`` and ``pairs.zarr`` from the parts."""

import json
from dataclasses import astuple
from pathlib import Path
from typing import Any

import polars as pl

from spinelift.cohort.record import DONE, STAGES, Record, all_parts, read_part
from spinelift.cohort.splits import Place, deal
from spinelift.errors import NoScansError
from spinelift.files import whole_file, whole_folder, write_whole
from spinelift.measures import SCOLIOSIS_DEG
from spinelift.store.rows import PairStore

PARTS, PAIRS = "parts", "pairs.zarr"
MANIFEST, TIMES, SPLITS = "cohort.parquet", "times.parquet", "splits.json"
VALUES = (
    "rotation_deg", "dx_mm", "dz_mm", "iou", "iou_before", "iou_stage1", "rotation_deg_stage1",
    "dx_mm_stage1", "dz_mm_stage1", "mm_per_px", "confidence", "ferguson_deg",
)  # fmt: skip
SCHEMA: dict[str, Any] = {
    "eid": pl.Int64, "instance": pl.Int32, "dxa_path": pl.String, "mri_path": pl.String,
    **{f"stage_{s}": pl.String for s in STAGES},
    "status": pl.String, "stage": pl.String, "error": pl.String, "message": pl.String,
    **dict.fromkeys(VALUES, pl.Float64),
    "kept": pl.Boolean, "scoliosis": pl.Boolean, "split": pl.String, "fold": pl.Int32, "row": pl.Int64,
    "warnings": pl.String, "findings": pl.String, "dxa_sha256": pl.String, "mri_sha256": pl.String,
    "settings": pl.String,
}  # fmt: skip


def compact(store: Path) -> pl.DataFrame:
    """Make the manifest, the splits and the store of pairs from the parts; returns the manifest.

    The same parts and the same earlier splits give the same bytes. Each file is replaced whole. People
    without parts lose their place; that of the others does not move.
    """
    rows, times = [], []
    for path in all_parts(store / PARTS):
        record = read_part(path, arrays=False)
        rows.append(_row(record))
        times.append({"eid": record.eid, "instance": record.instance, **record.seconds})
    present = {row["eid"] for row in rows}
    before = {eid: place for eid, place in read_splits(store).items() if eid in present}
    people: dict[int, bool] = {}
    for row in rows:
        if row["kept"]:
            people[row["eid"]] = people.get(row["eid"], False) or row["scoliosis"]
    places = deal(people, before)
    kept = 0
    for row in rows:
        if row["kept"]:
            place = places[row["eid"]]
            row |= {"split": place.split, "fold": place.fold, "row": kept}
            kept += 1
    _write_pairs(store, kept)
    write_whole(store / SPLITS, json.dumps({eid: astuple(place) for eid, place in sorted(places.items())}))
    frame = pl.DataFrame(rows, schema=SCHEMA)
    for name, table in ((TIMES, pl.DataFrame(times, infer_schema_length=None)), (MANIFEST, frame)):
        with whole_file(store / name) as file:
            table.write_parquet(file)
    return frame


def _row(record: Record) -> dict[str, Any]:
    kept = record.status == DONE
    return {
        **{name: value for name, value in vars(record).items() if name in SCHEMA},
        **{f"stage_{s}": record.stage_status(s) for s in STAGES},
        **{name: record.values.get(name) for name in VALUES},
        "dxa_path": record.dxa_name,
        "mri_path": record.mri_name,
        "kept": kept,
        "scoliosis": bool(record.values["ferguson_deg"] >= SCOLIOSIS_DEG) if kept else None,
        "warnings": "; ".join(record.warnings),
        "findings": json.dumps(record.findings),
    }


def _write_pairs(store: Path, kept: int) -> None:
    """Write the kept pairs into a new store and replace the old one by it."""
    about = {"cohort": "built by spinelift cohort build", "pairs": kept}
    with whole_folder(store / PAIRS) as new, PairStore.create(new, about=about) as pairs:
        for path in all_parts(store / PARTS):
            record = read_part(path)
            if record.image is not None and record.curves is not None and record.status == DONE:
                size = record.values["mm_per_px"]
                pairs.append(image=record.image, curves=record.curves, mm_per_px=size, eid=record.eid)


def read_splits(store: Path) -> dict[int, Place]:
    """Splits of an earlier build, by person."""
    path = store / SPLITS
    if not path.is_file():
        return {}
    document: dict[str, list[Any]] = json.loads(path.read_text(encoding="utf-8"))
    return {int(eid): Place(*place) for eid, place in document.items()}


def read_manifest(store: Path) -> pl.DataFrame:
    """The manifest of a store; raises NoScansError if there is none."""
    if not (store / MANIFEST).is_file():
        raise NoScansError(
            found=f"no {MANIFEST} in {store}",
            expected="a store made by `spinelift cohort build`",
            do="Build it, or run an interrupted build again.",
        )
    return pl.read_parquet(store / MANIFEST)
