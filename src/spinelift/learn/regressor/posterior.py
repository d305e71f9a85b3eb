"""A head that combines readings of the sagittal inclination with the shape prior, as a Gaussian posterior.

The rows from T1 to L5 have 26 levels of 8 rows. At each the network reads the slope r of the sagittal centre
curve, with the variance of its noise. The prior of the curve is its mean plus modes M of the training people,
with coefficients c ~ N(0, I). Their slopes at the levels are B c, and

    P = I + Bᵀ R⁻¹ B,    ĉ = P⁻¹ Bᵀ R⁻¹ (r − mean slope)

are precision and mean of the posterior (Bishop, Pattern Recognition and Machine Learning, 2.3.3), where the
diagonal R holds the noise and what the modes leave of the slopes. The curve is mean + M ĉ, its variance that
of M c. Where nothing is read, R⁻¹ is zero and the curve is that of the prior.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from spinelift.geometry import CROP_SIZE, FIRST_SPINE_ROW, SPINE_ROWS

LEVEL_ROWS = 8
LEVELS = (SPINE_ROWS - 1) // LEVEL_ROWS
"""Rows and number of the levels: level k goes from row 8 k to row 8 k + 8."""
FIRST_ROW = math.ceil(FIRST_SPINE_ROW)
NOISE, LEAST_NOISE, MOST_LOG = 0.1, 0.01, 12.0
"""Standard deviation of a reading's noise at first and at least, px a row; largest log of its variance over
the first one."""
LEAST_MODE = 1e-3
"""Squared length of a mode, px², below which its coefficients shrink to 0 (of fewer people than modes)."""
CONTRAST = 0.05
"""Mean square of the local contrast beside the spine at which a reading has half of its weight."""


class Posterior(NamedTuple):
    """Coefficients' ``mean`` [B, K], ``precision`` and ``covariance`` [B, K, K], log of the precision's
    determinant [B]."""

    mean: Tensor
    precision: Tensor
    covariance: Tensor
    log_det: Tensor

    def nll(self, true: Tensor) -> Tensor:
        """Negative log likelihood [B] of true coefficients [B, K], a coefficient, without its constant."""
        error = (true - self.mean)[:, None]
        square = (error @ self.precision @ error.mT).flatten()
        return (square - self.log_det) / (2 * true.shape[1])


def combine(reading: Tensor, weight: Tensor, basis: Tensor) -> Posterior:
    """Posterior of c ~ N(0, I) from readings [B, L] of B c; ``weight`` [B, L] is 1 / variance of their noise.

    ``basis`` is Bᵀ [K, L]. Computed in float64: sure and unsure readings differ in weight by 10⁴.
    """
    basis = basis.double()
    weighted = basis * weight[:, None].double()
    precision = torch.eye(len(basis), dtype=torch.float64, device=basis.device) + weighted @ basis.T
    covariance, log_det = invert(precision)
    mean = (covariance @ (weighted @ reading[..., None].double()))[..., 0]
    return Posterior(*(part.float() for part in (mean, precision, covariance, log_det)))


def invert(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Inverse and log determinant of symmetric positive definite matrices [B, K, K].

    Gauss-Jordan elimination in place, without pivots, by plain operations: ONNX has no inverse.
    """
    size, pivots = matrix.shape[-1], []
    unit = torch.eye(size, dtype=matrix.dtype, device=matrix.device)
    for k in range(size):
        pivot, one = matrix[:, k : k + 1, k : k + 1], unit[k : k + 1]
        pivots.append(pivot[:, 0, 0])
        matrix = matrix - (matrix[:, :, k : k + 1] - one.T) * (matrix[:, k : k + 1] + one) / pivot
    return matrix, torch.stack(pivots).log().sum(0)


def level_slopes(curve: Tensor) -> Tensor:
    """Mean slopes [..., 26] of curves [..., 209] at the levels, px a row."""
    return curve[..., ::LEVEL_ROWS].diff() / LEVEL_ROWS


def level_means(rows: Tensor) -> Tensor:
    """Means [B, 26] of numbers of rows [B, 209] over the steps of each level."""
    return rows[:, 1:].reshape(-1, LEVELS, LEVEL_ROWS).mean(-1)


def visible(strip: Tensor) -> Tensor:
    """Share 0..1 [B, 26] of a reading's weight that the local contrast of a strip [B, C, 224, W] leaves.

    Channel 0 is the grey. A blank strip gives 0.
    """
    rows = strip[:, 1:, FIRST_ROW : CROP_SIZE - FIRST_ROW].square().mean((1, 3))
    energy = rows.reshape(-1, LEVELS, LEVEL_ROWS).mean(-1)
    share: Tensor = energy / (energy + CONTRAST)
    return share


class PosteriorHead(nn.Module):
    """The prior of the sagittal centre curve, and the noise of what is read.

    ``modes`` [K, 209] px: mode k has the coefficient's standard deviation 1. ``rest`` [26] and ``rest_px``
    [209] are the variances of slopes and curves that the modes leave.
    """

    modes: Tensor
    rest: Tensor
    rest_px: Tensor

    def __init__(self, width: int, modes: int) -> None:
        super().__init__()
        self.noise = nn.Linear(width, 1)
        nn.init.zeros_(self.noise.weight)
        nn.init.zeros_(self.noise.bias)
        for name, shape in {
            "modes": (modes, SPINE_ROWS),
            "rest": (LEVELS,),
            "rest_px": (SPINE_ROWS,),
        }.items():
            self.register_buffer(name, torch.zeros(shape))

    @torch.no_grad()
    def fit(self, deviation: Tensor) -> None:
        """Set the prior from curves' deviations from their mean [n, 209] px, by principal components."""
        values, axes = torch.linalg.eigh(deviation.T.double() @ deviation.double() / len(deviation))
        count = len(self.modes)
        size = values[-count:].flip(0).relu().sqrt()
        self.modes.copy_(axes.T[-count:].flip(0) * size[:, None])
        left = deviation - self.coefficients(deviation) @ self.modes
        self.rest.copy_(level_slopes(left).square().mean(0))
        self.rest_px.copy_(left.square().mean(0))

    def coefficients(self, deviation: Tensor) -> Tensor:
        """Coefficients [B, K] of deviations from the mean curve [B, 209] px, by projection."""
        return deviation @ (self.modes / self.modes.square().sum(1, keepdim=True).clamp(min=LEAST_MODE)).T

    def forward(self, slope: Tensor, noise: Tensor, seen: Tensor) -> Posterior:
        """Posterior of slopes [B, 209], px a row beyond those of the mean curve.

        ``noise`` [B, 209] is the log of their variance over the first one; ``seen`` [B, 26] is `visible`.
        """
        log = level_means(noise).clamp(max=MOST_LOG)
        variance = LEAST_NOISE**2 + NOISE**2 * log.exp()
        weight = seen / (variance + seen * self.rest)
        return combine(level_means(slope), weight, level_slopes(self.modes))

    def curve(self, posterior: Posterior) -> tuple[Tensor, Tensor]:
        """Mean deviation from the mean curve and variance, [B, 209], px and px²."""
        variance = ((posterior.covariance @ self.modes) * self.modes).sum(1) + self.rest_px
        return posterior.mean @ self.modes, variance
