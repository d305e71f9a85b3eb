"""Many scans: the model is loaded once, a failure is a row in a table, and the rest go on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from spinelift.curves import Curve
from spinelift.errors import PARTIAL_FAILURE_EXIT_CODE, ConfigError, SpineliftError
from spinelift.files import make_folder, remove_files, write_csv
from spinelift.geometry import Spacing
from spinelift.inference.model import Model
from spinelift.inference.outputs import write_result
from spinelift.inference.prediction import Prediction
from spinelift.io import read_dxa
from spinelift.io.dxa.scan import DxaScan
from spinelift.io.dxa.visit import Area
from spinelift.progress import Clock

PictureWriter = Callable[[Prediction], dict[str, bytes]]
"""Makes the pictures of a result: their bytes by file name."""

FAILED_CSV, SUMMARY_CSV = "failed.csv", "summary.csv"
FAILED_HEADER = ("input", "error", "exit_code", "message")
SUMMARY_HEADER = (
    *("scan_id", "input_sha256", "height_mm", "mm_per_px", "coronal_range_mm", "sagittal_range_mm"),
    *("sagittal_half_interval90_mm", "shift_score", "confidence", "warnings"),
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

    def write(self, out: Path) -> None:
        """Write ``summary.csv`` and, after failures, ``failed.csv``."""
        write_csv(out / SUMMARY_CSV, SUMMARY_HEADER, [success.row for success in self.good])
        if self.failed:
            rows = [(f.name, type(f.error).__name__, f.error.exit_code, str(f.error)) for f in self.failed]
            write_csv(out / FAILED_CSV, FAILED_HEADER, rows)
        else:
            remove_files([out / FAILED_CSV])


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
    """Predict every scan into ``OUT/<scan_id>/``; write the tables, also of a run that is interrupted.

    ``lost`` are failures from before the run, such as paths that do not exist. Running again overwrites
    what an earlier run wrote, and nothing else.
    """
    make_folder(out)
    report = BatchReport(failed=list(lost))
    hashes: dict[str, str] = {}
    try:
        for path in scans:
            clock = Clock("read")
            try:
                scan = read_dxa(path, spacing=spacing, area=area)
                if not _is_repeated(scan, hashes):
                    clock.start("predict")
                    prediction = model.predict(scan)
                    clock.start("pictures")
                    images = pictures(prediction) if pictures else None
                    seconds = clock.stop()
                    timed = ("read", "pictures") if pictures else ("read",)
                    times = {stage: round(seconds[stage] * 1e3, 2) for stage in timed}
                    write_result(
                        prediction, out, pictures=images, stale=picture_names, threads=model.threads,
                        timings_ms=times,
                    )  # fmt: skip
                    hashes[scan.scan_id] = scan.sha256
                    row = summary_row(prediction)
                    report.good.append(Success(path.name, scan.scan_id, prediction.warnings, row))
            except SpineliftError as error:
                report.failed.append(Failure(path.name, error))
            on_done(path)
    finally:
        report.write(out)
    return report


def _is_repeated(scan: DxaScan, hashes: dict[str, str]) -> bool:
    """Whether the very same file came before; another file of the same id is a :class:`ConfigError`."""
    if hashes.get(scan.scan_id, scan.sha256) != scan.sha256:
        raise ConfigError(
            found=f"two different files with the scan id {scan.scan_id}",
            expected="one file an id",
            do="Predict them into separate output folders.",
        )
    return scan.scan_id in hashes


def summary_row(p: Prediction) -> tuple[str, ...]:
    """One result in ``SUMMARY_HEADER``'s columns: ranges in mm, scores, warnings."""
    mm, z = p.curves.mm, p.curves.z_mm
    return (
        p.scan_id,
        p.input_sha256,
        f"{z[-1] - z[0]:.1f}",
        f"{p.curves.frame.mm_per_px:.4f}",
        f"{np.ptp(mm[Curve.CENTRE]):.1f}",
        f"{np.ptp(mm[Curve.SAGITTAL]):.1f}",
        "" if p.half_width_mm is None else f"{p.half_width_mm[Curve.SAGITTAL].mean():.2f}",
        "" if p.shift_score is None else f"{p.shift_score:.3f}",
        f"{p.location.confidence:.3f}",
        "; ".join(p.warnings),
    )
