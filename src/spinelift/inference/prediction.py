"""What a prediction is, its fixed form on disk, ``curves.json`` and ``curves.csv``, table and pictures."""

import json
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

from spinelift.bundle.bundle import BundleRef
from spinelift.curves import JSON_KEYS, Curve, SpineCurves, by_view
from spinelift.errors import MissingExtraError
from spinelift.geometry.arrays import Float, Float32, UInt8
from spinelift.geometry.resample import resample
from spinelift.inference.calibrate import Spread, image_share
from spinelift.inference.outputs import write_result
from spinelift.measures import Plausible, SpineMeasures, measure_spine
from spinelift.report.scene import SpineScene
from spinelift.segment.postprocess import SpineLocation
from spinelift.version import __version__

CURVES_FORMAT = 2
"""Of ``curves.json``, as ``spinelift/schemas/curves.schema.json`` defines it."""
MEASURED_SPINES = 64
"""Plausible spines from which the intervals of measures come."""

if TYPE_CHECKING:
    import polars
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class Prediction:
    """The 3D spine of one scan.

    Parameters
    ----------
    scan_id, input_sha256
        Pseudonym of the scan, and hash of the file that was read.
    curves
        The six curves and their place in the scan.
    half_width_mm
        Half width of the 90 % interval of every curve point, mm [6, 209]; None without calibration.
    shift_score
        Distance from the calibration people, 1.0 = as far as their farthest hundredth; or None.
    prior_share
        Interval of the sagittal centre over that without any image; or None.
    spread
        How a spine may differ from the predicted one; None without calibration.
    location, bundle
        Where the spine was found, and the model that made it.
    mean
        The spine that is expected without an image, at this place; or None.
    limits
        Limits on the card of the bundle.
    bone
        Bone image of the scan [H, W], 0 to 255, for the pictures: about 1 MB. None in a prediction that is
        kept without it: ``dataclasses.replace(prediction, bone=None)``.
    warnings
        What a reader of the result ought to know.
    timings_ms
        Milliseconds of each stage.
    """

    scan_id: str
    input_sha256: str
    curves: SpineCurves
    half_width_mm: Float | None
    shift_score: float | None
    prior_share: float | None
    spread: Spread | None
    location: SpineLocation
    bundle: BundleRef
    mean: SpineCurves | None = None
    limits: tuple[str, ...] = ()
    bone: Float32 | None = None
    warnings: tuple[str, ...] = ()
    timings_ms: dict[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        z, count = self.curves.z_mm, len(self.warnings)
        angle = self.measured.ferguson_deg.value
        shape = f"T1 to L5 {z[-1] - z[0]:.0f} mm, Ferguson angle {angle:.1f}°"
        return f"<Prediction {self.scan_id}: {shape}, {count} warning{'' if count == 1 else 's'}>"

    def _repr_png_(self) -> bytes | None:
        """The overlay, which notebooks show; nothing without the scan's image."""
        if self.bone is None:
            return None
        from spinelift.report.overlay import overlay_png

        return overlay_png(self.scene())

    @property
    def interval90_mm(self) -> Float | None:
        """Lower and upper bound of every curve point, mm [6, 209, 2], in the axes of ``curves.mm``."""
        if self.half_width_mm is None:
            return None
        mm = self.curves.mm
        return np.stack([mm - self.half_width_mm, mm + self.half_width_mm], -1)

    def plausible_spines(self, n: int = 20, seed: int = 0) -> tuple[SpineCurves, ...]:
        """``n`` spines that fit the image about as well; empty when the bundle is not calibrated."""
        return () if self.spread is None else self.spread.sample(n, seed)

    @cached_property
    def measured(self) -> SpineMeasures:
        """The clinical measures, with intervals from ``MEASURED_SPINES`` plausible spines."""
        mm, plausible = self.curves.mm, plausible_lines(self.spread, MEASURED_SPINES)
        return measure_spine(
            self.curves.z_mm,
            mm[Curve.CENTRE],
            mm[Curve.SAGITTAL],
            plausible=plausible,
            warnings=self.warnings,
        )

    def to_json(self) -> dict[str, object]:
        """``curves.json``: mm rounded to 0.001, axes as in :class:`spinelift.curves.SpineCurves`."""
        document: dict[str, object] = {"format": CURVES_FORMAT, "scan_id": self.scan_id}
        document |= self.curves.to_json()
        interval = self.interval90_mm
        if interval is not None:
            document["interval90"] = by_view(interval)
        if self.shift_score is not None:
            document["shift_score"] = round(self.shift_score, 4)
        document |= self.measured.to_dict()
        document["warnings"] = list(self.warnings)
        document["bundle"] = asdict(self.bundle)
        return document

    def curves_json(self) -> str:
        """Text of ``curves.json``, one line a field; the same input gives the same text."""
        lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in self.to_json().items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"

    def curves_csv(self) -> str:
        """Text of ``curves.csv``: a header and 209 rows from T1 to L5, mm; bounds where calibrated."""
        columns = self._columns()
        table = np.round(np.stack(list(columns.values()), 1), 3) + 0.0
        form = "%d" + ",%.3f" * len(columns) + "\n"
        rows = (form % (k, *row) for k, row in enumerate(table.tolist(), start=1))
        return ",".join(["row", *columns]) + "\n" + "".join(rows)

    def to_dataframe(self) -> "polars.DataFrame":
        """The table of ``curves.csv``, not rounded, as a polars data frame (the cohort extra).

        Raises MissingExtraError without polars. ``to_dataframe().to_pandas()`` needs pandas and pyarrow.
        """
        try:
            import polars
        except ImportError:
            do = "Run: pip install polars"
            raise MissingExtraError(found="no package polars", expected="polars", do=do) from None
        columns = self._columns()
        return polars.DataFrame({"row": np.arange(1, len(self.curves.z_mm) + 1), **columns})

    def _columns(self) -> dict[str, Float]:
        """Heights, curves and, where calibrated, bounds, mm [209] each, by the names of ``curves.csv``."""
        names = [
            f"{view.removesuffix('_mm')}_{name}_mm" for view, names in JSON_KEYS.items() for name in names
        ]
        columns = {"z_mm": self.curves.z_mm, **dict(zip(names, self.curves.mm, strict=True))}
        interval = self.interval90_mm
        if interval is not None:
            for name, bounds in zip(names, interval, strict=True):
                stem = name.removesuffix("_mm")
                columns |= {f"{stem}_low_mm": bounds[:, 0], f"{stem}_high_mm": bounds[:, 1]}
        return columns

    def save(self, folder: str | PathLike[str]) -> Path:
        """Write ``curves.json``, ``curves.csv`` and ``run.json`` to ``folder/<scan_id>``, and return it.

        Raises OutputError if they cannot be written, ConfigError if the scan id is no plain name.
        """
        return write_result(self, Path(folder))

    def scene(self) -> SpineScene:
        """What the functions of ``spinelift.report`` draw; on black without the scan's image."""
        bone = np.zeros((1, 1), np.float32) if self.bone is None else self.bone
        return SpineScene(
            self.scan_id, bone, self.curves, self.half_width_mm, plausible=self.plausible_spines(),
            mean=self.mean, image_share=image_share(self.prior_share), measured=self.measured,
            warnings=self.warnings, made_by=f"{self.bundle.name} {self.bundle.version}",
            bundle_sha256=self.bundle.sha256, limits=self.limits,
        )  # fmt: skip

    def plot(self) -> "Figure":
        """Front view on the scan and side view, as a matplotlib figure, mm as in ``curves.json``."""
        from spinelift.report.overlay import overlay_figure

        return overlay_figure(self.scene())

    def run_record(
        self, *, threads: int | None = None, timings_ms: dict[str, float] | None = None
    ) -> dict[str, object]:
        """``run.json``: what made this result, from what, in what time. Nothing personal, no paths."""
        location = self.location
        return {
            "scan_id": self.scan_id,
            "finished_utc": datetime.now(UTC).isoformat(timespec="seconds"),
            "input_sha256": self.input_sha256,
            "bundle": asdict(self.bundle),
            "versions": {
                "spinelift": __version__,
                "python": platform.python_version(),
                "numpy": np.__version__,
                "onnxruntime": onnxruntime.__version__,
            },
            "platform": {"system": platform.system(), "machine": platform.machine()},
            "threads": threads,
            "timings_ms": {**self.timings_ms, **(timings_ms or {})},
            "spine": {
                "top_xz_mm": [round(v, 3) for v in location.top_xz_mm],
                "bottom_xz_mm": [round(v, 3) for v in location.bottom_xz_mm],
                "confidence": location.confidence,
            },
            "measures": self.measures(),
            "screening": self.measured.screening.finding,
            "main_curve": str(self.measured.main or ""),
            "shift_score": self.shift_score,
            "prior_share": self.prior_share,
            "image_share": image_share(self.prior_share),
            "warnings": list(self.warnings),
        }

    def measures(self) -> dict[str, float | None]:
        """Numbers of the spine by name and unit: the columns that ``summary.csv`` has for every scan."""
        mm, z, half = self.curves.mm, self.curves.z_mm, self.half_width_mm
        values: dict[str, float] = {
            "height_mm": z[-1] - z[0],
            "mm_per_px": self.curves.frame.mm_per_px,
            "coronal_range_mm": np.ptp(mm[Curve.CENTRE]),
            "sagittal_range_mm": np.ptp(mm[Curve.SAGITTAL]),
        }
        interval = None if half is None else round(float(half[Curve.SAGITTAL].mean()), 4)
        rounded = {name: round(float(value), 4) for name, value in values.items()}
        return {**rounded, "sagittal_half_interval90_mm": interval, **self.measured.columns()}

    def mask(self) -> UInt8:
        """Spine from T1 to L5 as the segmenter found it, on the scan's pixels [H, W]: 255 inside, else 0."""
        grid = self.location.grid
        inside = resample(self.location.column, grid.canvas, grid.scan) >= 0.5
        return np.where(inside, np.uint8(255), np.uint8(0))


def plausible_lines(spread: Spread | None, n: int) -> Plausible | None:
    """Centre lines of ``n`` plausible spines, mm; None without calibration."""
    if spread is None:
        return None
    px, frame = spread.sample_px(n, curves=(Curve.CENTRE, Curve.SAGITTAL)), spread.curves.frame
    x, y = px.transpose(1, 2, 0) * frame.mm_per_px
    return Plausible(x + frame.x0_mm, y)
