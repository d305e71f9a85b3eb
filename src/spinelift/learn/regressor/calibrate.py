"""Shrinkage and calibration of a trained regressor on people used neither for training nor for testing.

A network trained on one kind of people takes the anatomy of others for a curve, and departs too far from
the mean curve. On people unlike those of training, the true deviation from the mean curve is regressed on
the predicted one (linear shrinkage: Copas, J. R. Stat. Soc. B 45 (1983), 311-354), separately for the
inclination, a straight line in height, and the shape, which is the rest. A gain of 1 keeps a part as it was
read; 0 replaces it by the mean curve's.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from spinelift.bundle.card import Calibration, Shift
from spinelift.curves import Curve
from spinelift.errors import ConfigError
from spinelift.evaluate.bootstrap import Estimate, resample_counts
from spinelift.geometry import SPINE_ROWS
from spinelift.geometry.arrays import Float
from spinelift.learn.random import Random
from spinelift.learn.regressor.augment import Batch, draw_placement, place
from spinelift.learn.regressor.config import GeometryAugment, ToneAugment
from spinelift.learn.regressor.head import Prediction
from spinelift.learn.regressor.tone import change_tone
from spinelift.learn.regressor.train import batch_of
from spinelift.store.memory import Pairs

JITTER = GeometryAugment(mirror=0.5, warp=0, warp_px=0, tilt_px=0, width=0, scale=0.01, row_px=1, column_px=1)
"""Errors of the crop's place, as a segmenter makes them."""
POOL = 8
"""Rows to either side whose residuals share a quantile: a vertebra and a half in all."""
LEVEL, MODES, DIRECTIONS = 0.9, 6, 24
BATCH = 64
MIN_PEOPLE = 2 * DIRECTIONS
"""Least number of people to calibrate on."""


