"""Augmentation of whole-body images with their masks and ends."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from spinelift.learn.images import add_patches, gaussian_blur, monotone_curves, on_some, smooth_field
from spinelift.learn.random import Random
from spinelift.learn.segmenter.config import ScanAugment, WindowConfig


class ScanBatch(NamedTuple):
    """``image`` [B, 1, H, W], 0..255; ``mask`` [B, 1, H, W], 0..1; ``ends`` [B, 2, 2] as (row, col) px."""

    image: Tensor
    mask: Tensor
    ends: Tensor


def place(batch: ScanBatch, matrix: Tensor, offset: Tensor) -> ScanBatch:
    """Show at (row, col) p from the middle the source at ``matrix`` [B, 2, 2] p + ``offset`` [B, 2], px."""
    h, w = batch.image.shape[2:]
    rows, cols = (torch.arange(n, device=matrix.device) - (n - 1) / 2 for n in (h, w))
    a, b, c, d = matrix[:, :, :, None, None].flatten(1, 2).unbind(1)
    down, across = offset[:, :, None, None].unbind(1)
    source_row = a * rows[:, None] + b * cols + down
    source_col = c * rows[:, None] + d * cols + across
    grid = torch.stack([source_col * (2 / w), source_row * (2 / h)], -1)
    both = torch.cat([batch.image, batch.mask], 1)
    moved = F.grid_sample(both, grid, "bilinear", "zeros", align_corners=False)
    # The inverse of 2 × 2 matrices: ``linalg.inv`` would wait for the device to say that there is one.
    a, b, c, d = (m[:, :, 0] for m in (a, b, c, d))
    row = batch.ends[..., 0] - (h - 1) / 2 - offset[:, :1]
    col = batch.ends[..., 1] - (w - 1) / 2 - offset[:, 1:]
    area = a * d - b * c
    ends = [(d * row - b * col) / area + (h - 1) / 2, (a * col - c * row) / area + (w - 1) / 2]
    return ScanBatch(moved[:, :1], moved[:, 1:], torch.stack(ends, -1))


def augment_scans(batch: ScanBatch, config: ScanAugment, random: Random) -> ScanBatch:
    """A random variant of every scan."""
    n, turn, shift = len(batch.image), config.rotation_deg, config.shift_px
    angle = torch.deg2rad(random.rand(n, low=-turn, high=turn))
    size = 1 / random.rand(n, low=config.scale[0], high=config.scale[1])
    side = 1 - 2 * (random.rand(n) < config.mirror).float()
    matrix = torch.stack([angle.cos(), -angle.sin() * side, angle.sin(), angle.cos() * side], -1)
    matrix = matrix.reshape(n, 2, 2) * size[:, None, None]
    rows = random.rand(n, low=-shift, high=shift)
    moved = place(batch, matrix, torch.stack([rows, random.rand(n, low=-shift / 2, high=shift / 2)], -1))
    image = _cut(moved.image, config.cut, random)
    return moved._replace(image=_tone(image, config, random))


def windows(batch: ScanBatch, config: WindowConfig, random: Random) -> ScanBatch:
    """A window around the middle of each spine, clamped to the image; any number of channels."""
    n, size = len(batch.image), config.shape
    shift = random.randint(-config.shift_px, config.shift_px + 1, n, 2)
    firsts = [
        ((batch.ends[..., k].mean(1) - size[k] / 2).round().long() + shift[:, k]).clamp(
            0, batch.image.shape[2 + k] - size[k]
        )
        for k in (0, 1)
    ]
    rows, cols = (
        first[:, None] + torch.arange(length, device=first.device)
        for first, length in zip(firsts, size, strict=True)
    )
    each = torch.arange(n, device=shift.device)[:, None, None]

    def cut(images: Tensor) -> Tensor:
        return images.movedim(1, -1)[each, rows[:, :, None], cols[:, None]].movedim(-1, 1)

    return ScanBatch(cut(batch.image), cut(batch.mask), batch.ends - torch.stack(firsts, -1)[:, None])


def _cut(image: Tensor, share: float, random: Random) -> Tensor:
    """Make rows at the feet or columns at a side black, as if the scan had ended there."""
    n, _, h, w = image.shape
    rows, cols = torch.arange(h, device=image.device)[:, None], torch.arange(w, device=image.device)
    foot = rows >= random.each(n, 0.55, 1.0) * h
    left, right = cols <= random.each(n, 0.0, 0.2) * w, cols >= random.each(n, 0.8, 1.0) * w
    for missing in (foot, left, right):
        image = image.masked_fill((random.each(n) < share) & missing, 0.0)
    return image


def _tone(image: Tensor, config: ScanAugment, random: Random) -> Tensor:
    n, size = len(image), (image.shape[2], image.shape[3])

    def field(y: Tensor, r: Random) -> Tensor:
        return y * torch.exp(0.3 * smooth_field(len(y), (8, 3), size, r))

    def blur(y: Tensor, r: Random) -> Tensor:
        return gaussian_blur(y, r.rand(len(y), high=config.blur_px), config.blur_px)

    def noise(y: Tensor, r: Random) -> Tensor:
        return y + r.randn(*y.shape) * r.each(len(y), 0, config.noise_level)

    x = image / 255.0
    x = x ** torch.exp(config.gamma * random.randn(n, 1, 1, 1))
    curve, mix = monotone_curves(n, random), random.each(n)
    curved = curve.gather(1, (x * 255).long().clamp(0, 255).flatten(1)).reshape(x.shape)
    x = torch.where(random.each(n) < config.curve, x * (1 - mix) + curved * mix, x)
    x = x * torch.exp(config.contrast * random.randn(n, 1, 1, 1))
    x = x + config.brightness * random.randn(n, 1, 1, 1) * (image > 0)
    x = on_some(x, config.field, random, field)
    x = on_some(x, config.patches, random, lambda y, r: add_patches(y, r, size_px=40.0))
    x = on_some(x, config.blur, random, blur)
    x = on_some(x, config.noise, random, noise)
    return (x * 255).clamp(0, 255)
