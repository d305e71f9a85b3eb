"""The row-token network: locate the spine in each row, straighten it, encode every row, combine the rows.

1. *Locate*: a small convolutional net gives, for each of 56 rows (4 px apart), where along the row the
   spine's centre lies: a soft-argmax over 56 columns.
2. *Straighten*: every row of the image is shifted so that the spine lies along the middle of a strip 64 px
   wide. The content of a row then does not depend on the position of the spine.
3. *Encode*: a convolutional net over the strip keeps its 56 rows and folds its columns into one token a row;
   features of the whole row at low resolution are added.
4. *Combine*: transformer layers over the rows, then a linear layer to the numbers of each row.

The sagittal centre is the sum of the rows' slopes, or, with the posterior head, what those slopes and the
prior say of it together (``posterior``).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spinelift.curves import Curve
from spinelift.geometry import CROP_SIZE, SPINE_CROP_ROWS, SPINE_ROWS
from spinelift.learn.images import full_precision
from spinelift.learn.regressor.config import RowsConfig
from spinelift.learn.regressor.head import HEAD_PX, Prediction, positive_scale, zero_mean_sagittal
from spinelift.learn.regressor.layers import Block, Layer, Normalise
from spinelift.learn.regressor.posterior import Posterior, PosteriorHead, visible

SLOPE_UNIT = 0.02
STRIP = 64
"""Columns of the straightened strip, px."""
TOKENS, TOKEN_STRIDE, FIRST_TOKEN = CROP_SIZE // 4, 4.0, 1.5
"""Rows of the feature maps, crop px from one to the next, crop row of the first."""


def row_weights(rows: Sequence[float]) -> Tensor:
    """Linear interpolation [56, rows] from the rows of the tokens to crop rows."""
    weights = torch.zeros(TOKENS, len(rows))
    for k, row in enumerate(rows):
        at = min(max((row - FIRST_TOKEN) / TOKEN_STRIDE, 0.0), TOKENS - 1.0)
        i = min(int(at), TOKENS - 2)
        weights[i, k], weights[i + 1, k] = 1 - (at - i), at - i
    return weights


def sagittal_from_slopes(heads: Tensor) -> Tensor:
    """Heads [B, 3, 209] → front, centre, back deviations: the centre is the running sum of its head.

    A row of an AP image shows the sagittal inclination of the spine, not its depth: the token of a row
    holds its slope, and the sum of the slopes is the curve. A head of 1 is a slope of `SLOPE_UNIT` ×
    `HEAD_PX` px a row; the front and back curves are measured from the centre.
    """
    centre = SLOPE_UNIT * torch.cumsum(heads[:, 1:2], 2)
    return beside_centre(heads, centre - centre.mean(2, keepdim=True))


def beside_centre(heads: Tensor, centre: Tensor) -> Tensor:
    """Front, centre and back [B, 3, 209] from a centre [B, 1, 209] and the first and last of the heads."""
    return torch.cat([heads[:, :1] + centre, centre, heads[:, 2:] + centre], 1)


def _dilated(width: int, step: int) -> nn.Sequential:
    convolution = nn.Conv2d(width, width, 3, 1, step, dilation=step, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU())


class Locator(nn.Module):
    """Normalised image [B, C, 224, 224] → spine centre at 56 rows, crop px, and a map [B, F, 56, 56]."""

    columns: Tensor

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(inputs, 16, 4, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
            Block(16, width, (2, 2)), *(_dilated(width, step) for step in (1, 2, 4)),
        )  # fmt: skip
        self.heat = nn.Conv2d(width, 1, 1)
        self.register_buffer("columns", FIRST_TOKEN + TOKEN_STRIDE * torch.arange(TOKENS), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Centres [B, 56] and features."""
        features = self.features(x)
        share = self.heat(features)[:, 0].softmax(-1)
        return (share * self.columns).sum(-1), features


class Guided(NamedTuple):
    """What the losses need: prediction, located centre [B, 56], and the posterior of that head."""

    prediction: Prediction
    found: Tensor
    posterior: Posterior | None


