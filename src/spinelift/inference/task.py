"""One scan of a batch, in any process: from its file to its result folder, or to the cause of a failure."""

import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

from spinelift.bundle import BundleRef
from spinelift.errors import BundleError, OutputError, SpineliftError
from spinelift.files import write_json
from spinelift.geometry import Spacing
from spinelift.inference.model import Model, load_model
from spinelift.inference.outputs import (
    MASK_NIFTI,
    MASK_PNG,
    RUN_FORMAT,
    RUN_JSON,
    Record,
    is_whole,
    read_record,
    result_folder,
    write_result,
)
from spinelift.inference.prediction import Prediction
from spinelift.inference.scans import Scan
from spinelift.io import read_dxa
from spinelift.io.dxa.read import scan_sha256
from spinelift.io.dxa.source import SourceImage, check_dicom, read_source
from spinelift.io.dxa.visit import Area
from spinelift.progress import Clock
from spinelift.report import DICOM_NAMES, OVERLAY, PAGE, PAGE_PDF, picture_names
from spinelift.version import __version__

DicomMode = Literal["study", "deidentified"]
OnViewer = Callable[[Prediction, bytes], None]


@dataclass(frozen=True)
class Job:
    """What is done to every scan of a batch.

    ``out``: absolute path of the output folder. ``bundle``: path of the bundle, None for the shipped one;
    ``ref``: what it was when the batch began. ``paths``: results name the input path. ``overwrite``: results
    of earlier runs are made again. ``formats``: of the overlay, if there are ``pictures``. ``report``: also
    write the page as HTML and PDF. ``dicom``: also write DICOM objects, of the patient's study or of none.
    """

    out: Path
    ref: BundleRef
    bundle: str | None = None
    spacing: Spacing | None = None
    area: Area | None = None
    pictures: bool = True
    formats: tuple[str, ...] = ("png",)
    report: bool = False
    mask: bool = False
    dicom: DicomMode | None = None
    paths: bool = True
    overwrite: bool = False
    threads: int | None = None

    @property
    def wanted(self) -> tuple[str, ...]:
        """Optional files of a result."""
        pictures = picture_names(self.formats) if self.pictures else ()
        mask = (MASK_PNG, MASK_NIFTI) if self.mask else ()
        page = (PAGE, PAGE_PDF) if self.report else ()
        return (*pictures, *page, *mask, *(DICOM_NAMES if self.dicom else ()))

    def about(self, scan: Scan) -> Record:
        """What ``run.json`` says of the scan's file and the options."""
        name = scan.ukb
        return {
            "input": scan.given if self.paths else None,
            "file": Path(scan.given).name,
            **{key: getattr(name, key, None) for key in ("eid", "instance", "array")},
            "options": {
                "spacing_mm": [self.spacing.row_mm, self.spacing.col_mm] if self.spacing else None,
                "area": self.area,
                "dicom": self.dicom,
            },
        }  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """Why a scan has no result: the name of the error's class, the stage, and the error to show.

    ``known``: the file could be read, so that a result of an earlier run is out of date; not so if the new
    one could not be written. ``details``: the traceback of an error that is not spinelift's.
    """

    error: str
    stage: str
    shown: SpineliftError
    known: bool = False
    details: str = ""

    @classmethod
    def of(cls, error: Exception, stage: str, *, known: bool = False) -> "Failure":
        """The failure of an exception; what other libraries' exceptions say, such as paths, is left out."""
        name = type(error).__name__
        if isinstance(error, SpineliftError):
            return cls(name, stage, error, known and not isinstance(error, OutputError))
        cause = getattr(error, "strerror", None)
        shown = SpineliftError(
            found=f"an unexpected {name}{f' ({cause})' if cause else ''} at the stage {stage!r}",
            expected="a scan that is predicted, or an error that names its cause",
            do="Run it again with --verbose, which shows the traceback, and report that.",
        )
        return cls(name, stage, shown, known, "".join(traceback.format_exception(error)))


@dataclass(frozen=True)
class Outcome:
    """What became of one scan: a new result, one of an earlier run, or a failure."""

    scan: Scan
    is_new: bool = False
    warnings: tuple[str, ...] = ()
    failure: Failure | None = None