def calibrate(model: nn.Module, pairs: Pairs, *, source: str) -> Calibration:
    """All parts of the card's calibration.

    Intervals and modes come from two images of every person: as simulated, and with the augmentation of tone,
    noise and damage of training, so that they hold for worse images too; each with a jittered crop. The
    reference of the shift is the images as simulated. Pairs with unknown rows are left out. Raises
    ConfigError if there are too few people.
    """
    pairs = whole(pairs)
    check_enough(len(pairs), "to calibrate on, with all rows known")
    seen = list(_predictions(model, pairs))
    residual = _joined([(placed.curves - out.curves) / out.scale for placed, out in seen])
    plain = seen[: len(seen) // 2]
    mean = pairs.curves.mean(0, dtype=np.float64)
    away = np.abs(pairs.curves - mean) * pairs.mm_per_px[:, None, None]
    return Calibration(
        interval90=_table(conformal_factors(residual), 3),
        shift=shift_reference(_joined([out.features for _, out in plain])),
        residual_modes=_table(residual_modes(residual), 3),
        mean_curves=_table(mean, 2),
        prior_interval90_mm=_table(np.quantile(away, LEVEL, axis=0), 2),
        source=source,
    )


def whole(pairs: Pairs) -> Pairs:
    """The pairs all of whose rows are known."""
    return pairs if pairs.valid.all() else pairs.take(np.flatnonzero(pairs.valid.all(1)))


def check_enough(people: int, what: str) -> None:
    """Raise a :class:`ConfigError` if the people are too few to calibrate on; ``what`` says who they are."""
    if people < MIN_PEOPLE:
        raise ConfigError(
            found=f"{people} pairs {what}",
            expected=f"at least {MIN_PEOPLE}",
            do="Give a larger store, or more folds of the training people.",
        )


def measure_gains(model: nn.Module, mean: Float, pairs: Pairs) -> tuple[Estimate, Estimate]:
    """Gains of inclination and shape on the images that `calibrate` uses."""
    pairs = whole(pairs)
    check_enough(len(pairs), "to fit gains on, with all rows known")
    seen = list(_predictions(model, pairs))
    shape = (2, len(pairs), *mean.shape)
    true, given = _joined([placed.curves for placed, _ in seen]), _joined([out.curves for _, out in seen])
    return fit_gains(true.reshape(shape), given.reshape(shape), mean)


def _joined(parts: list[Tensor]) -> Float:
    return torch.cat(parts).double().numpy()


def _predictions(model: nn.Module, pairs: Pairs) -> Iterator[tuple[Batch, Prediction]]:
    """All people as simulated, then all with augmented tones; each with a jittered crop."""
    random = Random()
    for tone in (None, ToneAugment()):
        for i in range(0, len(pairs), BATCH):
            part = batch_of(pairs, slice(i, i + BATCH))
            placed = place(part, draw_placement(len(part.image), JITTER, random))
            image = placed.image if tone is None else change_tone(placed.image, tone, random)
            with torch.inference_mode():
                yield placed, model.eval()(image)


def conformal_factors(residual: Float, level: float = LEVEL) -> Float:
    """Factors [6, 209] on the scale, from standardised residuals [n, 6, 209], for the interval of ``level``.

    The ⌈level (n + 1)⌉-th smallest |residual| (Angelopoulos and Bates 2023, section 1), over the rows
    within ``POOL``: neighbours hardly differ, and a window steadies the quantile.
    """
    size = np.abs(residual)
    quantile = min(1.0, math.ceil((len(size) + 1) * level) / len(size))
    out = np.empty(size.shape[1:])
    for k in range(SPINE_ROWS):
        window = size[:, :, max(0, k - POOL) : k + POOL + 1].transpose(1, 0, 2)
        out[:, k] = np.quantile(window.reshape(len(window), -1), quantile, axis=1, method="higher")
    return out


def residual_modes(residual: Float, modes: int = MODES) -> Float:
    """Principal modes [modes, 6 × 209] of standardised residuals, each times its score's deviation."""
    flat = residual.reshape(len(residual), -1)
    limit = np.quantile(np.abs(flat), 0.995, axis=0)
    flat = np.clip(flat, -limit, limit)
    _, sizes, axes = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    out: Float = axes[:modes] * sizes[:modes, None] / math.sqrt(len(flat))
    return out


def shift_reference(features: Float, directions: int = DIRECTIONS) -> Shift:
    """Mean and whitening from the even people, quantiles of the distance from the odd ones."""
    fitted, held = features[::2], features[1::2]
    mean = fitted.mean(0)
    _, sizes, axes = np.linalg.svd(fitted - mean, full_matrices=False)
    k = min(directions, len(sizes))
    deviation = np.maximum(sizes[:k] / math.sqrt(len(fitted)), 1e-6)
    whitening = np.array([[float(f"{v:.4g}") for v in row] for row in axes[:k].T / deviation])
    distance = np.linalg.norm((held - mean.round(5)) @ whitening, axis=1)
    return Shift(
        mean=mean.round(5).tolist(),
        whitening=whitening.tolist(),
        quantiles={f"{q:g}": round(float(np.quantile(distance, q)), 4) for q in (0.5, 0.9, 0.95, 0.99)},
    )


def _table(values: Float, digits: int) -> list[list[float]]:
    table: list[list[float]] = (values.round(digits) + 0.0).tolist()
    return table


class Gains(NamedTuple):
    """Factors on the deviation of the predicted sagittal centre curve from the mean curve."""

    inclination: float
    shape: float


def inclination_projection() -> Float:
    """Projection [209, 209] of a curve on straight lines through its mean height."""
    z = np.arange(SPINE_ROWS) - (SPINE_ROWS - 1) / 2
    return np.asarray(np.outer(z, z) / (z @ z))


def fit_gains(true: Float, predicted: Float, mean: Float) -> tuple[Estimate, Estimate]:
    """Gains of inclination and shape, at least 0, with their bootstrap intervals over people.

    From true and predicted curves [images, people, 6, 209] and the network's mean curves [6, 209].
    """
    wanted, given = (c[:, :, Curve.SAGITTAL] - mean[Curve.SAGITTAL] for c in (true, predicted))
    counts = resample_counts(true.shape[1])
    line = inclination_projection()

    def gain(part: Float) -> Estimate:
        a, b = wanted @ part, given @ part
        products, squares = (a * b).sum((0, 2)), (b * b).sum((0, 2))
        rounds = counts @ products / np.maximum(counts @ squares, 1e-9)
        value = products.sum() / max(squares.sum(), 1e-9)
        return Estimate(*(max(0.0, float(v)) for v in (value, *np.percentile(rounds, [2.5, 97.5]))))

    return gain(line), gain(np.eye(SPINE_ROWS) - line)


class Shrunk(nn.Module):
    """A regressor whose sagittal centre curve deviates from ``mean`` [6, 209] by its gains.

    Anterior and posterior curves keep their distance from the centre. ``scale`` stays; it is calibrated
    afterwards.
    """

    mean: Tensor
    change: Tensor

    def __init__(self, model: nn.Module, mean: Float, gains: Gains) -> None:
        super().__init__()
        self.model = model
        line = inclination_projection()
        change = (gains.inclination - 1) * line + (gains.shape - 1) * (np.eye(SPINE_ROWS) - line)
        self.register_buffer("mean", torch.from_numpy(mean[Curve.SAGITTAL]).float())
        self.register_buffer("change", torch.from_numpy(change).float())

    def forward(self, image: Tensor) -> Prediction:
        """Image [B, 1, 224, 224] → curves, scale, features."""
        out: Prediction = self.model(image)
        centre = out.curves[:, Curve.SAGITTAL] - self.mean
        moved = (centre @ self.change)[:, None]
        return out._replace(curves=torch.cat([out.curves[:, :3], out.curves[:, 3:] + moved], 1))
