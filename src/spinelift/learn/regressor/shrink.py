"""Shrinkage of the sagittal curves towards the mean curve.

A network trained on one kind of people takes the anatomy of others for a curve, and departs too far from
the mean curve. On people unlike those of training, the true deviation from the mean curve is regressed on
the predicted one (linear shrinkage: Copas, J. R. Stat. Soc. B 45 (1983), 311-354), separately for the
inclination, a straight line in height, and the shape, which is the rest. A gain of 1 keeps a part as it was
read; 0 replaces it by the mean curve's.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from spinelift.curves import Curve
from spinelift.evaluate.bootstrap import Estimate, resample_counts
from spinelift.geometry import SPINE_ROWS
from spinelift.geometry.arrays import Float
from spinelift.learn.regressor.head import Prediction


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