def predict_scan(scan: Scan, job: Job, *, on_viewer: OnViewer = lambda *_: None) -> Outcome:
    """Predict one scan into ``OUT/<scan_id>/``, unless it has a whole result there; never raises.

    ``on_viewer`` is called with the prediction and the 3D page before the other pictures are made.
    """
    clock, known = Clock("read"), False
    try:
        sha256 = scan_sha256(scan.path)
        if job.dicom:
            check_dicom(scan.path)
        known = True
        scan, record = identify(scan, sha256, job)
        if record is not None and _is_done(scan, sha256, record, job):
            return Outcome(scan, warnings=tuple(record["warnings"]))
        image = read_dxa(scan.path, spacing=job.spacing, area=job.area, name=Path(scan.given).name)
        known = job.dicom is None  # a header that is refused for its objects costs no earlier result
        source = read_source(scan.path, area=job.area, in_study=job.dicom == "study") if job.dicom else None
        known = True
        clock.start("predict")
        model = _model(job)
        prediction = model.predict(replace(image, scan_id=scan.scan_id))
        clock.start("pictures")
        extra = _extra(prediction, job, source, on_viewer)
        clock.start("write")
        seconds = clock.seconds
        times = {stage: round(seconds[stage] * 1e3, 2) for stage in ("read", "pictures")}
        write_result(
            prediction, job.out, extra=extra, threads=model.threads, timings_ms=times, about=job.about(scan)
        )
    except Exception as error:  # noqa: BLE001 (whatever it is, it is this scan's row)
        return Outcome(scan, failure=Failure.of(error, clock.stage, known=known))
    return Outcome(scan, is_new=True, warnings=prediction.warnings)


def identify(scan: Scan, sha256: str, job: Job) -> tuple[Scan, Record | None]:
    """The scan with its final id, and the record of its result of an earlier run.

    A result of the same content is found with and without its hash in the id, so that ids do not depend on
    the other scans of a run. An id without UK Biobank's numbers may be that of another file's result, which
    is kept: the scan has its hash in its id then. A changed file of the same path keeps its id.
    """
    hashed = scan.with_hash(sha256)
    for known in (replace(scan, digits=""), hashed):
        record = read_record(result_folder(job.out, known.scan_id))
        if record is not None and record.get("input_sha256") == sha256:
            return known, record
    record = read_record(result_folder(job.out, scan.scan_id))
    is_own = record is None or scan.ukb is not None or scan.given == record.get("input")
    return (scan, record) if is_own else (hashed, None)


def _is_done(scan: Scan, sha256: str, record: Record, job: Job) -> bool:
    """Whether a result is whole and of this input, bundle, version and options; its path is set right."""
    about = job.about(scan)
    want: dict[str, Any] = {
        "format": RUN_FORMAT, "input_sha256": sha256, "bundle": asdict(job.ref), "options": about["options"],
    }  # fmt: skip
    folder = job.out / scan.scan_id
    done = (
        not job.overwrite
        and all(record.get(key) == value for key, value in want.items())
        and record.get("versions", {}).get("spinelift") == __version__
        and is_whole(folder, record, job.wanted)
    )
    if done and any(record.get(key) != value for key, value in about.items()):
        write_json(folder / RUN_JSON, record | about)
    return done


def _model(job: Job) -> Model:
    model = load(job.bundle, job.threads)
    if model.bundle.ref != job.ref:
        raise BundleError(
            found="a bundle that has changed since the run began", expected="one bundle", do="Run again."
        )
    return model


@lru_cache(maxsize=1)
def load(bundle: str | None, threads: int | None) -> Model:
    """The model of this process, kept for the next scan."""
    return load_model(bundle, threads=threads)


def _extra(
    prediction: Prediction, job: Job, source: SourceImage | None, on_viewer: OnViewer
) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    if not (job.pictures or job.report or job.mask or source):
        return files
    scene = prediction.scene()
    if job.pictures:
        from spinelift.report.pictures import make_pictures

        files |= make_pictures(scene, job.formats, on_viewer=partial(on_viewer, prediction))
    if job.report:
        from spinelift.report.page import page_html, page_pdf

        html = files.get(PAGE) or page_html(scene).encode()
        files |= {PAGE: html, PAGE_PDF: page_pdf(html.decode())}
    if job.mask:
        from spinelift.report.mask import mask_nifti, mask_png

        mask = prediction.mask()
        files |= {MASK_PNG: mask_png(mask), MASK_NIFTI: mask_nifti(mask, prediction.location.grid.spacing)}
    if source is not None:
        from spinelift.report.dicom import make_dicom
        from spinelift.report.overlay import overlay_png

        files |= make_dicom(
            scene, prediction.to_json(), source, sha256=prediction.input_sha256,
            overlay=files.get(OVERLAY) or overlay_png(scene), page=files.get(PAGE_PDF),
            deidentified=job.dicom == "deidentified",
        )  # fmt: skip
    return files
