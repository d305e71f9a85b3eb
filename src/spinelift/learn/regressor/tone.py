"""Augmentation of the grey levels of crops: tone, blur, noise, damage. Images are 0..255."""

from collections.abc import Callable

import torch
from torch import Tensor

from spinelift.learn import images
from spinelift.learn.images import local_mean, on_some, smooth_field
from spinelift.learn.random import Random
from spinelift.learn.regressor.config import ToneAugment


def tone_tables(n: int, config: ToneAugment, random: Random) -> Tensor:
    """Look-up tables over 256 levels, 0..1 → 0..1: [n, 256]."""
    level = torch.linspace(0, 1, 256, device=random.device).expand(n, 256)

    def normal(spread: float) -> Tensor:
        return spread * random.randn(n, 1)

    def chance(share: float) -> Tensor:
        return random.rand(n, 1) < share

    y = level ** torch.exp(normal(config.gamma))
    mix = random.rand(n, 1)
    curve = images.monotone_curves(n, random)
    y = torch.where(chance(config.curve), y * (1 - mix) + curve * mix, y)
    y = y * torch.exp(normal(config.contrast)) + normal(config.brightness)
    gain = random.rand(n, 1, low=1.0, high=config.saturate_gain)
    y = torch.where(chance(config.saturate), y * gain, y).clamp(0, 1)
    air = y[:, :1].masked_fill(chance(config.keep_air), 0.0)
    return torch.cat([air, y[:, 1:]], 1)


def change_tone(image: Tensor, config: ToneAugment, random: Random) -> Tensor:
    """A random variant of images [B, 1, H, W] of 0..255."""
    n, size = len(image), image.shape[-1]

    def local(x: Tensor, r: Random) -> Tensor:
        base = local_mean(x, config.local_window)
        return base + (x - base) * torch.exp(r.each(len(x), *config.local_log))

    def field(x: Tensor, r: Random) -> Tensor:
        cells = (config.field_cells,) * 2
        return x * torch.exp(config.field_log * smooth_field(len(x), cells, (size, size), r))

    def blur(largest: float) -> Callable[[Tensor, Random], Tensor]:
        return lambda x, r: images.gaussian_blur(x, r.rand(len(x), high=largest), largest)

    def noise(x: Tensor, r: Random) -> Tensor:
        deviation = torch.sqrt(config.noise_slope * x.clamp(min=0.0) + config.noise_floor)
        return x + r.randn(*x.shape) * deviation * r.each(len(x), 0, 2 * config.noise_level)

    def grain(x: Tensor, r: Random) -> Tensor:
        cells = (size // config.grain_px,) * 2
        return x + smooth_field(len(x), cells, (size, size), r) * r.each(len(x), 0, 2 * config.noise_level)

    def bone_grain(x: Tensor, r: Random) -> Tensor:
        limits = config.bone_grain_rows, config.bone_grain_columns
        rows, columns = (r.host.randrange(*limit) for limit in limits)
        above = (x - local_mean(x, config.local_window)).clamp(min=0.0)
        texture = smooth_field(len(x), (rows, columns), (size, size), r)
        return x + above * texture * r.each(len(x), 0, 2 * config.bone_grain_level)

    def lines(x: Tensor, r: Random) -> Tensor:
        wobble = r.randn(2, len(x), 1, size, 1) * config.lines_level * r.rand(2, len(x), 1, 1, 1)
        return x * (1 + wobble[0]) + wobble[1] * config.lines_offset

    index = image.round().clamp(0, 255).long().flatten(1)
    x = tone_tables(n, config, random).gather(1, index).reshape(image.shape)
    x = on_some(x, config.field, random, field)
    x = on_some(x, config.local, random, local)
    x = on_some(x, config.smear, random, lambda v, r: images.smear(v, r, config.smear_px))
    x = on_some(x, config.bone_grain, random, bone_grain)
    x = on_some(x, config.patches, random, images.add_patches)
    x = on_some(x, config.blur, random, blur(config.blur_px))
    x = on_some(x, config.strong_blur, random, blur(config.strong_blur_px))
    x = on_some(x, config.noise, random, noise)
    x = on_some(x, config.grain, random, grain)
    x = on_some(x, config.lines, random, lines)
    x = on_some(x, config.missing, random, images.drop_rows)
    x = on_some(x, config.degrade, random, images.degrade)
    return (x * 255).clamp(0, 255)
