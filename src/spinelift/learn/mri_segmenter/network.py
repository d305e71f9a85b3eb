"""The two networks of the MRI segmenter."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spinelift.learn.mri_segmenter.config import MriNetworkConfig
from spinelift.segment.mri import CHANNELS

BRIGHTEST = 2.5
"""Greys above are clipped; 1 is the brightest tenth of the window."""


def _block(before: int, after: int, *, stride: int = 1) -> nn.Sequential:
    """A strided convolution (kernel 4, so that nothing shifts by half a voxel), then one more."""
    kernel = 4 if stride == 2 else 3
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(),
        nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(),
    )  # fmt: skip


class SliceNetwork(nn.Module):
    """Triples [B, 6, 96, 96] → probability of spine [B, 96, 96] and features of the slice [B, F].

    The first feature is the height as a share of T1 to L5: 0 at T1's upper, 1 at L5's lower endplate.
    """

    def __init__(self, config: MriNetworkConfig) -> None:
        super().__init__()
        c1, c2, c3, c4 = config.channels
        self.down1, self.down2 = _block(CHANNELS, c1, stride=2), _block(c1, c2, stride=2)
        self.down3, self.down4 = _block(c2, c3, stride=2), _block(c3, c4, stride=2)
        self.up3, self.up2, self.up1 = _block(c4 + c3, c3), _block(c3 + c2, c2), _block(c2 + c1, c1)
        self.last = nn.Conv2d(c1, 4, 3, 1, 1)
        self.features = nn.Sequential(nn.Linear(c4 * 9, 64), nn.ReLU(), nn.Linear(64, config.features))

    def logits(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Before the sigmoid, and the features."""
        x1 = self.down1(image.clamp(0.0, BRIGHTEST))
        x2 = self.down2(x1)
        x3 = self.down3(x2)
        x4 = self.down4(x3)
        y = self.up3(torch.cat([F.interpolate(x4, scale_factor=2.0, mode="bilinear"), x3], 1))
        y = self.up2(torch.cat([F.interpolate(y, scale_factor=2.0, mode="bilinear"), x2], 1))
        y = self.up1(torch.cat([F.interpolate(y, scale_factor=2.0, mode="bilinear"), x1], 1))
        mask = F.pixel_shuffle(self.last(y), 2)[:, 0]
        return mask, self.features(F.avg_pool2d(x4, 2).flatten(1))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities and features."""
        mask, features = self.logits(image)
        return torch.sigmoid(mask), features


class EndsNetwork(nn.Module):
    """Features of all slices [1, F, Z] → distributions of T1's and L5's outer ends [1, 2, Z]."""

    def __init__(self, config: MriNetworkConfig) -> None:
        super().__init__()
        width = config.ends_width
        layers: list[nn.Module] = [nn.Conv1d(config.features, width, 5, padding=2), nn.ReLU()]
        for step in (1, 2, 4, 8, 16):
            layers += [nn.Conv1d(width, width, 5, padding=2 * step, dilation=step), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv1d(width, 2, 1))

    def logits(self, features: Tensor) -> Tensor:
        """Before the softmax."""
        out: Tensor = self.layers(features)
        return out

    def forward(self, features: Tensor) -> Tensor:
        """Probabilities."""
        return self.logits(features).softmax(2)
