"""Small MRI phantoms: a slanting, off-centre column in a volume with an origin of its own."""

import numpy as np

from spinelift.io.dixon.volume import STITCH_GRID, DixonVolume
from spinelift.segment.mri import MriSpine

VOXEL_MM = STITCH_GRID.voxel_mm
SHAPE = (260, 64, 72)
ORIGIN = (-50.0, -70.0, -300.0)
HALF_X, HALF_Y = 21.0, 15.0


def centre(z_mm):
    """x and y of the phantom's middle at heights z, mm: nothing symmetric."""
    t = (np.asarray(z_mm) + 60.0) / 240.0
    return 18.0 + 9.0 * t + 4.0 * t**2, -12.0 + 14.0 * np.sin(2.0 * t)


def volume():
    """A volume whose water is bright in the column."""
    water = np.where(column() > 0, 3.0, 1.0).astype(np.float32)
    return DixonVolume("phantom", water, np.ones(SHAPE, np.float32), ORIGIN, (0, SHAPE[0]))


def column(first_mm=-280.0, last_mm=180.0):
    """uint8 [z, y, x]: the ellipse about `centre` between two heights."""
    z, y, x = (o + VOXEL_MM * np.arange(n) for o, n in zip(ORIGIN[::-1], SHAPE, strict=True))
    cx, cy = centre(z)
    inside = ((x[None, None] - cx[:, None, None]) / HALF_X) ** 2
    inside = inside + ((y[None, :, None] - cy[:, None, None]) / HALF_Y) ** 2 <= 1
    return (inside & ((z >= first_mm) & (z <= last_mm))[:, None, None]).astype(np.uint8)


def spine():
    return MriSpine.from_mask(column(), volume())
