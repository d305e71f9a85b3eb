"""Intervals, plausible spines and distance from the regressor's numbers and the card's calibration.

The interval is a conformal one with a normalised score (Papadopoulos et al. 2002; Angelopoulos and Bates
2023, section 2.3.2): half width = factor × predicted scale, the factor being the 90 % quantile of
|true − predicted| / scale over the calibration people, for each curve point.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from spinelift.bundle.card import Calibration, Matrix
from spinelift.curves import CORONAL, SAGITTAL, Curve, SpineCurves
from spinelift.geometry import SPINE_ROWS, SpineFrame
from spinelift.geometry.arrays import Float

FOLLOWS_PRIOR = 0.9
"""From this share of the prior's own interval on, a result says little more than the mean spine."""
UNLIKE_TRAINING = 1.0
"""Shift score from which on a scan is unlike the calibration people."""


Z90 = 1.645
"""Half width of the 90 % interval of a normal variable, in standard deviations."""
REST_ROWS = ((CORONAL, 7.5), (SAGITTAL, 20.0))
"""Correlation length, rows, of what the modes leave of the residuals in each view (docs/measures.md)."""


@dataclass(frozen=True)
class Spread:
    """How a spine may differ from the predicted one.

    ``scale_px`` [6, 209] times the modes [K, 6, 209] and the standard deviation ``rest`` [6, 209] of what the
    modes leave: together as wide as the 90 % interval.
    """

    curves: SpineCurves
    scale_px: Float
    modes: Float
    rest: Float

    def sample_px(self, n: int, seed: int = 0, curves: Sequence[Curve] = tuple(Curve)) -> Float:
        """Some curves [n, len(curves), 209] of ``n`` plausible spines, crop px; a seed gives the same spines.

        Predicted + scale × (standard normal scores [n, K] · modes + rest × smooth noise [n, 209], one of each
        view).
        """
        rng, which = np.random.default_rng(seed), list(curves)
        deviation = np.tensordot(rng.standard_normal((n, len(self.modes))), self.modes[:, which], 1)
        for view, rows in REST_ROWS:
            root = _noise_root(rows, deviation.shape[-1])
            noise = rng.standard_normal((n, len(root))) @ root
            for k, curve in enumerate(which):
                if curve in range(len(Curve))[view]:
                    deviation[:, k] += self.rest[curve] * noise
        return np.asarray(self.curves.px[which] + self.scale_px[which] * deviation)

    def sample(self, n: int, seed: int = 0) -> tuple[SpineCurves, ...]:
        """The spines of :meth:`sample_px`, whose curves are kept apart in their order by at least 1 px."""
        px = self.sample_px(n, seed)
        px[:, Curve.LEFT] = np.maximum(px[:, Curve.LEFT], px[:, Curve.CENTRE] + 1)
        px[:, Curve.RIGHT] = np.minimum(px[:, Curve.RIGHT], px[:, Curve.CENTRE] - 1)
        px[:, Curve.ANTERIOR] = np.minimum(px[:, Curve.ANTERIOR], px[:, Curve.SAGITTAL] - 1)
        px[:, Curve.POSTERIOR] = np.maximum(px[:, Curve.POSTERIOR], px[:, Curve.SAGITTAL] + 1)
        return tuple(SpineCurves(one, self.curves.frame) for one in px)


@lru_cache(maxsize=8)
def _noise_root(length_rows: float, rows: int) -> Float:
    """Root [k, rows] of the covariance exp(-d² / 2 length²) of noise of unit variance on rows."""
    apart = np.subtract.outer(np.arange(rows), np.arange(rows))
    variance, axes = np.linalg.eigh(np.exp(-0.5 * (apart / length_rows) ** 2))
    kept = variance > 1e-6 * variance[-1]
    return np.asarray(np.sqrt(variance[kept])[:, None] * axes[:, kept].T)


