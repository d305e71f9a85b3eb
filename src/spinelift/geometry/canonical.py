"""The canonical grid: the one raster on which the segmenter sees every scan.

Square pixels of 2.4 mm, the centre of the scan at the centre of the canvas, zeros where the scan does
not reach. The pixel rule is that of :mod:`spinelift.geometry.frame`: an integer index is the centre of
a pixel, and millimetres count from the centre of the scan's pixel (0, 0).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from spinelift.geometry.frame import Spacing

Float = NDArray[np.float64]

GRID_MM = 2.4
"""Size of a canonical pixel, mm."""
GRID_SHAPE = (832, 320)
"""Rows and columns of the canvas: 1.997 m × 0.768 m."""


@dataclass(frozen=True)
class CanonicalGrid:
    """The place of the canonical canvas over a scan.

    Parameters
    ----------
    spacing
        Pixel size of the scan, mm.
    scan_shape
        Rows and columns of the scan.
    """

    spacing: Spacing
    scan_shape: tuple[int, int]

    @property
    def origin_mm(self) -> tuple[float, float]:
        """(x, z) of the centre of the canvas pixel (0, 0), mm from the centre of the scan's first pixel."""
        rows, cols = self.scan_shape
        centre_x = (cols - 1) / 2 * self.spacing.col_mm
        centre_z = (rows - 1) / 2 * self.spacing.row_mm
        return centre_x - (GRID_SHAPE[1] - 1) / 2 * GRID_MM, centre_z - (GRID_SHAPE[0] - 1) / 2 * GRID_MM

    @property
    def covered(self) -> tuple[slice, slice]:
        """Canvas rows and columns whose centres lie on the scan."""
        slices = []
        x0, z0 = self.origin_mm
        steps = (self.spacing.row_mm, self.spacing.col_mm)
        for origin, step, count, size in zip((z0, x0), steps, self.scan_shape, GRID_SHAPE, strict=True):
            first = int(np.ceil((-0.5 * step - origin) / GRID_MM))
            last = int(np.floor(((count - 0.5) * step - origin) / GRID_MM))
            slices.append(slice(max(first, 0), min(last, size - 1) + 1))
        return slices[0], slices[1]

    def canonical_to_mm(self, rowcol: Float) -> Float:
        """Canvas (row, col) → (x, z) in mm [..., 2]."""
        rowcol = np.asarray(rowcol, np.float64)
        x0, z0 = self.origin_mm
        return np.stack([x0 + rowcol[..., 1] * GRID_MM, z0 + rowcol[..., 0] * GRID_MM], -1)

    def mm_to_canonical(self, xz_mm: Float) -> Float:
        """(x, z) in mm → canvas (row, col) [..., 2]."""
        xz_mm = np.asarray(xz_mm, np.float64)
        x0, z0 = self.origin_mm
        return np.stack([(xz_mm[..., 1] - z0) / GRID_MM, (xz_mm[..., 0] - x0) / GRID_MM], -1)

    def scan_to_canonical(self, rowcol: Float) -> Float:
        """Scan (row, col) → canvas (row, col) [..., 2]."""
        rowcol = np.asarray(rowcol, np.float64)
        xz = np.stack([rowcol[..., 1] * self.spacing.col_mm, rowcol[..., 0] * self.spacing.row_mm], -1)
        return self.mm_to_canonical(xz)

    def canonical_to_scan(self, rowcol: Float) -> Float:
        """Canvas (row, col) → scan (row, col) [..., 2]."""
        xz = self.canonical_to_mm(rowcol)
        return np.stack([xz[..., 1] / self.spacing.row_mm, xz[..., 0] / self.spacing.col_mm], -1)

    def resample(self, image: NDArray[np.generic], *, order: int = 1) -> NDArray[np.float32]:
        """Scan image [H, W] → canvas [832, 320] float32; 0 outside the scan.

        Linear (``order=1``), smoothed first where the scan is finer than the canvas, so that nothing
        aliases; ``order=0`` (nearest, unsmoothed) is for masks.
        """
        data = np.asarray(image, np.float32)
        if data.shape != self.scan_shape:
            raise ValueError(f"the image is {data.shape}, the grid was made for {self.scan_shape}")
        scale = np.array([GRID_MM / self.spacing.row_mm, GRID_MM / self.spacing.col_mm])
        sigma = 0.5 * np.sqrt(np.maximum(scale**2 - 1.0, 0.0))
        if order > 0 and sigma.max() > 0.3:
            data = ndimage.gaussian_filter(data, sigma, mode="nearest")
        x0, z0 = self.origin_mm
        offset = np.array([z0 / self.spacing.row_mm, x0 / self.spacing.col_mm])
        out: NDArray[np.float32] = ndimage.affine_transform(
            data, scale, offset, GRID_SHAPE, order=order, mode="constant"
        )
        return out
