"""The sagittal centre curve in two parts: inclination, a straight line in height, and shape, the rest.

For each part: error, correlation with the truth, and best gain, the factor on the predicted deviation from
the mean curve that would fit the truth best (least squares). A gain of 1 says that the bundle shrinks the
part as it should, more than 1 that it shrinks too much. An inclination error that is common to all people
is given apart, because it may come from how the people's vertebrae were put into frames.

For each region of the spine: correlation of its inclination (slope of a straight line through its rows)
with the true one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.yardsticks.case import YardstickCase
from spinelift.curves import Curve
from spinelift.evaluate.bootstrap import Estimate, estimate, mean_estimate, ratio_estimate, resample_counts
from spinelift.evaluate.table import Row
from spinelift.geometry import SPINE_ROWS, Vertebra
from spinelift.simulate.body.prior import ShapePrior

Float = NDArray[np.float64]
MEAN_CURVE = "mean curve"
REGIONS = {
    "T1_T4": (Vertebra.T1, Vertebra.T4),
    "T5_T9": (Vertebra.T5, Vertebra.T9),
    "T10_L1": (Vertebra.T10, Vertebra.L1),
    "L1_L5": (Vertebra.L1, Vertebra.L5),
}
"""First and last vertebra of each region whose inclination is correlated with the true one."""


def region_rows(region: str, rows: int) -> slice:
    """Rows of a region by the mean proportions of real spines, of ``rows`` from T1 to L5."""
    prior = ShapePrior.load()
    z = prior.centres(prior.mean)[:, 2]
    half = np.gradient(z)[[0, -1]] / 2  # from the centres of the end bodies to the ends of the spine, about
    first, last = ((z[v] - z[0] + half[0]) / (np.ptp(z) + half.sum()) * (rows - 1) for v in REGIONS[region])
    return slice(round(float(first)), round(float(last)) + 1)


@dataclass(frozen=True)
class Parts:
    """Inclination [n], px of depth a px of height, and shape [n, rows], px, of sagittal centre curves.

    ``line`` [rows] is the height from the middle of the rows, px.
    """

    inclination: Float
    shape: Float
    line: Float

    @classmethod
    def of(cls, px: Float) -> "Parts":
        """Take curves [n, rows] apart by least squares."""
        line = np.arange(px.shape[1]) - (px.shape[1] - 1) / 2
        level = px - px.mean(1, keepdims=True)
        inclination = level @ line / (line @ line)
        return cls(inclination, level - inclination[:, None] * line, line)

    def __sub__(self, other: "Parts") -> "Parts":
        return Parts(self.inclination - other.inclination, self.shape - other.shape, self.line)

    def errors(self, mm_per_px: Float) -> dict[str, Float]:
        """Mean absolute size [n] over rows of each part, mm, when these parts are errors.

        The last two are what is left when the mean inclination of all is taken off.
        """
        scale = mm_per_px[:, None]
        inclined, rest = (i[:, None] * self.line for i in (self.inclination, self._without_common()))
        return {
            "sagittal_inclination_mae_mm": np.abs(inclined * scale).mean(1),
            "sagittal_shape_mae_mm": np.abs(self.shape * scale).mean(1),
            "sagittal_centre_without_common_mae_mm": np.abs((rest + self.shape) * scale).mean(1),
            "sagittal_inclination_without_common_mae_mm": np.abs(rest * scale).mean(1),
        }

    def _without_common(self) -> Float:
        return np.asarray(self.inclination - self.inclination.mean())


def sagittal_rows(cases: Sequence[YardstickCase], curves: Float, mean_curves: Float | None) -> list[Row]:
    """Figures of predictions [n, 6, 209] (crop px), with intervals over persons.

    Only rows that are known in every case count; empty when no sagittal centre curve is known, or when a
    single one is (correlation and gain then mean nothing).
    """
    known = np.array([c.known[Curve.SAGITTAL] for c in cases])
    names, person = np.unique([c.person for c in cases], return_inverse=True)
    if not known.all() or len(names) < 2:
        return []
    valid = np.all([c.valid for c in cases], axis=0)
    mm_per_px = np.array([c.mm_per_px for c in cases])
    weight = np.zeros((len(names), len(cases)))
    weight[person, np.arange(len(cases))] = 1 / np.bincount(person)[person]
    counts = resample_counts(len(names))
    truth = np.stack([c.curves for c in cases])
    true, pred = (Parts.of(_centre(c)[:, valid]) for c in (truth, curves))
    mean = None
    if mean_curves is not None:
        mean = Parts.of(mean_curves[None, Curve.SAGITTAL, valid].astype(np.float64))
    other = {} if mean is None else (mean - true).errors(mm_per_px)
    rows = []
    for name, values in (pred - true).errors(mm_per_px).items():
        own, base = weight @ values, {MEAN_CURVE: weight @ other[name]} if other else {}
        rows.append(
            Row(
                name,
                len(names),
                mean_estimate(own, counts),
                {k: mean_estimate(v, counts) for k, v in base.items()},
                {k: ratio_estimate(own, v, counts) for k, v in base.items() if (v > 1e-6).all()},
            )
        )
    tilt = weight @ np.degrees(np.arctan(pred.inclination) - np.arctan(true.inclination))
    rows.append(Row("sagittal_inclination_common_deg", len(names), mean_estimate(tilt, counts)))
    for part in ("inclination", "shape"):
        p, t = (np.reshape(getattr(x, part), (len(cases), -1)) for x in (pred, true))
        origin = 0.0 if mean is None else np.reshape(getattr(mean, part), (1, -1))
        moments = Moments.of(p - origin, t - origin, weight)
        found = {"pearson_r": moments.correlation(counts), "gain_centred": moments.gain(counts, centred=True)}
        if mean is not None:
            found["gain"] = moments.gain(counts)
        rows += [Row(f"sagittal_{part}_{key}", len(names), value) for key, value in found.items()]
    for region in REGIONS:
        some = region_rows(region, SPINE_ROWS)
        if valid[some].all():
            p, t = (Parts.of(_centre(c)[:, some]).inclination[:, None] for c in (curves, truth))
            value = Moments.of(p, t, weight).correlation(counts)
            rows.append(Row(f"sagittal_{region}_pearson_r", len(names), value))
    return rows


def _centre(curves: NDArray[Any]) -> Float:
    return np.asarray(curves[:, Curve.SAGITTAL], np.float64)


@dataclass(frozen=True)
class Moments:
    """Means over the cases of each person of prediction and truth [persons, rows] and of their products
    [persons], summed over rows."""

    pred: Float
    true: Float
    pred_true: Float
    pred_pred: Float
    true_true: Float

    @classmethod
    def of(cls, pred: Float, true: Float, weight: Float) -> "Moments":
        """From cases [n, rows] and their weights in each person's mean [persons, n]."""
        products = ((a * b).sum(1) for a, b in ((pred, true), (pred, pred), (true, true)))
        return cls(weight @ pred, weight @ true, *(weight @ p for p in products))

    def correlation(self, counts: Float) -> Estimate:
        """Pearson's r of the deviations from the people's mean in each row, all rows together."""
        return estimate(
            lambda w: (
                self._covariance(w, "pred", "true")
                / np.sqrt(self._variance(w, "pred") * self._variance(w, "true"))
            ),
            counts,
        )

    def gain(self, counts: Float, *, centred: bool = False) -> Estimate:
        """Slope of the truth on the prediction: through the mean curve, or ``centred`` with an intercept."""
        if centred:
            return estimate(lambda w: self._covariance(w, "pred", "true") / self._variance(w, "pred"), counts)
        return ratio_estimate(self.pred_true, self.pred_pred, counts)

    def _covariance(self, counts: Float, one: str, two: str) -> Float:
        w = counts / counts.sum(1, keepdims=True)
        product = getattr(self, f"{one}_{two}")
        means = (w @ getattr(self, one)) * (w @ getattr(self, two))
        return np.asarray(w @ product - means.sum(1))

    def _variance(self, counts: Float, one: str) -> Float:
        return np.maximum(self._covariance(counts, one, one), 1e-12)
