"""Normalisation inside the network that is robust to tone curves."""

import torch
from torch import Tensor, nn

from spinelift.learn.images.pixels import local_mean


class Normalise(nn.Module):
    """Raw image 0..255 [B, 1, H, W] → 1 + len(windows) channels.

    Channel 0 is the square root of the image, standardised over the image. The others are local contrasts:
    the difference from the local mean over the local standard deviation, for each window size, which no
    locally linear change of tone alters. ``floor`` (0..1 grey) keeps flat regions from becoming noise.
    """

    def __init__(self, windows: tuple[int, ...], floor: float = 0.015) -> None:
        super().__init__()
        self.windows, self.floor = windows, floor
        self.channels = 1 + len(windows)

    def forward(self, image: Tensor) -> Tensor:
        """[B, 1, H, W] → [B, channels, H, W]."""
        x = torch.sqrt(image.clamp(0.0, 255.0) / 255.0 + 1e-4)
        mean = x.mean((2, 3), keepdim=True)
        centred = x - mean
        spread = torch.sqrt((centred * centred).mean((2, 3), keepdim=True) + self.floor**2)
        channels = [centred / spread]
        for window in self.windows:
            difference = x - local_mean(x, window)
            deviation = torch.sqrt(local_mean(difference * difference, window) + self.floor**2)
            channels.append((difference / deviation).clamp(-4.0, 4.0))
        return torch.cat(channels, 1)