def image_share(prior_share: float | None) -> float | None:
    """Share of the side view that comes from the image, 0 to 1; None if it is not known.

    1 − variance of the depth given the image / variance without it. Both are those of the sagittal centre
    line, from the mean widths of their calibrated 90 % intervals, whose ratio is the ``prior_share``.
    """
    return None if prior_share is None else float(np.clip(1 - prior_share**2, 0, 1))


class Calibrator:
    """The calibration of one card as arrays; every part may be absent (None)."""

    def __init__(self, calibration: Calibration) -> None:
        self.factors, self.prior_mm = _array(calibration.interval90), _array(calibration.prior_interval90_mm)
        modes = _array(calibration.residual_modes)
        self.modes = None if modes is None else modes.reshape(-1, len(Curve), SPINE_ROWS)
        self._rest = _rest(self.factors, self.modes)
        self._mean_px = _array(calibration.mean_curves)
        self.shift = calibration.shift
        if self.shift is not None:
            self._mean, self._whitening = np.array(self.shift.mean), np.array(self.shift.whitening)

    def half_width_mm(self, scale_px: Float, mm_per_px: float) -> Float | None:
        """Half width of the 90 % interval of every curve point, mm [6, 209]."""
        return None if self.factors is None else self.factors * scale_px * mm_per_px

    def shift_score(self, features: Float) -> float | None:
        """How far features [D] lie from the calibration people.

        Their Mahalanobis distance over the distance that 99 % of the calibration people keep within:
        around 0.6 for a usual scan, 1.0 at the border of the farthest hundredth.
        """
        if self.shift is None:
            return None
        distance = float(np.linalg.norm((features - self._mean) @ self._whitening))
        return distance / self.shift.quantiles["0.99"]

    def prior_share(self, half_width_mm: Float | None) -> float | None:
        """Mean interval of the sagittal centre over the prior's own: 1.0 without any information."""
        if half_width_mm is None or self.prior_mm is None:
            return None
        return float(half_width_mm[Curve.SAGITTAL].mean() / self.prior_mm[Curve.SAGITTAL].mean())

    def mean(self, frame: SpineFrame) -> SpineCurves | None:
        """What is expected without an image, at the place of a spine."""
        return None if self._mean_px is None else SpineCurves(self._mean_px, frame)

    def spread(self, curves: SpineCurves, scale_px: Float) -> Spread | None:
        """The plausible spines around a prediction, or None without calibration."""
        if self.modes is None or self._rest is None:
            return None
        return Spread(curves, scale_px, self.modes, self._rest)

    def missing(self) -> list[str]:
        """A warning when the bundle was not calibrated, or only in part."""
        names = ("90 % intervals", "shift score", "plausible spines", "comparison with the prior")
        parts = (self.factors, self.shift, self.modes, self.prior_mm)
        absent = [name for name, part in zip(names, parts, strict=True) if part is None]
        return [f"the model bundle is not calibrated: no {', '.join(absent)}"] if absent else []


def _rest(factors: Float | None, modes: Float | None) -> Float | None:
    """Standard deviation [6, 209] of what the modes leave of the standardised residuals."""
    if modes is None:
        return None
    explained = (modes**2).sum(0)
    total = explained if factors is None else (factors / Z90) ** 2
    return np.asarray(np.sqrt(np.maximum(total - explained, 0)))


def _array(table: Matrix | None) -> Float | None:
    return None if table is None else np.array(table)


def calibration_warnings(shift_score: float | None, prior_share: float | None) -> list[str]:
    """Warnings that follow from the two scores."""
    warnings = []
    if shift_score is not None and shift_score > UNLIKE_TRAINING:
        warnings.append(
            f"the scan is unlike those of the calibration (shift score {shift_score:.2f}, usual below 1): "
            "errors may exceed the intervals"
        )
    if prior_share is not None and prior_share >= FOLLOWS_PRIOR:
        warnings.append(
            "the sagittal curve follows the prior: the image holds little information on it "
            f"(interval {100 * prior_share:.0f} % of that without any image)"
        )
    return warnings
