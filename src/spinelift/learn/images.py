"""Operations on batches of images [B, 1, H, W] that all augmentations share; damage is to greys of 0..1.

All work on any device without waiting for it: shapes never depend on values of tensors.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

from spinelift.learn.random import Random


def full_precision(x: Tensor) -> AbstractContextManager[object]:
    """A context without autocast: coordinates and local contrasts need more than the 8 bits of bfloat16."""
    kind = x.device.type
    on = kind != "meta" and torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if on else nullcontext()


def on_some(x: Tensor, share: float, random: Random, change: Callable[[Tensor, Random], Tensor]) -> Tensor:
    """Apply ``change`` to a random share of the images."""
    chosen = random.some(len(x), share)
    if chosen is None:
        return x
    return x.index_copy(0, chosen, change(x.index_select(0, chosen), random))


def monotone_curves(n: int, random: Random, *, knots: int = 8) -> Tensor:
    """Random rising tone curves over 256 levels, from 0 to 1: [n, 256]."""
    steps = torch.exp(0.8 * random.randn(n, knots))
    at = F.pad(steps.cumsum(1), (1, 0))
    at = at / at[:, -1:]
    return F.interpolate(at[:, None], 256, mode="linear", align_corners=True)[:, 0]


def dice_loss(share: Tensor, mask: Tensor, *, above: float = 1e-5, below: float = 1e-5) -> Tensor:
    """1 - Dice of probabilities and a mask, both summed over the batch; ``above`` and ``below`` are added."""
    both, total = (share * mask).sum(), share.sum() + mask.sum()
    loss: Tensor = 1 - (2 * both + above) / (total + below)
    return loss


def blur_rows(x: Tensor, sigma: Tensor, largest: float) -> Tensor:
    """Blur images [B, 1, H, W] along axis 2 with one ``sigma`` each [B], at most ``largest``, px.

    The last pixels continue beyond the borders.
    """
    radius = max(1, math.ceil(2.5 * largest))
    taps = torch.arange(-radius, radius + 1, device=x.device)
    kernel = torch.exp(-0.5 * (taps / sigma.clamp(min=0.05)[:, None]) ** 2)
    kernel = kernel / kernel.sum(1, keepdim=True)
    return _by_convolution(x, kernel) if x.device.type == "cpu" else _by_matrix(x, kernel)


def _by_convolution(x: Tensor, kernel: Tensor) -> Tensor:
    """Kernels [B, 2 r + 1] along axis 2, fast on a CPU."""
    radius = kernel.shape[1] // 2
    padded = F.pad(x.transpose(0, 1), (0, 0, radius, radius), mode="replicate")
    return F.conv2d(padded, kernel[:, None, :, None], groups=len(x)).transpose(0, 1)


def _by_matrix(x: Tensor, kernel: Tensor) -> Tensor:
    """The same as a matrix product, fast on a GPU."""
    radius, size = kernel.shape[1] // 2, x.shape[2]
    at = torch.arange(size, device=x.device)
    source = (at + torch.arange(-radius, radius + 1, device=x.device)[:, None]).clamp(0, size - 1)
    chosen = (source[..., None] == at).to(x.dtype)
    matrix: Tensor = (kernel @ chosen.flatten(1)).reshape(-1, 1, size, size)
    return matrix @ x


def gaussian_blur(x: Tensor, sigma: Tensor, largest: float) -> Tensor:
    """Blur images [B, 1, H, W] with one ``sigma`` each [B], at most ``largest``, px."""
    return blur_rows(blur_rows(x, sigma, largest).mT, sigma, largest).mT


def smooth_field(n: int, cells: tuple[int, int], size: tuple[int, int], random: Random) -> Tensor:
    """Random fields [n, 1, *size] with one independent value a cell, interpolated."""
    return F.interpolate(random.randn(n, 1, *cells), size, mode="bilinear", align_corners=False)


def local_mean(x: Tensor, window: int) -> Tensor:
    """Mean over ``window`` × ``window`` pixels (odd; those inside the image), [B, 1, H, W].

    Two matrix products, which take a tenth of the time of a pooling layer on a CPU.
    """
    down, across = (_averaging(n, window, x.device) for n in x.shape[2:])
    with full_precision(x):
        return down @ x.float() @ across.T


def _averaging(size: int, window: int, device: torch.device) -> Tensor:
    """Matrix [size, size] whose rows average the ``window`` nearest elements inside the image."""
    at = torch.arange(size, device=device)
    near = ((at[:, None] - at[None]).abs() <= window // 2).float()
    return near / near.sum(1, keepdim=True)


def add_patches(x: Tensor, random: Random, *, size_px: float = 24.0) -> Tensor:
    """Add one to three rotated boxes or ellipses, bright (metal) or dark, at most ``size_px`` wide."""
    n, (height, width) = len(x), x.shape[-2:]
    rows, columns = (torch.arange(k, dtype=x.dtype, device=x.device) for k in (height, width))
    for slot in range(3):
        u = random.rand(8, n, 1, 1, 1)
        row, column, angle = u[0] * height, (0.25 + 0.5 * u[1]) * width, u[2] * torch.pi
        a, b = 2 + (size_px - 2) * u[3] ** 2, 2 + size_px / 2.4 * u[4] ** 2
        dr, dc = rows[:, None] - row, columns - column
        p = (dr * angle.cos() + dc * angle.sin()) / a
        q = (dc * angle.cos() - dr * angle.sin()) / b
        inside = torch.where(u[5] < 0.5, torch.maximum(p.abs(), q.abs()), p * p + q * q) < 1
        level = torch.where(u[6] < 0.6, 0.8 + 0.2 * u[7], 0.3 * u[7])
        used = random.each(n) < (0.5 if slot else 1.0)
        x = torch.where(inside & used, level, x)
    return x


def drop_rows(x: Tensor, random: Random) -> Tensor:
    """Make one to three bands of rows black, or repeat the row above them."""
    n, size = len(x), x.shape[2]
    rows = torch.arange(size, device=x.device)
    for slot in range(3):
        start = random.randint(0, size, n, 1)
        length = 1 + (random.rand(n, 1) ** 2 * 20).long()
        used = random.rand(n, 1) < (0.4 if slot else 1.0)
        gap = (rows >= start) & (rows < start + length) & used
        source = torch.where(gap, (start - 1).clamp(min=0), rows)
        repeated = x.gather(2, source[:, None, :, None].expand_as(x))
        x = repeated.masked_fill(gap[:, None, :, None] & (random.each(n) < 0.6), 0.0)
    return x


def degrade(x: Tensor, random: Random) -> Tensor:
    """Remove detail, contrast and rows by random amounts, at the worst everything.

    A network trained on these learns to predict the mean spine with a large scale for unreadable images.
    """
    n, size = len(x), x.shape[-1]
    u = random.rand(6, n, 1, 1, 1)
    kind = random.randint(0, 4, n, 1, 1, 1)
    cells = random.host.randrange(8, 90)
    coarse = F.interpolate(F.adaptive_avg_pool2d(x, cells), size, mode="bilinear", align_corners=False)
    x = torch.where((kind == 0) | (u[0] < 0.3), coarse, x)
    saturated = ((x - 0.5 * u[1]) * (1 + 12 * u[2] ** 2)).clamp(0, 1)
    x = torch.where(kind == 1, saturated, x)
    mean = x.mean((2, 3), keepdim=True)
    faded = mean + (x - mean) * (1 - u[3])
    x = torch.where((kind == 2) | (u[4] < 0.2), faded, x)
    level = torch.exp(math.log(0.04) * (1 - u[5]))
    noisy = x + level * random.randn(*x.shape)
    x = torch.where((kind == 2) | (u[1] < 0.4), noisy, x)
    for _ in range(3):
        x = torch.where(kind == 3, drop_rows(x, random), x)
    cover = random.each(n) < 0.25
    start, length = random.randint(0, size, n, 1, 1, 1), random.randint(20, size, n, 1, 1, 1)
    rows = torch.arange(size, device=x.device)[:, None]
    return x.masked_fill((rows >= start) & (rows < start + length) & cover, 0.0)


def smear(x: Tensor, random: Random, largest_px: float) -> Tensor:
    """Blur a band of rows vertically [B, 1, H, W], so that single vertebrae cannot be seen.

    The middle of the chest on real scans looks like this, without horizontal blur.
    """
    n, rows = len(x), x.shape[2]
    smooth = blur_rows(x, random.rand(n, low=2.0, high=largest_px), largest_px)
    middle, half = random.each(n, 0.0, rows), random.each(n, 0.08, 0.6) * rows
    at = torch.arange(rows, dtype=x.dtype, device=x.device)[:, None]
    inside = torch.sigmoid((half - (at - middle).abs()) / 3.0) * random.each(n, 0.3, 1.0)
    out: Tensor = x + (smooth - x) * inside
    return out
