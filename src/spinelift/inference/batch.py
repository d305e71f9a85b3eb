"""Many scans: the model is loaded once, a failure is a row in a table, and the rest go on."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from spinelift.curves import Curve
from spinelift.errors import PARTIAL_FAILURE_EXIT_CODE, ConfigError, SpineliftError
from spinelift.files import make_folder, remove_files, write_csv
from spinelift.geometry import Spacing
from spinelift.inference.model import Model
from spinelift.inference.outputs import PictureWriter, result_folder, write_result
from spinelift.inference.prediction import Prediction
from spinelift.io import read_dxa
from spinelift.io.dxa.visit import Area

FAILED_CSV, SUMMARY_CSV = "failed.csv", "summary.csv"
FAILED_HEADER = ("input", "error", "exit_code", "message")
SUMMARY_HEADER = (
    "scan_id",
    "input_sha256",
    "height_mm",
    "mm_per_px",
    "coronal_range_mm",
    "sagittal_range_mm",
    "sagittal_half_interval90_mm",
    "shift_score",
    "confidence",
    "warnings",
)


@dataclass(frozen=True)
class Failure:
    """A scan that could not be used, and why. ``name`` is its file name without the folders."""

    name: str
    error: SpineliftError


@dataclass(frozen=True)
class Success:
    """A result that was written: its scan's file name, its id, warnings, and row of ``summary.csv``."""

    name: str
    scan_id: str
    warnings: tuple[str, ...]
    row: tuple[str, ...]


@dataclass
class BatchReport:
    """What became of every scan; it stays small, however many there are."""

    good: list[Success] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 when all went well; the error's own code when all failed for one cause; else 3."""
        codes = {failure.error.exit_code for failure in self.failed}
        if not codes:
            return 0
        return codes.pop() if not self.good and len(codes) == 1 else PARTIAL_FAILURE_EXIT_CODE


def run_batch(
    model: Model,
    scans: Sequence[Path],
    out: Path,
    *,
    spacing: Spacing | None = None,
    area: Area | None = None,
    pictures: PictureWriter | None = None,
    picture_names: tuple[str, ...] = (),
    lost: Sequence[Failure] = (),
    on_done: Callable[[Path], None] = lambda _: None,
) -> BatchReport:
    """Predict every scan into ``OUT/<scan_id>/``; write ``summary.csv`` and, after failures, ``failed.csv``.

    ``lost`` are failures from before the run, such as paths that do not exist. Running again overwrites
    what an earlier run wrote, and nothing else.
    """
    make_folder(out)
    report = BatchReport(failed=list(lost))
    seen: dict[str, str] = {}
    try:
        for path in scans:
            try:
                prediction = _one(model, path, out, seen, spacing, area, pictures, picture_names)
            except SpineliftError as error:
                report.failed.append(Failure(path.name, error))
            else:
                if prediction is not None:
                    row = summary_row(prediction)
                    report.good.append(Success(path.name, prediction.scan_id, prediction.warnings, row))
            on_done(path)
    finally:
        _write_tables(report, out)
    return report


def _write_tables(report: BatchReport, out: Path) -> None:
    """Write the tables, also of a run that was interrupted."""
    write_csv(out / SUMMARY_CSV, SUMMARY_HEADER, [success.row for success in report.good])
    if report.failed:
        rows = [(f.name, type(f.error).__name__, f.error.exit_code, str(f.error)) for f in report.failed]
        write_csv(out / FAILED_CSV, FAILED_HEADER, rows)
    else:
        remove_files([out / FAILED_CSV])


def _one(
    model: Model,
    path: Path,
    out: Path,
    seen: dict[str, str],
    spacing: Spacing | None,
    area: Area | None,
    pictures: PictureWriter | None,
    picture_names: tuple[str, ...],
) -> Prediction | None:
    """Predict and write one scan; None when the very same file came before."""
    start = time.perf_counter()
    scan = read_dxa(path, spacing=spacing, area=area)
    read_ms = (time.perf_counter() - start) * 1e3
    if scan.scan_id in seen:
        if seen[scan.scan_id] == scan.sha256:
            return None
        raise ConfigError(
            found=f"two different files with the scan id {scan.scan_id}",
            expected="one file an id",
            do="Predict them into separate output folders.",
        )
    prediction = model.predict(scan)
    start = time.perf_counter()
    images = pictures(prediction, scan) if pictures else None
    timings = {"read": round(read_ms, 2)}
    if images is not None:
        timings["pictures"] = round((time.perf_counter() - start) * 1e3, 2)
    write_result(
        prediction,
        result_folder(out, scan.scan_id),
        pictures=images,
        stale=picture_names,
        threads=model.threads,
        timings_ms=timings,
    )
    seen[scan.scan_id] = scan.sha256
    return prediction


def summary_row(p: Prediction) -> tuple[str, ...]:
    """One result in ``SUMMARY_HEADER``'s columns: ranges in mm, scores, warnings."""
    mm, z = p.curves.mm, p.curves.z_mm
    half = None if p.half_width_mm is None else p.half_width_mm[Curve.SAGITTAL].mean()
    return (
        p.scan_id,
        p.input_sha256,
        f"{z[-1] - z[0]:.1f}",
        f"{p.curves.frame.mm_per_px:.4f}",
        f"{np.ptp(mm[Curve.CENTRE]):.1f}",
        f"{np.ptp(mm[Curve.SAGITTAL]):.1f}",
        "" if half is None else f"{half:.2f}",
        "" if p.shift_score is None else f"{p.shift_score:.3f}",
        f"{p.location.confidence:.3f}",
        "; ".join(p.warnings),
    )
