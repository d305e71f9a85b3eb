"""The files of one result: ``OUT/<scan_id>/curves.json, curves.csv, run.json`` and, if asked, pictures."""

import re
from pathlib import Path
from typing import Protocol

from spinelift.errors import ConfigError
from spinelift.files import make_folder, remove_files, write_json, write_whole

CURVES_JSON, CURVES_CSV, RUN_JSON = "curves.json", "curves.csv", "run.json"

_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


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
    """``OUT/<scan_id>``, refused when the pseudonym is no plain name."""
    if not _SAFE_ID.fullmatch(scan_id):
        expected = "letters, digits, dots, dashes and underscores"
        raise ConfigError(found=f"a scan id {scan_id!r}", expected=expected, do="Rename the scan.")
    return out / scan_id


def write_result(
    prediction: Result,
    out: Path,
    *,
    pictures: dict[str, bytes] | None = None,
    stale: tuple[str, ...] = (),
    threads: int | None = None,
    timings_ms: dict[str, float] | None = None,
) -> Path:
    """Write ``OUT/<scan_id>`` and return it; ``run.json`` comes last, so its presence means all is there.

    ``stale`` names the pictures of an earlier run that are removed when they are not written again.
    """
    folder = result_folder(out, prediction.scan_id)
    make_folder(folder)
    files: dict[str, bytes | str] = {**(pictures or {})}
    files |= {CURVES_JSON: prediction.curves_json(), CURVES_CSV: prediction.curves_csv()}
    remove_files(folder / name for name in (RUN_JSON, *stale) if name not in files)
    for name, data in files.items():
        write_whole(folder / name, data)
    record = prediction.run_record(threads=threads, timings_ms=timings_ms)
    write_json(folder / RUN_JSON, {**record, "files": sorted(files)})
    return folder
