"""Where the pixels of an image lie in the plane.

The one rule for pixels: an integer index is the centre of its pixel, so a pixel reaches half its size to
each side. ``[row, col]`` arrays have rows to the feet (z) and columns to the patient's left (x); points are
(x, z) in mm. A scan's own millimetres start at the centre of its pixel (0, 0).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from spinelift.geometry.arrays import Float


@dataclass(frozen=True)
class Spacing:
    """Millimetres from one pixel centre to the next, down the rows and along the columns."""

    row_mm: float
    col_mm: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) and v > 0 for v in (self.row_mm, self.col_mm)):
            raise ValueError(f"spacing must be positive and finite, not {self}")


@dataclass(frozen=True)
class PixelGrid:
    """Pixels of an image in the plane.

    ``origin_mm`` is (x, z) of the centre of pixel (0, 0); in a lateral view the first coordinate is y.
    ``shape`` is rows and columns.
    """

    origin_mm: tuple[float, float]
    spacing: Spacing
    shape: tuple[int, int]

    @classmethod
    def of_scan(cls, spacing: Spacing, shape: tuple[int, ...]) -> "PixelGrid":
        """Pixels of a scan in its own millimetres; ``shape`` ends with rows and columns."""
        return cls((0.0, 0.0), spacing, (shape[-2], shape[-1]))

    @classmethod
    def square(cls, centre_mm: ArrayLike, pixel_mm: float, shape: tuple[int, int]) -> "PixelGrid":
        """Square pixels about a centre (x, z)."""
        x, z = np.asarray(centre_mm, np.float64) - (np.array(shape[::-1]) - 1) / 2 * pixel_mm
        return cls((float(x), float(z)), Spacing(pixel_mm, pixel_mm), shape)

    @classmethod
    def covering(cls, points_mm: Float, pixel_mm: float, *, margin_mm: float = 0.0) -> "PixelGrid":
        """Square pixels over the bounding box of points [n, 2] (x, z), centred on it."""
        low, high = points_mm.min(0) - margin_mm, points_mm.max(0) + margin_mm
        cols, rows = (int(np.ceil(v / pixel_mm - 1e-9)) + 1 for v in high - low)
        return cls.square((low + high) / 2, pixel_mm, (rows, cols))

    @property
    def centre_mm(self) -> Float:
        """(x, z) of the centre of the grid [2]."""
        return self.to_mm((np.array(self.shape) - 1) / 2)

    @property
    def corners_mm(self) -> Float:
        """(x, z) of the outermost pixel centres [4, 2]."""
        rows, cols = self.shape
        return self.to_mm([[r, c] for r in (0, rows - 1) for c in (0, cols - 1)])

    @property
    def extent_mm(self) -> tuple[float, float, float, float]:
        """Outer edges of the outermost pixels: least x, greatest x, least z, greatest z."""
        (x0, z0), (x1, z1) = self.to_mm(np.array([[0, 0], self.shape]) - 0.5).tolist()
        return x0, x1, z0, z1

    @property
    def x_mm(self) -> Float:
        """x of each column's centre [cols]."""
        return self.origin_mm[0] + self.spacing.col_mm * np.arange(self.shape[1], dtype=np.float64)

    @property
    def z_mm(self) -> Float:
        """z of each row's centre [rows]."""
        return self.origin_mm[1] + self.spacing.row_mm * np.arange(self.shape[0], dtype=np.float64)

    def to_mm(self, rowcol: ArrayLike) -> Float:
        """(row, col) → (x, z) in mm [..., 2]."""
        rowcol = np.asarray(rowcol, np.float64)
        (x0, z0), s = self.origin_mm, self.spacing
        return np.stack([x0 + rowcol[..., 1] * s.col_mm, z0 + rowcol[..., 0] * s.row_mm], -1)

    def to_pixels(self, xz_mm: ArrayLike) -> Float:
        """(x, z) in mm → (row, col) [..., 2]."""
        xz = np.asarray(xz_mm, np.float64)
        (x0, z0), s = self.origin_mm, self.spacing
        return np.stack([(xz[..., 1] - z0) / s.row_mm, (xz[..., 0] - x0) / s.col_mm], -1)
