"""``cohort.parquet`` and ``pairs.zarr`` from the parts."""

import hashlib
import json
from dataclasses import astuple
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from spinelift.align.match import CentreLines
from spinelift.cohort.match import match_pairs
from spinelift.cohort.record import DONE, STAGES, Record, all_parts, read_part
from spinelift.cohort.splits import Place, deal
from spinelift.errors import NoScansError
from spinelift.files import UNSEALED, damaged, file_sha256, read_sealed, seal, whole_folder, write_whole
from spinelift.measures import SCOLIOSIS_DEG
from spinelift.store.rows import PairStore

PARTS, PAIRS = "parts", "pairs.zarr"
MANIFEST, TIMES, SPLITS = "cohort.parquet", "times.parquet", "splits.json"
BUILD_AGAIN = "Run `spinelift cohort build` again: it makes this file again from the parts."
VALUES = (
    "rotation_deg", "dx_mm", "dz_mm", "iou", "iou_before", "iou_stage1", "rotation_deg_stage1",
    "dx_mm_stage1", "dz_mm_stage1", "mm_per_px", "confidence", "ferguson_deg",
)  # fmt: skip
SCHEMA: dict[str, Any] = {
    "eid": pl.Int64, "instance": pl.Int32, "dxa_path": pl.String, "mri_path": pl.String,
    **{f"stage_{s}": pl.String for s in STAGES},
    "status": pl.String, "stage": pl.String, "error": pl.String, "message": pl.String,
    **dict.fromkeys(VALUES, pl.Float64), "pair_match": pl.Float64, "pair_match_rank": pl.Int32,
    "kept": pl.Boolean, "scoliosis": pl.Boolean, "split": pl.String, "fold": pl.Int32, "row": pl.Int64,
    "warnings": pl.String, "findings": pl.String, "dxa_sha256": pl.String, "mri_sha256": pl.String,
    "settings": pl.String,
}  # fmt: skip


def compact(store: Path) -> pl.DataFrame:
    """Make the manifest, the splits and the store of pairs from the parts; returns the manifest.

    The same parts and the same earlier splits give the same bytes. Each file is replaced whole. People
    without parts lose their place; that of the others does not move.
    """
    records = [read_part(path, arrays=["lines"]) for path in all_parts(store / PARTS)]
    rows = [_row(record) for record in records]
    _add_matches(records, rows)
    times = [{"eid": record.eid, "instance": record.instance, **record.seconds} for record in records]
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
    frame = pl.DataFrame(rows, schema=SCHEMA)
    manifest = table_bytes(frame)
    _write_pairs(store, {"pairs": kept, "manifest": hashlib.sha256(manifest).hexdigest()})
    write_sealed_json(store / SPLITS, {str(eid): astuple(place) for eid, place in sorted(places.items())})
    write_whole(store / TIMES, table_bytes(pl.DataFrame(times, infer_schema_length=None)))
    write_whole(store / MANIFEST, manifest)
    return frame


def _add_matches(records: list[Record], rows: list[dict[str, Any]]) -> None:
    """How well the pairs that were aligned fit each other, compared with other people."""
    found = {k: record.lines for k, record in enumerate(records) if record.lines is not None}
    if not found:
        return
    aligned, lines = list(found), np.stack(list(found.values()))
    heights = [[records[k].values[f"{side}_height_mm"] for k in aligned] for side in ("dxa", "mri")]
    sides = (CentreLines(lines[:, k], np.array(heights[k])) for k in (0, 1))
    for k, match in zip(aligned, match_pairs([records[k].eid for k in aligned], *sides), strict=True):
        if (share := match.share) is not None:
            rows[k] |= {"pair_match": round(share, 5), "pair_match_rank": match.better + 1}
        if rows[k]["kept"] and match.warning:
            rows[k]["warnings"] = "; ".join(filter(None, (rows[k]["warnings"], match.warning)))


def table_bytes(frame: pl.DataFrame) -> bytes:
    """A table as Parquet with a checksum."""
    file = BytesIO()
    frame.write_parquet(file, metadata={"checksum": UNSEALED.decode()})
    return seal(file.getvalue())


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


def _write_pairs(store: Path, about: dict[str, Any]) -> None:
    """Write the kept pairs into a new store and replace the old one by it."""
    about = {"cohort": "built by spinelift cohort build", **about}
    with whole_folder(store / PAIRS) as new, PairStore.create(new, about=about) as pairs:
        for path in all_parts(store / PARTS):
            record = read_part(path, arrays=["image", "curves"])
            if record.image is not None and record.curves is not None and record.status == DONE:
                size = record.values["mm_per_px"]
                pairs.append(image=record.image, curves=record.curves, mm_per_px=size, eid=record.eid)


def write_sealed_json(path: Path, content: object) -> None:
    """Write JSON with a checksum."""
    write_whole(path, seal(json.dumps({"checksum": UNSEALED.decode(), "content": content}).encode()))


def read_sealed_json(path: Path, *, do: str) -> Any:
    """Content of :func:`write_sealed_json`; DamagedFileError with this ``do`` if it was changed."""
    return json.loads(read_sealed(path, do=do))["content"]


def read_splits(store: Path) -> dict[int, Place]:
    """Splits of an earlier build, by person; DamagedFileError if the file was changed."""
    path = store / SPLITS
    if not path.is_file():
        return {}
    do = "Restore it from a copy. Without one, delete it and build again; people may then change their split."
    document: dict[str, list[Any]] = read_sealed_json(path, do=do)
    return {int(eid): Place(*place) for eid, place in document.items()}


def read_table(path: Path) -> pl.DataFrame:
    """A table of a store; DamagedFileError if it is missing or was changed."""
    return pl.read_parquet(read_sealed(path, do=BUILD_AGAIN))


def read_manifest(store: Path) -> pl.DataFrame:
    """The manifest of a store, checked against the store of pairs.

    Raises NoScansError if there is none, DamagedFileError if it was changed or is of another build.
    """
    return read_checked(store)[0]


def read_checked(store: Path) -> tuple[pl.DataFrame, PairStore]:
    """The manifest and the pairs of a store, checked as by :func:`read_manifest`."""
    path = store / MANIFEST
    if not path.is_file():
        raise NoScansError(
            found=f"no {MANIFEST} in {store.name}",
            expected="a store made by `spinelift cohort build`",
            do="Build it, or run an interrupted build again.",
        )
    manifest, pairs = read_table(path), PairStore.open(store / PAIRS)
    if dict(manifest.schema) != SCHEMA:
        raise damaged(path, "written by another version", BUILD_AGAIN)
    digest, kept = file_sha256(path), manifest["kept"].sum()
    if (pairs.about.get("manifest"), len(pairs)) != (digest, kept):
        raise damaged(path, f"{PAIRS} is of another build", BUILD_AGAIN)
    if pairs.read("eid").tolist() != manifest.filter(pl.col("kept"))["eid"].to_list():
        raise damaged(path, f"{PAIRS} holds other people", BUILD_AGAIN)
    return manifest, pairs
