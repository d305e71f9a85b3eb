"""The predicted side view against the lateral vertebral view (LVA) of the same visit, in another posture.

What is compared is shape: the LVA shows the spine lying on the side, so its inclination is that of another
posture, and neither image says where in depth the spine lies. Both lines are aligned rigidly first.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from spinelift import engine
from spinelift.bundle import BundleRef, LvaCard, load_bundle
from spinelift.curves import Curve
from spinelift.errors import NoSpineError, SpineliftError
from spinelift.evaluate.bootstrap import (
    Estimate,
    mean_estimate,
    pearson_estimate,
    people_counts,
    ratio_estimate,
)
from spinelift.evaluate.people import refuse_seen
from spinelift.evaluate.sagittal import MIN_COMMON_MM, Aligned, align, arc_at_height
from spinelift.evaluate.table import Row
from spinelift.geometry import Vertebra
from spinelift.geometry.arrays import Float
from spinelift.inference.model import Model, load_model
from spinelift.io import read_dxa
from spinelift.io.dxa.lateral import LateralScan, read_lateral
from spinelift.io.dxa.scan import scan_id
from spinelift.io.truth import read_truth, truth_path
from spinelift.io.ukb_names import UkbName
from spinelift.measures.levels import lower_endplate, upper_endplate
from spinelift.segment.lateral import LateralSegmenter, LateralSpine

METRICS = {
    "lva_shift_mae_mm": "difference of y at the same heights, T5 to L4, the means made equal",
    "lva_rigid_mae_mm": "the same after rotation, shifts and slide along the spine: difference of shape",
    "lva_rotation_deg": "size of the rotation: change of posture, and error of the inclination",
    "lva_shape_pearson_r": "Pearson's r over people of the shapes at a point, mean over the points",
}
"""What is measured. The shape is y from its own straight line."""
PREDICTED, MEAN, TRUE = "prediction", "mean curve", "true supine curve"
LEVELS = upper_endplate(Vertebra.T5), lower_endplate(Vertebra.L4)
"""Relative heights, from T1's upper to L5's lower endplate, between which lines are compared."""


@dataclass(frozen=True)
class LvaJob:
    """How scans are checked: bundle and LVA network (None: shipped), LVA orientation (None: of the header).

    ``truth`` is the folder of the truth of simulated people, whose true curves are then compared too.
    """

    bundle: str | None = None
    network: str | None = None
    orientation: tuple[str, str] | None = None
    truth: Path | None = None

    def check(self) -> tuple[BundleRef, BundleRef]:
        """Load bundle and LVA network, and say which they are; raises BundleError."""
        model, segmenter = _networks(self.bundle, self.network)
        return model.bundle.ref, segmenter.ref


@dataclass(frozen=True)
class LvaCheck:
    """Result of one scan: ``aligned`` by name of the curve; or the stage and the error that ended it."""

    path: Path
    scan_id: str
    aligned: Mapping[str, Aligned] = field(default_factory=dict)
    confidence: float | None = None
    stage: str = ""
    error: str = ""
    message: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def person(self) -> str:
        """Who it is: the participant of a UK Biobank name, else the scan."""
        name = UkbName.parse(self.path)
        return str(name.eid) if name else self.scan_id

    def values(self, curve: str) -> dict[str, float]:
        """Metrics of one curve."""
        aligned = self.aligned[curve]
        values = aligned.shift_mae_mm, aligned.rigid_mae_mm, abs(aligned.rigid.rotation_deg)
        return dict(zip(METRICS, values, strict=False))


@lru_cache(maxsize=1)
def _networks(bundle: str | None, network: str | None) -> tuple[Model, LateralSegmenter]:
    return load_model(bundle, threads=1), LateralSegmenter(load_bundle(LvaCard, network), threads=1)


def check_scans(job: LvaJob, paths: Iterable[Path], *, workers: int = 0) -> Iterator[LvaCheck]:
    """Check many scans, in order; ``workers`` as of ``engine.run``."""
    for path, result in engine.run(partial(check_scan, job), paths, workers=workers, ordered=True):
        if isinstance(result, LvaCheck):
            yield result
        else:
            known = isinstance(result, SpineliftError)
            message = str(result) if known else "an error that is not one of spinelift's"
            yield LvaCheck(path, scan_id(path, str), {}, None, "process", type(result).__name__, message)


def check_scan(job: LvaJob, path: Path) -> LvaCheck:
    """Compare one scan's predicted side view with its lateral view; a failure is a result, too."""
    stage, name = "dxa", scan_id(path, str)
    try:
        scan = read_dxa(path)
        name = scan.scan_id
        model, segmenter = _networks(job.bundle, job.network)
        stage = "seen"
        if own := UkbName.parse(path):
            refuse_seen(np.array([own.eid]), model.bundle.people, "training and test")
        stage = "predict"
        prediction = model.predict(scan)
        stage = "lva"
        lateral = read_lateral(path, orientation=job.orientation, identity=scan.identity)
        stage = "lva_spine"
        spine = segmenter.find(lateral.image, lateral.spacing)
        stage = "align"
        z, mm = prediction.curves.z_mm, prediction.curves.mm[Curve.SAGITTAL]
        curves = {PREDICTED: np.stack([mm, z], 1)}
        mean = model.bundle.card.calibration.mean_curves
        if mean is not None:
            size = prediction.curves.frame.mm_per_px
            curves[MEAN] = np.stack([np.array(mean[Curve.SAGITTAL]) * size, z], 1)
        if job.truth is not None:
            curves[TRUE] = _true_curve(job.truth, path)
        aligned = {label: compare(curve, spine) for label, curve in curves.items()}
    except SpineliftError as error:
        return LvaCheck(path, name, stage=stage, error=type(error).__name__, message=str(error))
    warnings = (*prediction.warnings, *lateral.warnings)
    return LvaCheck(path, name, aligned, spine.confidence, warnings=warnings)


