"""A Dixon MRI and its spine mask projected onto the coronal plane."""

import numpy as np

from spinelift.align.plane import PlaneImage, PlaneMask
from spinelift.errors import UnsupportedImageError
from spinelift.geometry import PixelGrid, Spacing
from spinelift.geometry.arrays import AnyArray
from spinelift.io.dixon.volume import DixonVolume


def project_volume(volume: DixonVolume) -> PlaneImage:
    """Mean of water (channel 0) and of fat (1) along y, float32 [2, rows, columns], measured rows only."""
    first, last = volume.rows
    pixels = np.stack([v[first:last].mean(1, dtype=np.float32) for v in (volume.water, volume.fat)])
    grid = _grid(volume, first, (pixels.shape[1], pixels.shape[2]))
    measured = np.asarray(pixels.any(axis=(0, 2)))[:, None]  # rows of a gap between stations are empty
    return PlaneImage(pixels, grid, np.broadcast_to(measured, grid.shape).copy())


def project_mask(mask: AnyArray, volume: DixonVolume) -> PlaneMask:
    """Largest value along y of a mask [z, y, x] on the volume's grid."""
    if mask.shape != volume.water.shape:
        raise UnsupportedImageError(
            found=f"a mask of {mask.shape} voxels",
            expected=f"the MRI's {volume.water.shape}",
            do="Resample the mask onto the MRI's grid.",
        )
    flat = np.asarray(mask.max(1), np.float32)
    return PlaneMask(flat, _grid(volume, 0, (flat.shape[0], flat.shape[1])))


def _grid(volume: DixonVolume, first_row: int, shape: tuple[int, int]) -> PixelGrid:
    x, _, z = volume.origin_mm
    mm = volume.voxel_mm
    return PixelGrid((x, z + first_row * mm), Spacing(mm, mm), shape)
