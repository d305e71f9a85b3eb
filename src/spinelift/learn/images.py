"""Operations on batches of images [B, 1, H, W] that all augmentations share; damage is to greys of 0..1."""

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


def add_patches(x: Tensor, generator: Generator, *, size_px: float = 24.0) -> Tensor:
    """Add one to three rotated boxes or ellipses, bright (metal) or dark, at most ``size_px`` wide."""
    n, height, width = len(x), x.shape[-2], x.shape[-1]
    rows, columns = torch.arange(height, dtype=x.dtype), torch.arange(width, dtype=x.dtype)
    for slot in range(3):
        u = torch.rand(8, n, 1, 1, 1, generator=generator)
        row, column, angle = u[0] * height, (0.25 + 0.5 * u[1]) * width, u[2] * torch.pi
        a, b = 2 + (size_px - 2) * u[3] ** 2, 2 + size_px / 2.4 * u[4] ** 2
        dr, dc = rows[:, None] - row, columns - column
        p = (dr * angle.cos() + dc * angle.sin()) / a
        q = (dc * angle.cos() - dr * angle.sin()) / b
        inside = torch.where(u[5] < 0.5, torch.maximum(p.abs(), q.abs()), p * p + q * q) < 1
        level = torch.where(u[6] < 0.6, 0.8 + 0.2 * u[7], 0.3 * u[7])
        used = (torch.rand(n, 1, 1, 1, generator=generator) < 0.5) if slot else torch.ones(n, 1, 1, 1).bool()
        x = torch.where(inside & used, level, x)
    return x


def drop_rows(x: Tensor, generator: Generator) -> Tensor:
    """Make one to three bands of rows black, or repeat the row above them."""
    n, size = len(x), x.shape[2]
    rows = torch.arange(size)
    for slot in range(3):
        start = torch.randint(0, size, (n, 1), generator=generator)
        length = 1 + (torch.rand(n, 1, generator=generator) ** 2 * 20).long()
        used = torch.rand(n, 1, generator=generator) < (1.0 if slot == 0 else 0.4)
        gap = (rows >= start) & (rows < start + length) & used
        source = torch.where(gap, (start - 1).clamp(min=0), rows)
        repeated = x.gather(2, source[:, None, :, None].expand_as(x))
        black = torch.rand(n, 1, 1, 1, generator=generator) < 0.6
        x = torch.where(gap[:, None, :, None] & black, torch.zeros(()), repeated)
    return x


def degrade(x: Tensor, generator: Generator) -> Tensor:
    """Remove detail, contrast and rows by random amounts, at the worst everything.

    A network trained on these learns to predict the mean spine with a large scale for unreadable images.
    """
    n, size = len(x), x.shape[-1]
    u = torch.rand(6, n, 1, 1, 1, generator=generator)
    kind = torch.randint(0, 4, (n,), generator=generator)[:, None, None, None]
    cells = int(torch.randint(8, 90, (1,), generator=generator))
    coarse = F.interpolate(F.adaptive_avg_pool2d(x, cells), size, mode="bilinear", align_corners=False)
    x = torch.where((kind == 0) | (u[0] < 0.3), coarse, x)
    saturated = ((x - 0.5 * u[1]) * (1 + 12 * u[2] ** 2)).clamp(0, 1)
    x = torch.where(kind == 1, saturated, x)
    mean = x.mean((2, 3), keepdim=True)
    faded = mean + (x - mean) * (1 - u[3])
    x = torch.where((kind == 2) | (u[4] < 0.2), faded, x)
    level = torch.exp(torch.log(torch.tensor(0.04)) * (1 - u[5]))
    noisy = x + level * torch.randn(x.shape, generator=generator)
    x = torch.where((kind == 2) | (u[1] < 0.4), noisy, x)
    for _ in range(3):
        x = torch.where(kind == 3, drop_rows(x, generator), x)
    cover = torch.rand(n, 1, 1, 1, generator=generator) < 0.25
    start = torch.randint(0, size, (n, 1, 1, 1), generator=generator)
    length = torch.randint(20, size, (n, 1, 1, 1), generator=generator)
    rows = torch.arange(size)[:, None]
    gone = (rows >= start) & (rows < start + length) & cover
    return torch.where(gone, torch.zeros(()), x)


def smear(x: Tensor, generator: Generator, largest_px: float) -> Tensor:
    """Blur a band of rows vertically [B, 1, H, W], so that single vertebrae cannot be seen.

    The middle of the chest on real scans looks like this, without horizontal blur.
    """
    n, rows = len(x), x.shape[2]
    sigma = rand(n, generator, 2.0, largest_px)[:, 0, 0, 0]
    radius = int(2.5 * largest_px)
    taps = torch.arange(-radius, radius + 1)
    kernel = torch.exp(-0.5 * (taps / sigma[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True))[:, None, :, None]
    padded = F.pad(x.transpose(0, 1), (0, 0, radius, radius), mode="replicate")
    smooth = F.conv2d(padded, kernel, groups=n).transpose(0, 1)
    middle, half = rand(n, generator, 0.0, rows), rand(n, generator, 0.08, 0.6) * rows
    at = torch.arange(rows, dtype=x.dtype)[None, None, :, None]
    inside = torch.sigmoid((half - (at - middle).abs()) / 3.0) * rand(n, generator, 0.3, 1.0)
    out: Tensor = x + (smooth - x) * inside
    return out
