"""What a worker process does: one scan, by the same function as ``spinelift predict``."""

import json
import logging
import shutil
import warnings
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from spinelift.bundle import BundleRef
from spinelift.errors import SpineliftError, printable
from spinelift.files import write_json, write_whole
from spinelift.geometry import Spacing
from spinelift.inference import task as inference
from spinelift.inference.outputs import CURVES_JSON, RUN_JSON, read_record
from spinelift.inference.prediction import Prediction
from spinelift.inference.scans import Scan
from spinelift.io.dxa.read import scan_sha256
from spinelift.io.dxa.scan import scan_id
from spinelift.io.dxa.source import FOR_OBJECTS, check_dicom, read_source
from spinelift.report import VIEWER
from spinelift.serve.job import JobOptions, Problem, Result
from spinelift.serve.jobs import FIRST

SUMMARY = "summary.json"
"""What is shown before a job is done, besides the 3D page."""
_NOISY = ("PIL", "fontTools", "highdicom", "matplotlib", "pydicom", "weasyprint")
_DEMO = "1900003_20158_2_0.zip"
_VALUES = {
    ": --spacing 2.427,2.419, or spacing_mm=(2.427, 2.419).": ", such as 2.427,2.419, as spacing.",
    "(--spacing)": "(spacing)",
    "pass --area total-body": "send it with area=total-body",
}
"""Options of the command that an error advises, as values of the form."""
_SEND_AGAIN = "Send the file again. If it fails again, report it with the error's name."


@dataclass(frozen=True)
class Task:
    """One job for a worker. ``folder``: of the job, absolute; ``name``: the client's name of the scan."""

    folder: Path
    name: str
    parts: int
    options: JobOptions
    bundle: str | None
    ref: BundleRef


def predict(task: Task) -> Result:
    """Predict the scan of a job into ``result/<scan id>/`` of its folder; its problem if that fails."""
    for name in _NOISY:  # what they say of a file can be personal
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _predict(task)


def _predict(task: Task) -> Result:
    path = task.folder / "input"
    if task.parts == 1:
        (path,) = path.iterdir()
    spacing = task.options.spacing_mm
    dicom, notes = _dicom(path, task.options.area)
    job = inference.Job(
        out=task.folder / "result", ref=task.ref, bundle=task.bundle,
        spacing=Spacing(*spacing) if spacing else None, area=task.options.area,  # type: ignore[arg-type]
        report=True, dicom=dicom, paths=False, threads=1,
    )  # fmt: skip
    name = scan_id(Path(task.name), partial(_sha256, path))
    scan = Scan(path, printable(task.name), name)
    outcome = inference.predict_scan(scan, job, on_viewer=partial(_write_first, task.folder / FIRST))
    if outcome.failure:
        return Result(name, problem=_problem(outcome.failure))
    folder = job.out / outcome.scan.scan_id
    record = read_record(folder)
    assert record is not None
    sizes = {**record["files"], RUN_JSON: (folder / RUN_JSON).stat().st_size}
    summary = summarise(json.loads((folder / CURVES_JSON).read_bytes()))
    return Result(outcome.scan.scan_id, (*outcome.warnings, *notes), summary, sizes)


def summarise(curves: dict[str, Any]) -> dict[str, Any]:
    """The parts of ``curves.json`` that a list of results shows."""
    return {key: curves[key] for key in ("measures", "screening")}


def warm_up(folder: Path, bundle: str | None, ref: BundleRef) -> None:
    """Predict the shipped demo scan with all outputs, so that the first job need not wait for imports.

    ``folder``: a new one, which is removed. Raises SpineliftError if it fails.
    """
    (folder / "input").mkdir(parents=True)
    try:
        (folder / "input" / "0000.zip").write_bytes((files("spinelift") / "demo" / _DEMO).read_bytes())
        result = predict(Task(folder, _DEMO, 1, JobOptions(), bundle, ref))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if result.problem:
        problem = result.problem
        raise SpineliftError(found=problem.found, expected=problem.expected, do=problem.do)


def _dicom(path: Path, area: Any) -> tuple[Literal["study"] | None, tuple[str, ...]]:
    """Whether DICOM objects can be made of a scan, and why not if its header is the cause."""
    try:
        check_dicom(path)
    except SpineliftError:  # a picture
        return None, ()
    try:
        read_source(path, area=area)
    except SpineliftError as error:
        what, mark, _ = error.found.partition(FOR_OBJECTS)
        return None, (f"No DICOM objects: {what}.",) if mark else ()
    except Exception:  # noqa: BLE001 (the prediction finds it again, as its own failure)
        return None, ()
    return "study", ()


def _sha256(path: Path) -> str:
    try:
        return scan_sha256(path)
    except SpineliftError:
        return "0" * 64


def _write_first(folder: Path, prediction: Prediction, viewer: bytes) -> None:
    folder.mkdir(exist_ok=True)
    write_whole(folder / VIEWER, viewer)
    write_json(folder / SUMMARY, summarise(prediction.to_json()) | {"scan_id": prediction.scan_id})


def _problem(failure: inference.Failure) -> Problem:
    if type(failure.shown) is SpineliftError:  # an unexpected one
        return Problem.of(failure.shown, name=failure.error, do=_SEND_AGAIN)
    do = failure.shown.do
    for option, value in _VALUES.items():
        do = do.replace(option, value)
    return Problem.of(failure.shown, name=failure.error, do=do)
