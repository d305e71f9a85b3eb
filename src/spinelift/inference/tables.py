"""``summary`` and ``failed``: what the folder of results holds, whichever run made it.

Only the driver of a run writes them, under a lock of the folder, from the ``run.json`` of every result.
"""

import csv
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

from spinelift.errors import printable
from spinelift.files import (
    csv_text,
    locked,
    make_folder,
    remove_files,
    remove_unfinished,
    write_csv,
    write_whole,
)
from spinelift.inference.outputs import Record, read_record

SUMMARY_CSV, SUMMARY_PARQUET, FAILED_CSV = "summary.csv", "summary.parquet", "failed.csv"
Row = dict[str, Any]
COLUMNS: dict[str, Callable[[Record], Any]] = {
    "scan_id": lambda r: r["scan_id"],
    "status": lambda r: "done",
    "input": lambda r: r.get("input"),
    "file": lambda r: r.get("file"),
    "eid": lambda r: r.get("eid"),
    "instance": lambda r: r.get("instance"),
    "array": lambda r: r.get("array"),
    "input_sha256": lambda r: r.get("input_sha256"),
    "bundle": lambda r: r["bundle"]["name"],
    "bundle_version": lambda r: r["bundle"]["version"],
    "bundle_sha256": lambda r: r["bundle"]["sha256"],
    "spinelift_version": lambda r: r["versions"]["spinelift"],
    "shift_score": lambda r: r.get("shift_score"),
    "confidence": lambda r: r["spine"]["confidence"],
    "screening": lambda r: r["screening"],
    "main_curve": lambda r: r["main_curve"],
    "warnings": lambda r: "; ".join(r["warnings"]),
}
"""Columns of the summary, from ``run.json``; after them comes one for each of its ``measures``."""
WHOLE, NUMBERS = ("eid", "instance", "array"), ("shift_score", "confidence")
"""Columns that hold whole numbers, and numbers as all measures do; the others hold text."""
FAILED_COLUMNS = (
    *("scan_id", "status", "input", "file", "eid", "instance", "array"),
    *("bundle", "bundle_version", "bundle_sha256", "spinelift_version"),
    *("error", "exit_code", "stage", "message"),
)
RESULT_STAYS = ("NoScansError", "OutputError")
"""Errors after which a result of an earlier run stays: the input cannot be read, the new one not written."""
_READERS = 8
_FORMULA = ("=", "+", "-", "@")


def write_tables(out: Path, failed: Sequence[Row], done: Iterable[Row], *, paths: bool = True) -> int:
    """Write the tables of a folder; returns the number of results in it.

    ``failed`` and ``done`` are rows of this run: of the latter only ``scan_id``, ``input`` and ``file``
    matter. Failures of earlier runs stay until their scan is done. Without ``paths`` the column ``input`` is
    empty. The parquet is written where polars is installed, and removed elsewhere.
    """
    make_folder(out)
    with locked(out) as alone:
        if alone:
            remove_unfinished(out)
        rows, measures = summary_rows(_folders(out), paths=paths)
        write_csv(out / SUMMARY_CSV, *_table(rows, measures))
        if find_spec("polars"):
            write_whole(out / SUMMARY_PARQUET, _parquet(rows, measures))
        else:
            remove_files([out / SUMMARY_PARQUET])
        failing = _failing(out, failed, done, {row["scan_id"] for row in rows})
        if failing:
            if not paths:
                failing = [row | {"input": None} for row in failing]
            table = ([_text(row.get(name)) for name in FAILED_COLUMNS] for row in failing)
            write_csv(out / FAILED_CSV, FAILED_COLUMNS, table)
        else:
            remove_files([out / FAILED_CSV])
    return len(rows)


def summary_rows(folders: Iterable[Path], *, paths: bool = True) -> tuple[list[Row], list[str]]:
    """A row for every folder with a result, in their order, and the names of all measures."""
    measures: dict[str, None] = {}
    rows: list[Row] = []
    with ThreadPoolExecutor(_READERS) as threads:
        for record in threads.map(read_record, folders):
            if record is not None and (row := _row(record)) is not None:
                measures |= dict.fromkeys(name for name in row if name not in COLUMNS)
                rows.append(row if paths else row | {"input": None})
    return rows, list(measures)


def summary_csv(folders: Iterable[Path]) -> str:
    """Text of a ``summary.csv`` of results that need not lie in one folder, for a spreadsheet.

    A text that it would take for a formula, such as a file name of somebody else's choice, begins with an
    apostrophe.
    """
    rows, measures = summary_rows(folders)
    safe = [
        {name: f"'{v}" if isinstance(v, str) and v.startswith(_FORMULA) else v for name, v in row.items()}
        for row in rows
    ]
    return csv_text(*_table(safe, measures))


def _folders(out: Path) -> list[Path]:
    return sorted(item for item in out.iterdir() if not item.name.startswith(".") and item.is_dir())


def _table(rows: Iterable[Row], measures: Sequence[str]) -> tuple[Sequence[str], Iterable[Sequence[str]]]:
    header = (*COLUMNS, *measures)
    return header, ([_text(row.get(name)) for name in header] for row in rows)


def _row(record: Record) -> Row | None:
    """Columns and measures of a result; None for a record of another version's form."""
    try:
        row = {name: of(record) for name, of in COLUMNS.items()} | (record.get("measures") or {})
    except (KeyError, TypeError):
        return None
    return row if all(_fits(name, value) for name, value in row.items()) else None


def _fits(name: str, value: Any) -> bool:
    """Whether a value may stand in a column of the summary."""
    if value is None:
        return True
    if name in COLUMNS and name not in (*WHOLE, *NUMBERS):
        return isinstance(value, str) and printable(value) == value
    kinds = (int,) if name in WHOLE else (int, float)
    return type(value) in kinds and (isinstance(value, float) or abs(value) < 2**63)


def _failing(out: Path, failed: Sequence[Row], done: Iterable[Row], results: set[str]) -> list[Row]:
    """Failures of this run, and those of earlier ones whose scan was not tried again."""
    path, earlier = out / FAILED_CSV, []
    if path.is_file():
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            earlier = [row for row in csv.DictReader(file) if {*FAILED_COLUMNS} <= row.keys()]
    tried = [*failed, *done]
    names = {(row["scan_id"], row["file"]) for row in tried}
    inputs = {row["input"] for row in tried if row["input"]}
    kept = [
        row for row in earlier
        if (row["scan_id"], row["file"]) not in names and row["input"] not in inputs
    ]  # fmt: skip
    rows = [row for row in (*failed, *kept) if row["error"] in RESULT_STAYS or row["scan_id"] not in results]
    return sorted(rows, key=lambda row: (row["scan_id"], row["file"] or "", row["input"] or ""))


def _parquet(rows: Sequence[Row], measures: Sequence[str]) -> bytes:
    import polars as pl

    numbers = dict.fromkeys((*NUMBERS, *measures), pl.Float64)
    schema = dict.fromkeys(COLUMNS, pl.String) | dict.fromkeys(WHOLE, pl.Int64) | numbers
    data = BytesIO()
    pl.DataFrame(rows, schema=schema).write_parquet(data)
    return data.getvalue()


def _text(value: Any) -> str:
    """A cell of a CSV: empty for None."""
    if value is None:
        return ""
    return f"{value:.10g}" if isinstance(value, float) else str(value)
