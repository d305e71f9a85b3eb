"""Augmentation of the grey levels of crops: tone, blur, noise, damage. Images are 0..255."""

from collections.abc import Callable

import torch
from torch import Tensor

from spinelift.learn import images
from spinelift.learn.images import local_mean, on_some, rand, smooth_field
from spinelift.learn.regressor.config import ToneAugment

Generator = torch.Generator


def tone_tables(n: int, config: ToneAugment, generator: Generator) -> Tensor:
    """Look-up tables over 256 levels, 0..1 → 0..1: [n, 256]."""
    level = torch.linspace(0, 1, 256).expand(n, 256)

    def normal(spread: float) -> Tensor:
        return spread * torch.randn(n, 1, generator=generator)

    def chance(share: float) -> Tensor:
        return torch.rand(n, 1, generator=generator) < share

    y = level ** torch.exp(normal(config.gamma))
    mix = torch.rand(n, 1, generator=generator)
    curve = images.monotone_curves(n, generator)
    y = torch.where(chance(config.curve), y * (1 - mix) + curve * mix, y)
    y = y * torch.exp(normal(config.contrast)) + normal(config.brightness)
    gain = 1.0 + (config.saturate_gain - 1.0) * torch.rand(n, 1, generator=generator)
    y = torch.where(chance(config.saturate), y * gain, y).clamp(0, 1)
    air = torch.where(chance(config.keep_air), torch.zeros(()), y[:, :1])
    return torch.cat([air, y[:, 1:]], 1)


def change_tone(image: Tensor, config: ToneAugment, generator: Generator) -> Tensor:
    """A random variant of images [B, 1, H, W] of 0..255."""
    n, size = len(image), image.shape[-1]

    def local(x: Tensor, g: Generator) -> Tensor:
        base = local_mean(x, config.local_window)
        return base + (x - base) * torch.exp(rand(len(x), g, *config.local_log))

    def field(x: Tensor, g: Generator) -> Tensor:
        cells = (config.field_cells,) * 2
        return x * torch.exp(config.field_log * smooth_field(len(x), cells, (size, size), g))

    def blur(largest: float) -> Callable[[Tensor, Generator], Tensor]:
        return lambda x, g: images.gaussian_blur(x, rand(len(x), g, 0.0, largest)[:, 0, 0, 0])

    def noise(x: Tensor, g: Generator) -> Tensor:
        shot = torch.sqrt(x.clamp(min=0.0) + config.noise_floor)
        return x + torch.randn(x.shape, generator=g) * shot * rand(len(x), g, 0, 2 * config.noise_level)

    def grain(x: Tensor, g: Generator) -> Tensor:
        cells = (size // config.grain_px,) * 2
        return x + smooth_field(len(x), cells, (size, size), g) * rand(len(x), g, 0, 2 * config.noise_level)

    def bone_grain(x: Tensor, g: Generator) -> Tensor:
        limits = config.bone_grain_rows, config.bone_grain_columns
        rows, columns = (int(torch.randint(*limit, (1,), generator=g)) for limit in limits)
        above = (x - local_mean(x, config.local_window)).clamp(min=0.0)
        texture = smooth_field(len(x), (rows, columns), (size, size), g)
        return x + above * texture * rand(len(x), g, 0, 2 * config.bone_grain_level)

    def lines(x: Tensor, g: Generator) -> Tensor:
        wobble = torch.randn(2, len(x), 1, size, 1, generator=g) * config.lines_level
        wobble = wobble * torch.rand(2, len(x), 1, 1, 1, generator=g)
        return x * (1 + wobble[0]) + wobble[1] * config.lines_offset

    index = image.round().clamp(0, 255).long().flatten(1)
    x = tone_tables(n, config, generator).gather(1, index).reshape(image.shape)
    x = on_some(x, config.field, generator, field)
    x = on_some(x, config.local, generator, local)
    x = on_some(x, config.smear, generator, lambda v, g: images.smear(v, g, config.smear_px))
    x = on_some(x, config.bone_grain, generator, bone_grain)
    x = on_some(x, config.patches, generator, images.add_patches)
    x = on_some(x, config.blur, generator, blur(config.blur_px))
    x = on_some(x, config.strong_blur, generator, blur(config.strong_blur_px))
    x = on_some(x, config.noise, generator, noise)
    x = on_some(x, config.grain, generator, grain)
    x = on_some(x, config.lines, generator, lines)
    x = on_some(x, config.missing, generator, images.drop_rows)
    x = on_some(x, config.degrade, generator, images.degrade)
    return (x * 255).clamp(0, 255)
