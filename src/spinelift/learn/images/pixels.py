"""Operations on batches of images [B, 1, H, W], random ones with an explicit generator."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Generator = torch.Generator


def rand(n: int, generator: Generator, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Uniform random numbers [n, 1, 1, 1]."""
    return torch.rand(n, 1, 1, 1, generator=generator) * (high - low) + low


def on_some(
    x: Tensor, share: float, generator: Generator, change: Callable[[Tensor, Generator], Tensor]
) -> Tensor:
    """Apply ``change`` to a random share of the images."""
    chosen = torch.nonzero(torch.rand(len(x), generator=generator) < share)[:, 0]
    if len(chosen) == 0:
        return x
    out = x.clone()
    out[chosen] = change(x[chosen], generator)
    return out


def monotone_curves(n: int, generator: Generator, *, knots: int = 8) -> Tensor:
    """Random rising tone curves over 256 levels, from 0 to 1: [n, 256]."""
    steps = torch.exp(0.8 * torch.randn(n, knots, generator=generator))
    at = F.pad(steps.cumsum(1), (1, 0))
    at = at / at[:, -1:]
    return F.interpolate(at[:, None], 256, mode="linear", align_corners=True)[:, 0]


def gaussian_blur(x: Tensor, sigma: Tensor) -> Tensor:
    """Blur images [B, 1, H, W] with one sigma for each [B], px."""
    radius = max(1, int(torch.ceil(2.5 * sigma.max())))
    taps = torch.arange(-radius, radius + 1)
    kernel = torch.exp(-0.5 * (taps / sigma.clamp(min=0.05)[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True))[:, None]
    n = len(x)
    y = F.pad(x.transpose(0, 1), (radius,) * 4, mode="replicate")
    y = F.conv2d(y, kernel[:, :, None], groups=n)
    return F.conv2d(y, kernel[..., None], groups=n).transpose(0, 1)


def smooth_field(n: int, cells: tuple[int, int], size: tuple[int, int], generator: Generator) -> Tensor:
    """Random fields [n, 1, *size] with one independent value a cell, interpolated."""
    field = torch.randn(n, 1, *cells, generator=generator)
    return F.interpolate(field, size, mode="bilinear", align_corners=False)


def local_mean(x: Tensor, window: int) -> Tensor:
    """Mean over ``window`` × ``window`` pixels (odd; those inside the image), [B, 1, H, W].

    Two matrix products, which take a tenth of the time of a pooling layer on a CPU.
    """
    down, across = (_averaging(n, window) for n in x.shape[2:])
    return down @ x @ across.T


def _averaging(size: int, window: int) -> Tensor:
    """Matrix [size, size] whose rows average the ``window`` nearest elements inside the image."""
    at = torch.arange(size)
    near = ((at[:, None] - at[None]).abs() <= window // 2).float()
    return near / near.sum(1, keepdim=True)
