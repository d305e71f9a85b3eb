"""From Hounsfield units to masses of bone, lean and fat.

Soft parts split linearly between fat (-100 HU) and muscle (50 HU); lung is thin lean tissue. Bone is compact
bone and marrow in the share that gives its HU. Contrast medium in vessels, heart and kidneys is as bright as
bone. Where the label map names the organs (TotalSegmentator's ``total``), bone occurs only in bones and next
to them. Where it names vertebrae alone, all that is bright is bone, but for pools of even brightness.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from spinelift.geometry import largest_component
from spinelift.geometry.arrays import Bool, Float32

CORTICAL_DENSITY, CORTICAL_HU, SOFT_HU = 1.92, 1600.0, 40.0
"""Compact bone (ICRU-44) in g/cm³ and its HU at 120 kV, and the HU of what fills bone's pores."""
BONE_HU, CARTILAGE_HU, NECK_HU, VEIN_HU = 100.0, 130.0, 130.0, 1300.0
"""Least HU of bone, of calcified cartilage and of unlabelled rib necks; beside a rib, only contrast medium is
brighter than the last."""
LOOSE_HU = 180.0
"""Least HU of bone where the label map names vertebrae alone."""
POOL_MM, POOL_SD_HU, POOL_GRID_MM = 7.0, 60.0, 3.0
"""Contrast medium fills a ball of this radius, on a grid of this step, with less than this deviation."""
CORD, CARTILAGES = 79, (117, 118)
RIBS, HIPS, LUNGS = range(92, 116), (77, 78), range(10, 15)
BONES = (*range(25, 51), *range(69, 79), 91, *RIBS, 116)
"""TotalSegmentator ``total``: sacrum, vertebrae, limbs and girdles, skull, ribs, sternum. Early maps have the
cartilages as 118."""
SLICES = 16
"""Slices that are converted at once."""

Labels = NDArray[np.uint16]
Spacing3 = tuple[float, float, float]


def densities(
    hu: Float32, labels: Labels, spacing: Spacing3, factor: int, *, vertebrae: Bool | None = None
) -> Float32:
    """HU [z, y, x] → g/cm³ of bone, lean and fat [3, z, y / factor, x / factor], float32.

    ``labels`` are those of TotalSegmentator's ``total``; with ``vertebrae`` [z, y, x] only these are used.
    The table is left out. ``spacing``: mm a voxel (z, y, x).
    """
    body, out = body_mask(hu), []
    pools = None if vertebrae is None else contrast_pools(hu, vertebrae, spacing)
    for first in range(0, len(hu), SLICES):
        part = slice(first, first + SLICES)
        if pools is None or vertebrae is None:
            made = _labelled(hu[part], labels[part], spacing)
        else:
            made = _loose(hu[part], vertebrae[part], pools[part])
        made *= body[part]
        z, y, x = made.shape[1:]
        made = made[:, :, : y // factor * factor, : x // factor * factor]
        out.append(made.reshape(3, z, y // factor, factor, x // factor, factor).mean((3, 5)))
    return np.concatenate(out, 1)


def body_mask(hu: Float32) -> Bool:
    """The person without the table: the largest piece of flesh, its holes filled slice by slice."""
    coarse = ndimage.binary_opening(hu[:, ::2, ::2] > -250, np.ones((1, 5, 5), bool))
    body = largest_component(coarse)
    body = np.stack([ndimage.binary_fill_holes(ndimage.binary_dilation(s, iterations=2)) for s in body])
    return body.repeat(2, 1).repeat(2, 2)[:, : hu.shape[1], : hu.shape[2]]


def contrast_pools(hu: Float32, vertebrae: Bool, spacing: Spacing3) -> Bool:
    """Large bright bodies of even brightness that are no vertebrae: blood, kidneys with contrast medium."""
    steps = [max(1, round(POOL_GRID_MM / s)) for s in spacing]
    grid = tuple(slice(None, None, s) for s in steps)
    h, taken = hu[grid], vertebrae[grid]
    mm = [s * step for s, step in zip(spacing, steps, strict=True)]
    bright = (h > LOOSE_HU / 1.2) & ~taken
    core = ndimage.distance_transform_edt(np.pad(bright, 1), sampling=mm)[1:-1, 1:-1, 1:-1] > POOL_MM
    pieces, count = ndimage.label(core)
    even = np.flatnonzero(ndimage.standard_deviation(h, pieces, range(1, count + 1)) < POOL_SD_HU) + 1
    near = ndimage.distance_transform_edt(~np.isin(pieces, even), sampling=mm) <= POOL_MM + POOL_GRID_MM
    pools = near & bright if len(even) else np.zeros_like(bright)
    for axis, (step, n) in enumerate(zip(steps, hu.shape, strict=True)):
        pools = pools.repeat(step, axis).take(np.arange(n), axis)
    return np.asarray(pools)


def rib_necks(labels: Labels, spacing: Spacing3) -> Bool:
    """Unlabelled voxels beside and behind the vertebral bodies, where the ribs' heads and necks lie.

    TotalSegmentator cuts the ribs off about 35 mm from the midline.
    """
    out = np.zeros(labels.shape, bool)
    _, dy, dx = spacing
    for k, (cord, part) in enumerate(zip(labels == CORD, labels, strict=True)):
        y, x = np.nonzero(cord)
        if len(y):
            row, col, half = max(int(y.mean() - 22 / dy), 0), int(x.mean()), int(52 / dx)
            window = slice(row, row + int(55 / dy)), slice(max(col - half, 0), col + half)
            out[k][window] = part[window] == 0
    return out


def _labelled(h: Float32, labels: Labels, spacing: Spacing3) -> Float32:
    bone = np.isin(labels, BONES)
    near = _dilated(bone) & (labels == 0)
    near |= rib_necks(labels, spacing) & (ndimage.gaussian_filter(h, (0, 0.7, 0.7)) > NECK_HU)
    bony = (near | bone) & (h > BONE_HU) | np.isin(labels, CARTILAGES) & (h > CARTILAGE_HU)
    bony &= ~((near | np.isin(labels, RIBS)) & (h > VEIN_HU))
    return _mixed(h, bony, np.isin(labels, LUNGS))


def _loose(h: Float32, vertebrae: Bool, pools: Bool) -> Float32:
    bone = vertebrae | (h > LOOSE_HU) & ~pools
    return _mixed(h, (bone | _dilated(bone) & ~pools) & (h > BONE_HU), np.zeros_like(bone))


def _dilated(bone: Bool) -> Bool:
    return np.asarray(ndimage.binary_dilation(bone, np.ones((1, 3, 3), bool), iterations=2))


def _mixed(h: Float32, bony: Bool, lung: Bool) -> Float32:
    """Masses [3, z, y, x] of voxels that hold bone where ``bony``."""
    share = np.clip((h - SOFT_HU) / (CORTICAL_HU - SOFT_HU), 0, 1.2) * bony
    muscle = np.clip((h + 100) / 150, 0, 1)
    muscle[lung | (h < -250)] = 1.0
    mass = np.clip(1 + np.minimum(h, SOFT_HU) / 1000, 0, None) * (1 - np.minimum(share, 1))
    return np.stack([share * CORTICAL_DENSITY, mass * muscle, mass * (1 - muscle)]).astype(np.float32)
