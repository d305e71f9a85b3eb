"""Output of every regressor, and operations from a few numbers a row to six curves."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from spinelift.curves import Curve

HEAD_PX = 10.0
"""Pixels for one unit of a network's output."""
MIN_SCALE_PX = 0.05


class Prediction(NamedTuple):
    """``curves`` [B, 6, 209] crop px; ``scale`` [B, 6, 209] px, Laplace scale; ``features`` [B, D]."""

    curves: Tensor
    scale: Tensor
    features: Tensor


def zero_mean_sagittal(curves: Tensor) -> Tensor:
    """Sagittal curves measured from the mean of the centre one [B, 6, 209] (see ``zero_sagittal``)."""
    coronal, sagittal = curves[:, :3], curves[:, 3:]
    origin = curves[:, Curve.SAGITTAL : Curve.SAGITTAL + 1].mean(2, keepdim=True)
    return torch.cat([coronal, sagittal - origin], 1)


def positive_scale(raw: Tensor) -> Tensor:
    """Positive scale in px from any number; zero gives 2 px."""
    return HEAD_PX * F.softplus(raw + math.log(math.expm1(0.2))) + MIN_SCALE_PX
