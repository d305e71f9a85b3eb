"""The files of one result: ``OUT/<scan_id>/curves.json, curves.csv, run.json`` and, if asked, pictures."""

import json
import re
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Protocol

from spinelift.errors import ConfigError
from spinelift.files import json_bytes, locked, make_folder, remove_files, remove_unfinished, whole_file
from spinelift.io.dxa.discover import RESULT_MARK
from spinelift.report import DICOM_NAMES, FIGURE_FORMATS, PAGE_PDF, picture_names

CURVES_JSON, CURVES_CSV, RUN_JSON = RESULT_MARK, "curves.csv", "run.json"
MASK_PNG, MASK_NIFTI = "mask.png", "mask.nii.gz"
OPTIONAL = (*picture_names(FIGURE_FORMATS), PAGE_PDF, MASK_PNG, MASK_NIFTI, *DICOM_NAMES)
"""Files of a result that are written if asked."""
RUN_FORMAT = 2
"""Of ``run.json``; a result of another one is made again."""

_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
Record = dict[str, Any]
"""Content of a ``run.json``."""


class Result(Protocol):
    """What is written of a prediction, which stands above this module."""

    @property
    def scan_id(self) -> str: ...  # noqa: D102
    def curves_json(self) -> str: ...  # noqa: D102
    def curves_csv(self) -> str: ...  # noqa: D102
    def run_record(  # noqa: D102
        self, *, threads: int | None, timings_ms: dict[str, float] | None
    ) -> dict[str, object]: ...


def result_folder(out: Path, scan_id: str) -> Path:
    """``OUT/<scan_id>``, refused when the id is no plain name."""
    if not _SAFE_ID.fullmatch(scan_id):
        expected = "letters, digits, dots, dashes and underscores"
        raise ConfigError(found=f"a scan id {scan_id!r}", expected=expected, do="Rename the scan.")
    return out / scan_id


def write_result(
    prediction: Result,
    out: Path,
    *,
    extra: Mapping[str, bytes] | None = None,
    threads: int | None = None,
    timings_ms: dict[str, float] | None = None,
    about: Record | None = None,
) -> Path:
    """Write ``OUT/<scan_id>`` and return it; ``run.json`` comes last, so its presence means all is there.

    A result of an earlier run is replaced once all files could be written, and stays if one could not.

    ``extra``: those of the ``OPTIONAL`` files that are wanted; others of an earlier run are removed.
    ``about``: what ``run.json`` says besides, of the scan's file and the options.
    """
    folder = result_folder(out, prediction.scan_id)
    make_folder(folder)
    files: dict[str, bytes] = {CURVES_JSON: prediction.curves_json().encode()}
    files |= {CURVES_CSV: prediction.curves_csv().encode(), **(extra or {})}
    record = {"format": RUN_FORMAT, **(about or {})}
    record |= prediction.run_record(threads=threads, timings_ms=timings_ms)
    record["files"] = {name: len(files[name]) for name in sorted(files)}
    with locked(folder) as alone:
        if alone:
            remove_unfinished(folder)
        # The last one to be opened replaces its target first: curves.json marks the folder as a result,
        # whose pictures are no scans, and run.json shows that all is there.
        with ExitStack() as stack:
            write = [(RUN_JSON, json_bytes(record)), *reversed(files.items())]
            for name, data in write:
                file = stack.enter_context(whole_file(folder / name))
                file.write(data)
                file.flush()
            remove_files(folder / name for name in (RUN_JSON, *OPTIONAL) if name not in files)
    return folder


def read_record(folder: Path) -> Record | None:
    """``run.json`` of a result folder; None if there is none, or no whole one."""
    try:
        record = json.loads((folder / RUN_JSON).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and record.get("scan_id") == folder.name else None


def is_whole(folder: Path, record: Record, wanted: tuple[str, ...]) -> bool:
    """Whether every file of a record is in the folder with its size, the ``wanted`` ones among them."""
    files = record.get("files")
    if not isinstance(files, dict) or not {CURVES_JSON, CURVES_CSV, *wanted} <= files.keys():
        return False
    try:
        return all((folder / name).stat().st_size == size for name, size in files.items())
    except OSError:
        return False


def remove_result(folder: Path) -> bool:
    """Remove a result's files, and its folder unless something else is in it; whether there was a result."""
    there = (folder / RUN_JSON).exists()
    if folder.is_dir():
        remove_files(folder / name for name in (RUN_JSON, *OPTIONAL, CURVES_CSV, CURVES_JSON))
        remove_unfinished(folder)
        with suppress(OSError):
            folder.rmdir()
    return there
