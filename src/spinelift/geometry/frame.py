"""The crop that the regressor sees, and its position in the scan."""

import math
from dataclasses import dataclass

import numpy as np

from spinelift.geometry.arrays import AnyArray, Float, Float32
from spinelift.geometry.grid import PixelGrid, Spacing
from spinelift.geometry.resample import resample

CROP_SIZE = 224
"""Rows and columns of the crop that the regressor sees (paper, section 3)."""
SPINE_ROWS = 209
"""Rows from T1's upper endplate to L5's lower endplate, both included (paper, section 3.1)."""
FIRST_SPINE_ROW = (CROP_SIZE - SPINE_ROWS) / 2
"""Crop row of the first curve point: 7.5, so that the spine is centred in the crop."""
SPINE_CROP_ROWS: Float = FIRST_SPINE_ROW + np.arange(SPINE_ROWS, dtype=np.float64)
"""Crop row of each of the 209 curve points."""


@dataclass(frozen=True)
class SpineFrame:
    """Position of a 224×224 crop in its scan; crop pixels are square.

    Parameters
    ----------
    spacing
        Pixel size of the scan, mm.
    x0_mm, z0_mm
        Centre of the crop's pixel (0, 0), mm from the centre of the scan's pixel (0, 0).
    mm_per_px
        Size of a crop pixel, mm.
    """

    spacing: Spacing
    x0_mm: float
    z0_mm: float
    mm_per_px: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mm_per_px) and self.mm_per_px > 0):
            raise ValueError(f"mm_per_px must be positive and finite, not {self.mm_per_px}")

    @classmethod
    def from_ends(
        cls, spacing: Spacing, *, top_xz_mm: tuple[float, float], bottom_xz_mm: tuple[float, float]
    ) -> "SpineFrame":
        """Frame in which the spine runs from crop row 7.5 to row 215.5, centred on its ends' midpoint.

        ``top_xz_mm`` is the centre of T1's upper endplate, ``bottom_xz_mm`` of L5's lower endplate.
        """
        (xt, zt), (xb, zb) = top_xz_mm, bottom_xz_mm
        if not zb > zt:
            raise ValueError(f"the lower end (z = {zb} mm) must lie below the upper one (z = {zt} mm)")
        mm_per_px = (zb - zt) / (SPINE_ROWS - 1)
        half = (CROP_SIZE - 1) / 2 * mm_per_px
        return cls(spacing, (xt + xb) / 2 - half, (zt + zb) / 2 - half, mm_per_px)

    @property
    def grid(self) -> PixelGrid:
        """The crop's pixels in the scan's millimetres."""
        pixel = Spacing(self.mm_per_px, self.mm_per_px)
        return PixelGrid((self.x0_mm, self.z0_mm), pixel, (CROP_SIZE, CROP_SIZE))

    @property
    def z_mm(self) -> Float:
        """Heights of the 209 curve points, mm from the scan's first row [209]."""
        return self.z0_mm + SPINE_CROP_ROWS * self.mm_per_px

    def crop(self, image: AnyArray) -> Float32:
        """Scan image [H, W] → crop [224, 224] float32; 0 outside the scan."""
        return resample(image, PixelGrid.of_scan(self.spacing, image.shape), self.grid)
