"""The canonical canvases: the rasters on which networks see every scan, and every lateral view.

Square pixels, the centre of the scan at the centre of the canvas, 0 where the scan does not reach.
"""

from dataclasses import dataclass

import numpy as np

from spinelift.geometry.arrays import AnyArray, Float32
from spinelift.geometry.grid import PixelGrid, Spacing
from spinelift.geometry.resample import resample

CANONICAL_MM = 2.4
"""Size of a canonical pixel, mm."""
CANONICAL_SHAPE = (832, 320)
"""Rows and columns of the canvas: 1.997 m × 0.768 m."""
LATERAL_MM = 1.5
"""Size of a pixel of the canvas of a lateral vertebral view, mm."""
LATERAL_SHAPE = (320, 160)
"""Rows and columns of that canvas: 480 mm × 240 mm."""


@dataclass(frozen=True)
class CanonicalGrid:
    """A canvas over a scan, of which ``spacing`` and rows and columns are given; by default that of a DXA."""

    spacing: Spacing
    scan_shape: tuple[int, int]
    pixel_mm: float = CANONICAL_MM
    shape: tuple[int, int] = CANONICAL_SHAPE

    @classmethod
    def lateral(cls, spacing: Spacing, scan_shape: tuple[int, int]) -> "CanonicalGrid":
        """The canvas over a lateral vertebral view."""
        return cls(spacing, scan_shape, LATERAL_MM, LATERAL_SHAPE)

    @property
    def scan(self) -> PixelGrid:
        """The scan's pixels in its own millimetres."""
        return PixelGrid.of_scan(self.spacing, self.scan_shape)

    @property
    def canvas(self) -> PixelGrid:
        """The canvas in the scan's millimetres."""
        return PixelGrid.square(self.scan.centre_mm, self.pixel_mm, self.shape)

    @property
    def covered(self) -> tuple[slice, slice]:
        """Canvas rows and columns whose centres lie on the scan."""
        x0, x1, z0, z1 = self.scan.extent_mm
        first, last = self.canvas.to_pixels([[x0, z0], [x1, z1]])
        low = np.maximum(np.ceil(first), 0).astype(int).tolist()
        high = np.minimum(np.floor(last) + 1, self.shape).astype(int).tolist()
        return slice(low[0], high[0]), slice(low[1], high[1])

    def resample(self, image: AnyArray) -> Float32:
        """Scan image [H, W] → canvas, float32 of ``shape``; 0 outside the scan."""
        return resample(image, self.scan, self.canvas)
