"""The canonical canvas: the one raster on which the segmenter sees every scan.

Square pixels of 2.4 mm, the centre of the scan at the centre of the canvas, 0 where the scan does not reach.
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


@dataclass(frozen=True)
class CanonicalGrid:
    """The canonical canvas over a scan, of which ``spacing`` and rows and columns are given."""

    spacing: Spacing
    scan_shape: tuple[int, int]

    @property
    def scan(self) -> PixelGrid:
        """The scan's pixels in its own millimetres."""
        return PixelGrid.of_scan(self.spacing, self.scan_shape)

    @property
    def canvas(self) -> PixelGrid:
        """The canvas in the scan's millimetres."""
        return PixelGrid.square(self.scan.centre_mm, CANONICAL_MM, CANONICAL_SHAPE)

    @property
    def covered(self) -> tuple[slice, slice]:
        """Canvas rows and columns whose centres lie on the scan."""
        x0, x1, z0, z1 = self.scan.extent_mm
        first, last = self.canvas.to_pixels([[x0, z0], [x1, z1]])
        low = np.maximum(np.ceil(first), 0).astype(int).tolist()
        high = np.minimum(np.floor(last) + 1, CANONICAL_SHAPE).astype(int).tolist()
        return slice(low[0], high[0]), slice(low[1], high[1])

    def resample(self, image: AnyArray) -> Float32:
        """Scan image [H, W] → canvas [832, 320] float32; 0 outside the scan."""
        return resample(image, self.scan, self.canvas)
