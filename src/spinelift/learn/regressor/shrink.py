"""Shrinking the sagittal curves towards the mean by what people unlike those of training show.

A network trained on one kind of people takes the arches of another kind for a curve, and errs too far. On
people to calibrate on, the true deviation from the mean is regressed on the predicted one (the linear
shrinkage of Copas 1983), apart for the lean of the whole (a straight line in height) and the shape that is
left; a gain of 1 leaves a part as it is, 0 answers it with the mean curve.

The lean has a ceiling besides. To tell 2.6 degrees of it (their standard deviation) from an AP image is to
tell 1.8 mm of how high arches 40 mm behind the bodies stand, which differs by more than 3 mm between people:
a share of 1.8² / (1.8² + 3²) at best. What a network reads beyond that on simulated people is how the
simulator makes people, and on real anatomy it has been found to be wrong (docs/sim-to-real.md).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spinelift.curves import Curve
from spinelift.geometry import SPINE_ROWS
from spinelift.learn.regressor.head import Prediction

Float = NDArray[np.float64]
LEAN_CEILING = 0.25
"""Largest gain of the lean."""


def lean_projection() -> Float:
    """Projection [209, 209] of a curve on straight lines through its mean height."""
    z = np.arange(SPINE_ROWS) - (SPINE_ROWS - 1) / 2
    return np.asarray(np.outer(z, z) / (z @ z))


def fit_gains(true: Float, predicted: Float, mean: Float) -> tuple[float, float]:
    """Gains of lean (at most ``LEAN_CEILING``) and shape (at most 1).

    From true and predicted curves [n, 6, 209] and the network's mean curves [6, 209].
    """
    centre = Curve.SAGITTAL
    wanted, given = (c[:, centre] - mean[centre] for c in (true, predicted))
    line = lean_projection()
    gains = []
    for part, ceiling in ((line, LEAN_CEILING), (np.eye(SPINE_ROWS) - line, 1.0)):
        a, b = wanted @ part, given @ part
        gains.append(float(np.clip((a * b).sum() / max((b * b).sum(), 1e-9), 0.0, ceiling)))
    return gains[0], gains[1]


class Shrunk(nn.Module):
    """A regressor whose sagittal centre deviates from ``mean`` [6, 209] by its gains of lean and shape.

    Front and back curves keep their distance from the centre. ``scale`` stays: it is calibrated afterwards.
    """

    mean: Tensor
    change: Tensor

    def __init__(self, model: nn.Module, mean: Float, gains: tuple[float, float]) -> None:
        super().__init__()
        self.model, self.gains = model, gains
        line = lean_projection()
        change = (gains[0] - 1) * line + (gains[1] - 1) * (np.eye(SPINE_ROWS) - line)
        self.register_buffer("mean", torch.from_numpy(mean[Curve.SAGITTAL]).float())
        self.register_buffer("change", torch.from_numpy(change).float())

    def forward(self, image: Tensor) -> Prediction:
        """Image [B, 1, 224, 224] → curves, scale, features."""
        out: Prediction = self.model(image)
        centre = out.curves[:, Curve.SAGITTAL] - self.mean
        moved = (centre @ self.change)[:, None]
        return out._replace(curves=torch.cat([out.curves[:, :3], out.curves[:, 3:] + moved], 1))
