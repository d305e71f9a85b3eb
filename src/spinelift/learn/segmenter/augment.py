"""Augmentation of whole-body images with their masks and ends."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from spinelift.learn.images import add_patches, gaussian_blur, monotone_curves, on_some, rand, smooth_field
from spinelift.learn.segmenter.config import ScanAugment, WindowConfig


class ScanBatch(NamedTuple):
    """``image`` [B, 1, H, W], 0..255; ``mask`` [B, 1, H, W], 0..1; ``ends`` [B, 2, 2] as (row, col) px."""

    image: Tensor
    mask: Tensor
    ends: Tensor


def place(batch: ScanBatch, matrix: Tensor, offset: Tensor) -> ScanBatch:
    """Show at (row, col) p from the middle the source at ``matrix`` [B, 2, 2] p + ``offset`` [B, 2], px."""
    h, w = batch.image.shape[2:]
    middle = torch.tensor([(h - 1) / 2, (w - 1) / 2])
    rows = torch.arange(h) - middle[0]
    cols = torch.arange(w) - middle[1]
    p = torch.stack(torch.meshgrid(rows, cols, indexing="ij"), -1)
    source = torch.einsum("bij,hwj->bhwi", matrix, p) + offset[:, None, None]
    grid = source.flip(-1) * torch.tensor([2 / w, 2 / h])
    both = torch.cat([batch.image, batch.mask], 1)
    moved = F.grid_sample(both, grid, "bilinear", "zeros", align_corners=False)
    away = (batch.ends - middle - offset[:, None])[..., None]
    ends = (torch.linalg.inv(matrix)[:, None] @ away)[..., 0] + middle
    return ScanBatch(moved[:, :1], moved[:, 1:], ends)


def augment_scans(batch: ScanBatch, config: ScanAugment, generator: torch.Generator) -> ScanBatch:
    """A random variant of every scan."""
    n = len(batch.image)

    def flat(low: float, high: float) -> Tensor:
        return rand(n, generator, low, high)[:, 0, 0, 0]

    angle = torch.deg2rad(flat(-config.rotation_deg, config.rotation_deg))
    size = 1 / flat(*config.scale)
    side = torch.where(flat(0, 1) < config.mirror, -1.0, 1.0)
    matrix = torch.stack([angle.cos(), -angle.sin() * side, angle.sin(), angle.cos() * side], -1)
    matrix = matrix.reshape(n, 2, 2) * size[:, None, None]
    shift = config.shift_px
    offset = torch.stack([flat(-shift, shift), flat(-shift / 2, shift / 2)], -1)
    moved = place(batch, matrix, offset)
    image = _cut(moved.image, config.cut, generator)
    return moved._replace(image=_tone(image, config, generator))


def windows(batch: ScanBatch, config: WindowConfig, generator: torch.Generator) -> ScanBatch:
    """A window around the middle of each spine, clamped to the image; any number of channels."""
    rows, cols = config.shape
    limit = torch.tensor(batch.image.shape[2:]) - torch.tensor(config.shape)
    shift = torch.randint(-config.shift_px, config.shift_px + 1, (len(batch.image), 2), generator=generator)
    first = (batch.ends.mean(1) - torch.tensor(config.shape) / 2).round().long() + shift
    first = first.clamp(min=torch.zeros(2, dtype=torch.long), max=limit)

    def cut(images: Tensor) -> Tensor:
        places = zip(images, first.tolist(), strict=True)
        return torch.stack([x[:, r : r + rows, c : c + cols] for x, (r, c) in places])

    return ScanBatch(cut(batch.image), cut(batch.mask), batch.ends - first[:, None])


def _cut(image: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Make rows at the feet or columns at a side black, as if the scan had ended there."""
    n, _, h, w = image.shape
    foot = (torch.arange(h) < rand(n, generator, 0.55, 1.0) * h).transpose(2, 3)
    left = torch.arange(w) > rand(n, generator, 0.0, 0.2) * w
    right = torch.arange(w) < rand(n, generator, 0.8, 1.0) * w
    for kept in (foot.reshape(n, 1, h, 1), left, right):
        image = torch.where((rand(n, generator) < share) & ~kept, torch.zeros(()), image)
    return image


def _tone(image: Tensor, config: ScanAugment, generator: torch.Generator) -> Tensor:
    n, size = len(image), (image.shape[2], image.shape[3])

    def field(y: Tensor, g: torch.Generator) -> Tensor:
        return y * torch.exp(0.3 * smooth_field(len(y), (8, 3), size, g))

    def blur(y: Tensor, g: torch.Generator) -> Tensor:
        return gaussian_blur(y, rand(len(y), g, 0, config.blur_px).flatten())

    def noise(y: Tensor, g: torch.Generator) -> Tensor:
        return y + torch.randn(y.shape, generator=g) * rand(len(y), g, 0, config.noise_level)

    x = image / 255.0
    x = x ** torch.exp(config.gamma * torch.randn(n, 1, 1, 1, generator=generator))
    curve, mix = monotone_curves(n, generator), rand(n, generator)
    curved = curve.gather(1, (x * 255).long().clamp(0, 255).flatten(1)).reshape(x.shape)
    x = torch.where(rand(n, generator) < config.curve, x * (1 - mix) + curved * mix, x)
    x = x * torch.exp(config.contrast * torch.randn(n, 1, 1, 1, generator=generator))
    x = x + config.brightness * torch.randn(n, 1, 1, 1, generator=generator) * (image > 0)
    x = on_some(x, config.field, generator, field)
    x = on_some(x, config.patches, generator, lambda y, g: add_patches(y, g, size_px=40.0))
    x = on_some(x, config.blur, generator, blur)
    x = on_some(x, config.noise, generator, noise)
    return (x * 255).clamp(0, 255)
