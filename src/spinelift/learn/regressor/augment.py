"""Augmentation of crops; the curves follow the pixels exactly.

New crop pixel (r, c) shows the source pixel

    r' = 111.5 + s (r − 111.5) + t,    c' = 111.5 + s w (c − 111.5 − d(r)),

optionally mirrored first, where s is an error in the spine's measured height, t a vertical shift, w a
widening and d(r) a smooth shift of each row. A crop pixel then measures s × as many mm as before, so the
sagittal curves, which keep their mm, are divided by s. Beyond its ends the spine is extended straight.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from spinelift.curves import Curve
from spinelift.geometry import CROP_SIZE, FIRST_SPINE_ROW, SPINE_ROWS
from spinelift.learn.images import on_some
from spinelift.learn.random import Random
from spinelift.learn.regressor.config import AugmentConfig, GeometryAugment
from spinelift.learn.regressor.head import zero_mean_sagittal
from spinelift.learn.regressor.tone import change_tone

MIDDLE = (CROP_SIZE - 1) / 2
END_ROWS = 8
"""Rows over which the slope of an end is measured."""


class Batch(NamedTuple):
    """``image`` float32 [B, 1, 224, 224], 0..255; ``curves`` [B, 6, 209] crop px; ``mm_per_px`` [B].

    ``valid`` float32 [B, 209]: 1 for rows whose curves are known, else 0.
    """

    image: Tensor
    curves: Tensor
    mm_per_px: Tensor
    valid: Tensor


class Placement(NamedTuple):
    """Parameters of the formula above, [B] each; ``row_shift`` d is [B, 224]; ``mirror`` is bool."""

    mirror: Tensor
    scale: Tensor
    shift: Tensor
    width: Tensor
    row_shift: Tensor


def draw_placement(n: int, config: GeometryAugment, random: Random) -> Placement:
    """Random placements of n crops."""
    rows = centred_pixels(random.device) / MIDDLE
    waves = rows.new_zeros(n, CROP_SIZE)
    for k in range(1, 5):
        phase, size = random.rand(n, 1, high=2 * torch.pi), random.randn(n, 1) / k**1.5
        waves = waves + size * torch.sin(torch.pi * k * rows / 2 + phase)
    waves = waves / waves.abs().amax(1, keepdim=True).clamp(min=1e-6)
    shift = waves * random.rand(n, 1, high=config.warp_px) * (random.rand(n, 1) < config.warp)
    ends = (int(FIRST_SPINE_ROW), CROP_SIZE - 1 - int(FIRST_SPINE_ROW))
    shift = shift - (shift[:, ends[0]] + shift[:, ends[1]])[:, None] / 2
    shift = shift + random.rand(n, 1, low=-config.tilt_px, high=config.tilt_px) * rows
    shift = shift + config.column_px * random.randn(n, 1)
    return Placement(
        random.rand(n) < config.mirror,
        1 + random.rand(n, low=-config.scale, high=config.scale),
        config.row_px * random.randn(n),
        1 + random.rand(n, low=-config.width, high=config.width),
        shift,
    )


def centred_pixels(device: torch.device) -> Tensor:
    """Rows or columns of the crop, px from its middle [224]."""
    return torch.arange(CROP_SIZE, device=device) - MIDDLE


def resample_curves(curves: Tensor, at: Tensor) -> Tensor:
    """Curves [B, 6, 209] at fractional indices [B, 209], extrapolated linearly beyond the ends."""
    last = SPINE_ROWS - 1
    inside = at.clamp(0, last)
    i = inside.floor().clamp(max=last - 1)
    t = (inside - i)[:, None]
    index = i.long()[:, None].expand(-1, 6, -1)
    out = curves.gather(2, index) * (1 - t) + curves.gather(2, index + 1) * t
    slope_top = (curves[..., END_ROWS] - curves[..., 0]) / END_ROWS
    slope_end = (curves[..., last] - curves[..., last - END_ROWS]) / END_ROWS
    beyond_top, beyond_end = (at.clamp(max=0))[:, None], (at - last).clamp(min=0)[:, None]
    return out + slope_top[..., None] * beyond_top + slope_end[..., None] * beyond_end


def mirror_curves(curves: Tensor) -> Tensor:
    """Curves [B, 6, 209] of the image with reversed columns: left and right are swapped."""
    coronal = CROP_SIZE - 1 - curves[:, :3].flip(1)
    return torch.cat([coronal, curves[:, 3:]], 1)


def place(batch: Batch, p: Placement) -> Batch:
    """Apply placements to a batch."""
    image = torch.where(p.mirror[:, None, None, None], batch.image.flip(3), batch.image)
    curves = torch.where(p.mirror[:, None, None], mirror_curves(batch.curves), batch.curves)
    centred = centred_pixels(curves.device)
    rows = p.scale[:, None] * centred + p.shift[:, None]
    stretch = (p.scale * p.width)[:, None, None]
    columns = stretch * (centred[None, None] - p.row_shift[:, :, None])
    image = sample(image, rows, columns)
    spine = FIRST_SPINE_ROW + torch.arange(SPINE_ROWS, device=curves.device)
    source_rows = MIDDLE + p.scale[:, None] * (spine - MIDDLE) + p.shift[:, None]
    curves = resample_curves(curves, source_rows - FIRST_SPINE_ROW)
    nearest = (source_rows - FIRST_SPINE_ROW).round().clamp(0, SPINE_ROWS - 1).long()
    low = int(FIRST_SPINE_ROW)
    d = (p.row_shift[:, low : low + SPINE_ROWS] + p.row_shift[:, low + 1 : low + 1 + SPINE_ROWS]) / 2
    coronal = (curves[:, :3] - MIDDLE) / stretch + MIDDLE + d[:, None]
    sagittal = curves[:, 3:] / p.scale[:, None, None]
    curves = zero_mean_sagittal(torch.cat([coronal, sagittal], 1))
    return Batch(image, curves, batch.mm_per_px * p.scale, batch.valid.gather(1, nearest))


def centre_columns(curves: Tensor) -> Tensor:
    """Column of the spine's centre in each row of the crop [B, 224], constant beyond its ends."""
    rows = torch.arange(CROP_SIZE, device=curves.device) - FIRST_SPINE_ROW
    at = rows.clamp(0, SPINE_ROWS - 1).round().long()
    return curves[:, Curve.CENTRE].gather(1, at.expand(len(curves), -1))


