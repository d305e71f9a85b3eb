"""Layers of the row-token network."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spinelift.learn.images import local_mean

Stride = tuple[int, int]


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


class Block(nn.Module):
    """Residual block. A strided side has kernel 4, so that outputs lie in the middle of their inputs.

    (With kernel 3 and stride 2 they would lie half a pixel off, and a mirrored image would not give
    mirrored features.)
    """

    def __init__(self, inputs: int, outputs: int, stride: Stride) -> None:
        super().__init__()
        kernel = (4 if stride[0] == 2 else 3, 4 if stride[1] == 2 else 3)
        self.conv1 = nn.Conv2d(inputs, outputs, kernel, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.skip: nn.Module = nn.Identity()
        if stride != (1, 1) or inputs != outputs:
            pool = nn.AvgPool2d(stride, stride) if stride != (1, 1) else nn.Identity()
            across = nn.Conv2d(inputs, outputs, 1, bias=False)
            self.skip = nn.Sequential(pool, across, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] → [B, outputs, H / stride, W / stride]."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.skip(x))


class Layer(nn.Module):
    """Pre-norm transformer layer over rows, written out so that it exports plainly."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, distance: Tensor) -> Tensor:
        """Tokens [B, T, C]; ``distance`` [heads, T, T] is added to the attention's logits."""
        b, t, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(b, t, 3, self.heads, c // self.heads).unbind(2)
        logits = q.transpose(1, 2) @ k.permute(0, 2, 3, 1) * (c // self.heads) ** -0.5 + distance
        mixed = (logits.softmax(-1) @ v.transpose(1, 2)).transpose(1, 2).reshape(b, t, c)
        x = x + self.drop(self.out(mixed))
        x = x + self.drop(self.down(F.gelu(self.up(self.norm2(x)))))
        return x
