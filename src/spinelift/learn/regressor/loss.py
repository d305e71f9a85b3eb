"""Loss of the regressor."""

import torch
from torch import Tensor

from spinelift.curves import Curve
from spinelift.learn.regressor.config import LossConfig
from spinelift.learn.regressor.head import Prediction

SLOPE_ROWS = 8
"""Rows over which the slope of a centre curve is compared: about a vertebra."""


def regressor_losses(prediction: Prediction, curves: Tensor, config: LossConfig) -> dict[str, Tensor]:
    """L1 (paper, 3.2) + Laplace negative log likelihood log 2s + |e| / s + squared second difference + slope.

    ``curves`` [B, 6, 209] crop px. ``loss`` is the weighted sum; the parts are unweighted.
    """
    error = (prediction.curves - curves).abs()
    weight = error.new_tensor([1.0] * 3 + [config.sagittal] * 3)[:, None]
    l1 = (error * weight / weight.mean()).mean()
    fixed = error.detach() if config.nll_detach else error
    nll = (torch.log(2 * prediction.scale) + fixed / prediction.scale).mean()
    centres = [Curve.CENTRE, Curve.SAGITTAL]
    change = prediction.curves[:, centres] - curves[:, centres]
    slope = (change[..., SLOPE_ROWS:] - change[..., :-SLOPE_ROWS]).abs().mean()
    smooth = prediction.curves.diff(n=2, dim=2).square().mean()
    loss = config.l1 * l1 + config.nll * nll + config.smooth * smooth + config.slope * slope
    return {"loss": loss, "l1": l1, "nll": nll, "smooth": smooth, "slope": slope}
