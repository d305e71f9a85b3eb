"""The files of one result: ``OUT/<scan_id>/curves.json, curves.csv, run.json`` and, if asked, pictures."""

import platform
import re
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnxruntime

from spinelift.errors import ConfigError
from spinelift.files import make_folder, remove_files, write_json, write_whole
from spinelift.inference.prediction import Prediction
from spinelift.io.dxa.scan import DxaScan
from spinelift.version import __version__

CURVES_JSON, CURVES_CSV, RUN_JSON = "curves.json", "curves.csv", "run.json"

PictureWriter = Callable[[Prediction, DxaScan], dict[str, bytes]]
"""Makes the pictures of a result: their bytes by file name."""

_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def result_folder(out: Path, scan_id: str) -> Path:
    """``OUT/<scan_id>``, refused when the pseudonym is no plain name."""
    if not _SAFE_ID.fullmatch(scan_id):
        expected = "letters, digits, dots, dashes and underscores"
        raise ConfigError(found=f"a scan id {scan_id!r}", expected=expected, do="Rename the scan.")
    return out / scan_id


def write_result(
    prediction: Prediction,
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
    record = run_record(prediction, threads=threads, timings_ms=timings_ms)
    write_json(folder / RUN_JSON, {**record, "files": sorted(files)})
    return folder


def run_record(
    prediction: Prediction, *, threads: int | None = None, timings_ms: dict[str, float] | None = None
) -> dict[str, object]:
    """``run.json``: what made this result, from what, and how long it took. Nothing personal, no paths."""
    location = prediction.location
    return {
        "scan_id": prediction.scan_id,
        "finished_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "input_sha256": prediction.input_sha256,
        "bundle": asdict(prediction.bundle),
        "versions": {
            "spinelift": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
        "platform": {"system": platform.system(), "machine": platform.machine()},
        "threads": threads,
        "timings_ms": {**prediction.timings_ms, **(timings_ms or {})},
        "spine": {
            "top_xz_mm": [round(v, 3) for v in location.top_xz_mm],
            "bottom_xz_mm": [round(v, 3) for v in location.bottom_xz_mm],
            "confidence": location.confidence,
        },
        "shift_score": prediction.shift_score,
        "prior_share": prediction.prior_share,
        "warnings": list(prediction.warnings),
    }
