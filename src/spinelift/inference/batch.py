"""Many scans in many processes: a failure is a row in a table, and a stopped run continues."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from spinelift import engine
from spinelift.errors import PARTIAL_FAILURE_EXIT_CODE, SpineliftError, WorkerDiedError
from spinelift.files import make_folder
from spinelift.inference.outputs import remove_result, result_folder
from spinelift.inference.scans import Scan, named_scan
from spinelift.inference.tables import Row, write_tables
from spinelift.inference.task import Failure, Job, Outcome, identify, predict_scan
from spinelift.io.dxa.read import scan_sha256
from spinelift.version import __version__


@dataclass
class BatchReport:
    """What became of every scan; it stays small, however many there are.

    ``removed``: ids of results of earlier runs that are gone, because their scans fail now. ``results``:
    number of results in the folder.
    """

    new: list[Outcome] = field(default_factory=list)
    kept: list[Outcome] = field(default_factory=list)
    failed: list[Outcome] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    results: int = 0

    @property
    def exit_code(self) -> int:
        """0 when all went well; the error's own code when all failed for one cause; else 3."""
        codes = {outcome.failure.shown.exit_code for outcome in self.failed if outcome.failure}
        if not codes:
            return 0
        alone = not self.new and not self.kept and len(codes) == 1
        return codes.pop() if alone else PARTIAL_FAILURE_EXIT_CODE


def run_batch(
    job: Job,
    scans: Sequence[Scan],
    *,
    workers: int = 0,
    scheduler: str | None = None,
    without_scans: Iterable[tuple[Path, SpineliftError]] = (),
    on_done: Callable[[Outcome], None] = lambda _: None,
) -> BatchReport:
    """Predict every scan into ``OUT/<scan_id>/``; write the tables, also of a run that is interrupted.

    ``workers`` processes, or 0: in this one; or ``scheduler``: see :func:`spinelift.engine.run`.
    ``without_scans``: paths that hold none, and why. Whole results of earlier runs are kept; nothing but
    results is overwritten.

    Raises OutputError if the tables cannot be written.
    """
    make_folder(job.out)
    report = BatchReport()
    for path, error in without_scans:
        report.failed.append(Outcome(named_scan(path), failure=Failure.of(error, "find")))
    try:
        work = partial(predict_scan, job=job)
        results = engine.run(work, scans, workers=workers, scheduler=scheduler)
        with closing(results):
            for scan, result in results:
                outcome = result if isinstance(result, Outcome) else _dead(scan, result, job)
                _file(outcome, report, job)
                on_done(outcome)
    finally:
        rows = [_row(outcome, job) for outcome in report.failed]
        done = [_place(outcome.scan) for outcome in (*report.new, *report.kept)]
        report.results = write_tables(job.out, rows, done, paths=job.paths)
    return report


def _dead(scan: Scan, error: Exception, job: Job) -> Outcome:
    """Outcome of a scan whose process died, or whose result did not come through."""
    try:
        scan, _ = identify(scan, scan_sha256(scan.path), job)
    except SpineliftError as unreadable:
        return Outcome(scan, failure=Failure.of(unreadable, "read"))
    stage = "process" if isinstance(error, WorkerDiedError) else "result"
    return Outcome(scan, failure=Failure.of(error, stage, known=True))


def _file(outcome: Outcome, report: BatchReport, job: Job) -> None:
    if outcome.failure is None:
        (report.new if outcome.is_new else report.kept).append(outcome)
        return
    report.failed.append(outcome)
    if outcome.failure.known and remove_result(result_folder(job.out, outcome.scan.scan_id)):
        report.removed.append(outcome.scan.scan_id)


def _place(scan: Scan) -> Row:
    return {"scan_id": scan.scan_id, "input": scan.given, "file": Path(scan.given).name}


def _row(outcome: Outcome, job: Job) -> Row:
    """Row of ``failed.csv``."""
    failure, ref = outcome.failure, job.ref
    assert failure is not None
    return _place(outcome.scan) | {
        **{key: getattr(outcome.scan.ukb, key, None) for key in ("eid", "instance", "array")},
        "status": "failed", "bundle": ref.name, "bundle_version": ref.version, "bundle_sha256": ref.sha256,
        "spinelift_version": __version__, "error": failure.error, "exit_code": failure.shown.exit_code,
        "stage": failure.stage, "message": str(failure.shown),
    }  # fmt: skip