def find_spine(job: LvaJob, path: Path) -> tuple[LateralScan, LateralSpine]:
    """The lateral view of a scan that was compared, and the column in it."""
    lateral = read_lateral(path, orientation=job.orientation)
    return lateral, _networks(job.bundle, job.network)[1].find(lateral.image, lateral.spacing)


def compare(curve: Float, spine: LateralSpine) -> Aligned:
    """Align the column of a lateral view with a sagittal centre curve [n, 2] (y, z) of T1 to L5.

    Heights are matched at L5's lower endplate, or at T5's upper one if that is not in view. Raises
    NoSpineError if neither is, or if too little is common.
    """
    z0, z1 = curve[[0, -1], 1]
    first, last = (arc_at_height(curve, z0 + level * (z1 - z0)) for level in LEVELS)
    if spine.bottom_mm is not None:
        anchor = arc_at_height(curve, z1) - arc_at_height(spine.line_mm, spine.bottom_mm)
    elif spine.top_mm is not None:
        anchor = first - arc_at_height(spine.line_mm, spine.top_mm)
    else:
        raise _unusable("a column of which neither T5 nor the end of L5 is seen")
    aligned = align(curve, spine.line_mm, (first, last), anchor)
    if aligned is None:
        raise _unusable(f"less than {MIN_COMMON_MM:.0f} mm of T5 to L4 in the lateral view")
    return aligned


def _unusable(found: str) -> NoSpineError:
    return NoSpineError(
        found=found,
        expected="a lateral view of T5 to L4",
        do="Look at the LVA image: leave the visit out if it does not show them.",
    )


def _true_curve(folder: Path, path: Path) -> Float:
    name = UkbName.parse(path)
    truth = read_truth(truth_path(folder, name.visit if name else path.stem)).dxa
    return np.stack([truth.curves_mm[Curve.SAGITTAL], truth.z_mm], 1)


def table(checks: Sequence[LvaCheck]) -> list[Row]:
    """Means over scans that were compared, with 95 % bootstrap intervals over people; none without any."""
    done = [check for check in checks if check.aligned]
    if not done:
        return []
    people, of = np.unique([check.person for check in done], return_inverse=True)
    counts = people_counts(of)
    labels = list(done[0].aligned)
    columns = {label: _columns(done, label) for label in labels}
    own, others = columns[PREDICTED], {k: v for k, v in columns.items() if k != PREDICTED}
    rows = [
        Row(
            name, len(people), mean_estimate(own[name], counts),
            {label: mean_estimate(v[name], counts) for label, v in others.items()},
            {label: ratio_estimate(own[name], v[name], counts) for label, v in others.items()},
        )
        for name in list(METRICS)[:3]
    ]  # fmt: skip
    r = {label: _correlation(done, label, counts) for label in labels}
    return [*rows, Row("lva_shape_pearson_r", len(people), r.pop(PREDICTED), r)]


def _columns(done: Sequence[LvaCheck], label: str) -> dict[str, Float]:
    values = [check.values(label) for check in done]
    return {name: np.array([v[name] for v in values]) for name in values[0]}


def _correlation(done: Sequence[LvaCheck], label: str, counts: Float) -> Estimate:
    shapes = np.array([check.aligned[label].shapes_mm for check in done])
    return pearson_estimate(shapes[:, 0], shapes[:, 1], counts[:300])