def take_rows(image: Tensor, source: Tensor, aside: Tensor) -> Tensor:
    """Image whose row r is row ``source`` [B, 224] of the given one, shifted by ``aside`` [B, 224] px."""
    return sample(image, source - MIDDLE, centred_pixels(image.device) + aside[:, :, None])


def sample(image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Images [B, 1, 224, 224] read at rows [B, 224] and columns [B, 224, 224], px from the middle."""
    grid = torch.stack([columns, rows[:, :, None].expand_as(columns)], -1) * (2 / CROP_SIZE)
    return F.grid_sample(image, grid, "bilinear", "zeros", align_corners=False)


def near_spine(centre: Tensor, reach: Tensor) -> Tensor:
    """Mask [B, 1, 224, 224] of pixels less than ``reach`` [B] px from the centre [B, 224]."""
    columns = torch.arange(CROP_SIZE, device=centre.device)
    return ((columns - centre[:, :, None]).abs() < reach[:, None, None])[:, None]


def scramble(batch: Batch, random: Random) -> Batch:
    """Reverse blocks of rows or replace them by others, whole or near the spine, and keep its centre line.

    The result is an impossible spine whose side view cannot be read: a network trained on these predicts the
    mean curve for what it does not know.
    """
    n = len(batch.image)
    rows = torch.arange(CROP_SIZE, device=random.device).expand(n, -1)
    height = random.randint(8, 49, n, 1)
    shifted = rows + random.randint(0, 48, n, 1)
    block, inside = shifted // height, shifted % height
    kind, move = (random.rand(n, CROP_SIZE).gather(1, block) for _ in range(2))
    source = torch.where(kind < 0.3, rows + height - 1 - 2 * inside, rows).float()
    source = torch.where((kind >= 0.3) & (kind < 0.6), rows + (move - 0.5) * 200, source)
    source = torch.where(random.rand(n, 1) < 0.25, CROP_SIZE - 1.0 - rows, source)
    source = source.round().clamp(0, CROP_SIZE - 1)
    centre = centre_columns(batch.curves)
    image = take_rows(batch.image, source, centre.gather(1, source.long()) - centre)
    reach = random.rand(n, low=14, high=40).masked_fill(random.rand(n) < 0.5, CROP_SIZE)
    return batch._replace(image=torch.where(near_spine(centre, reach), image, batch.image))


def among_strangers(batch: Batch, random: Random) -> Batch:
    """Put every spine into the surroundings of the next person in the batch.

    Ribs and outlines of simulated people follow their spines more closely than those of real people, so they
    must not be used to predict the side view.
    """
    n = len(batch.image)
    centre = centre_columns(batch.curves)
    rows = torch.arange(CROP_SIZE, device=centre.device).expand(n, -1)
    other = take_rows(batch.image.roll(1, 0), rows, centre.roll(1, 0) - centre)
    own = near_spine(centre, random.rand(n, low=13, high=26))
    return batch._replace(image=torch.where(own, batch.image, other))


def on_part(batch: Batch, share: float, random: Random, change: Callable[[Batch, Random], Batch]) -> Batch:
    """Apply ``change`` of the image to a random share of a batch."""
    chosen = random.some(len(batch.image), share)
    if chosen is None:
        return batch
    part = change(Batch(*(t.index_select(0, chosen) for t in batch)), random)
    return batch._replace(image=batch.image.index_copy(0, chosen, part.image))


def tone_share(config: AugmentConfig, progress: float) -> float:
    """Share of images whose tones are changed at ``progress`` 0..1 of a run; a quarter of it at the start."""
    grown = 1.0 if config.ramp == 0 else min(1.0, 0.25 + 0.75 * progress / config.ramp)
    return (1 - config.plain) * grown


def augment(batch: Batch, config: AugmentConfig, random: Random, *, progress: float = 1.0) -> Batch:
    """A random variant of every pair; the input is not changed."""
    placed = place(batch, draw_placement(len(batch.image), config.geometry, random))
    placed = on_part(placed, config.strangers, random, among_strangers)
    placed = on_part(placed, config.scramble, random, scramble)
    share = tone_share(config, progress)
    changed = on_some(placed.image, share, random, lambda x, r: change_tone(x, config.tone, r))
    return placed._replace(image=changed)
