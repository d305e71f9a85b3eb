"""What a prediction is, and its fixed form on disk: ``curves.json`` and ``curves.csv``."""

import json
from dataclasses import asdict, dataclass, field

import numpy as np

from spinelift.bundle.bundle import BundleRef
from spinelift.curves import Curve, SpineCurves
from spinelift.geometry.arrays import Float
from spinelift.inference.calibrate import Spread
from spinelift.segment.postprocess import SpineLocation

_CORONAL = {"left": Curve.LEFT, "centre": Curve.CENTRE, "right": Curve.RIGHT}
_SAGITTAL = {"anterior": Curve.ANTERIOR, "centre": Curve.SAGITTAL, "posterior": Curve.POSTERIOR}


@dataclass(frozen=True)
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
    warnings: tuple[str, ...] = ()
    timings_ms: dict[str, float] = field(default_factory=dict)

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

    def to_json(self) -> dict[str, object]:
        """``curves.json``: mm rounded to 0.001, axes as in :class:`spinelift.curves.SpineCurves`."""
        document: dict[str, object] = {"spine_id": self.scan_id, **self.curves.to_json()}
        interval = self.interval90_mm
        if interval is not None:
            rounded = np.round(interval, 3) + 0.0
            document["interval90"] = {
                "coronal_mm": {name: rounded[row].tolist() for name, row in _CORONAL.items()},
                "sagittal_mm": {name: rounded[row].tolist() for name, row in _SAGITTAL.items()},
            }
        if self.shift_score is not None:
            document["shift_score"] = round(self.shift_score, 4)
        document["warnings"] = list(self.warnings)
        document["bundle"] = asdict(self.bundle)
        return document

    def curves_json(self) -> str:
        """Text of ``curves.json``, one line a field; the same input gives the same text."""
        lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in self.to_json().items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"

    def curves_csv(self) -> str:
        """Text of ``curves.csv``: a header and 209 rows from T1 to L5, mm; bounds where calibrated."""
        names = [f"coronal_{name}_mm" for name in _CORONAL] + [f"sagittal_{name}_mm" for name in _SAGITTAL]
        columns = [self.curves.z_mm, *self.curves.mm]
        header = ["row", "z_mm", *names]
        interval = self.interval90_mm
        if interval is not None:
            for name, bounds in zip(names, interval, strict=True):
                header += [name.removesuffix("_mm") + end for end in ("_low_mm", "_high_mm")]
                columns += [bounds[:, 0], bounds[:, 1]]
        table = np.round(np.stack(columns, 1), 3) + 0.0
        rows = ([str(k), *(f"{value:.3f}" for value in row)] for k, row in enumerate(table, start=1))
        return "".join(",".join(row) + "\n" for row in (header, *rows))