class RowsRegressor(nn.Module):
    """Image 0..255 [B, 1, 224, 224] → :class:`Prediction`."""

    mean_curves: Tensor
    to_curves: Tensor
    to_image: Tensor
    offsets: Tensor

    def __init__(self, config: RowsConfig, mean_curves: Tensor) -> None:
        super().__init__()
        c0, c1, c2, c3 = config.channels
        width = config.width
        self.normalise = Normalise(tuple(config.windows))
        self.locate = Locator(self.normalise.channels, config.context)
        self.read = nn.Sequential(
            nn.Conv2d(self.normalise.channels, c0, 4, 2, 1, bias=False), nn.BatchNorm2d(c0), nn.ReLU(),
            Block(c0, c1, (2, 1)), Block(c1, c2, (1, 2)), Block(c2, c3, (1, 2)),
            *(Block(c3, c3, (1, 1)) for _ in range(config.extra_blocks)),
        )  # fmt: skip
        self.project = nn.Linear(c3 * STRIP // 8, width)
        self.around = nn.Linear(7 * config.context, width)
        self.position = nn.Parameter(torch.randn(TOKENS, width) * 0.02)
        self.distance = nn.Parameter(torch.zeros(config.heads, 2 * TOKENS - 1))
        self.layers = nn.ModuleList(Layer(width, config.heads, config.dropout) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(config.dropout)
        self.curves = nn.Linear(width, 6)
        self.scale = nn.Linear(width, 6)
        for head in (self.curves, self.scale):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        self.posterior = PosteriorHead(width, config.modes) if config.head == "posterior" else None
        self.register_buffer("mean_curves", mean_curves.reshape(6, SPINE_ROWS).clone().float())
        self.register_buffer("to_curves", row_weights(SPINE_CROP_ROWS.tolist()), persistent=False)
        self.register_buffer("to_image", row_weights(range(CROP_SIZE)), persistent=False)
        rows = torch.arange(TOKENS)
        self.register_buffer("offsets", rows[:, None] - rows[None] + TOKENS - 1, persistent=False)

    def forward(self, image: Tensor) -> Prediction:
        """Curves in crop px, their Laplace scale, and the mean token."""
        x = self.normalise(image)
        centre, around = self.locate(x)
        return self._read(x, centre, around)[0]

    def guided(self, image: Tensor, centre: Tensor, share: float) -> Guided:
        """The same for training: a ``share`` of the strips follows a given centre [B, 56].

        The strips are useful from the first step on, and the later layers see the locator's own errors as
        well.
        """
        x = self.normalise(image)
        found, around = self.locate(x)
        given = torch.rand(len(image), 1, device=image.device) < share
        prediction, posterior = self._read(x, torch.where(given, centre, found.detach()), around)
        return Guided(prediction, found, posterior)

    def coefficients(self, curves: Tensor) -> Tensor:
        """Coefficients [B, K] of curves [B, 6, 209] under the prior of the posterior head."""
        assert self.posterior is not None
        return self.posterior.coefficients((curves - self.mean_curves)[:, Curve.SAGITTAL])

    def _read(self, x: Tensor, centre: Tensor, around: Tensor) -> tuple[Prediction, Posterior | None]:
        with full_precision(x):
            strip = straighten(x, centre @ self.to_image)
            seen = visible(strip)
        strip = self.read(strip)
        wide = F.avg_pool2d(around, (1, TOKENS // 7))
        tokens = self.project(strip.permute(0, 2, 3, 1).flatten(2)) + self.position
        tokens = tokens + self.around(wide.permute(0, 2, 3, 1).flatten(2))
        distance = self.distance[:, self.offsets]
        for layer in self.layers:
            tokens = layer(tokens, distance)
        with full_precision(x):
            tokens = self.norm(tokens.float())
            return self._predict(tokens, self.drop(tokens), centre, seen)

    def _predict(
        self, tokens: Tensor, dropped: Tensor, centre: Tensor, seen: Tensor
    ) -> tuple[Prediction, Posterior | None]:
        heads = self.curves(dropped).transpose(1, 2) @ self.to_curves
        usual = self.mean_curves
        beside = usual[:3] - usual[Curve.CENTRE]
        coronal = HEAD_PX * heads[:, :3] + (centre @ self.to_curves)[:, None] + beside
        scale = positive_scale(self.scale(dropped)).transpose(1, 2) @ self.to_curves
        sides, posterior = HEAD_PX * heads[:, 3:], None
        if self.posterior is None:
            sagittal = sagittal_from_slopes(sides)
        else:
            noise = self.posterior.noise(dropped)[..., 0] @ self.to_curves
            posterior = self.posterior(SLOPE_UNIT * sides[:, 1], noise, seen)
            mean, variance = self.posterior.curve(posterior)
            sagittal = beside_centre(sides, mean[:, None])
            deep = (scale[:, 3:].square() + variance.detach()[:, None] / 2).sqrt()  # Laplace: variance 2 s²
            scale = torch.cat([scale[:, :3], deep], 1)
        curves = zero_mean_sagittal(torch.cat([coronal, sagittal + usual[3:]], 1))
        return Prediction(curves, scale, tokens.mean(1)), posterior


def straighten(x: Tensor, centre: Tensor) -> Tensor:
    """Strip [B, C, 224, 64] whose columns 31.5 lie on ``centre`` [B, 224] (crop px) of x [B, C, 224, 224]."""
    across = torch.arange(STRIP, dtype=x.dtype, device=x.device) - (STRIP - 1) / 2
    columns = (centre[:, :, None] + across + 0.5) * (2 / CROP_SIZE) - 1
    rows = (torch.arange(CROP_SIZE, dtype=x.dtype, device=x.device) + 0.5) * (2 / CROP_SIZE) - 1
    grid = torch.stack([columns, rows[None, :, None].expand_as(columns)], -1)
    return F.grid_sample(x, grid, "bilinear", "zeros", align_corners=False)
