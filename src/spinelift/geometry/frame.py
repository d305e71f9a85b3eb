"""Where a pixel is: scan pixels ↔ crop pixels ↔ millimetres.

The one rule for pixels: an integer index is the centre of the pixel. The millimetres of a scan have
their origin at the centre of its first pixel; x grows with the column, to the patient's left, and z
with the row, to the feet.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Float = NDArray[np.float64]

CROP_SIZE = 224
"""Rows and columns of the crop that the regressor sees (paper, section 3)."""
SPINE_ROWS = 209
"""Rows from T1's upper endplate to L5's lower endplate, both included (paper, section 3.1)."""
FIRST_SPINE_ROW = (CROP_SIZE - SPINE_ROWS) / 2
"""Crop row of the first curve point: 7.5, so that the spine is centred in the crop."""
SPINE_CROP_ROWS: Float = FIRST_SPINE_ROW + np.arange(SPINE_ROWS, dtype=np.float64)
"""Crop row of each of the 209 curve points."""


@dataclass(frozen=True)
class Spacing:
    """Millimetres from one pixel centre to the next, down the rows and along the columns."""

    row_mm: float
    col_mm: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) and v > 0 for v in (self.row_mm, self.col_mm)):
            raise ValueError(f"spacing must be positive and finite, not {self}")


@dataclass(frozen=True)
class SpineFrame:
    """The place of a 224×224 crop in its scan; crop pixels are square.

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
    def z_mm(self) -> Float:
        """Heights of the 209 curve points, mm from the scan's first row [209]."""
        return self.z0_mm + SPINE_CROP_ROWS * self.mm_per_px

    def crop_to_mm(self, rowcol: Float) -> Float:
        """Crop (row, col) → (x, z) in mm [..., 2]."""
        rowcol = np.asarray(rowcol, np.float64)
        return np.stack(
            [self.x0_mm + rowcol[..., 1] * self.mm_per_px, self.z0_mm + rowcol[..., 0] * self.mm_per_px], -1
        )

    def mm_to_crop(self, xz_mm: Float) -> Float:
        """(x, z) in mm → crop (row, col) [..., 2]."""
        xz_mm = np.asarray(xz_mm, np.float64)
        return np.stack(
            [(xz_mm[..., 1] - self.z0_mm) / self.mm_per_px, (xz_mm[..., 0] - self.x0_mm) / self.mm_per_px], -1
        )

    def crop_to_scan(self, rowcol: Float) -> Float:
        """Crop (row, col) → scan (row, col) [..., 2]."""
        xz = self.crop_to_mm(rowcol)
        return np.stack([xz[..., 1] / self.spacing.row_mm, xz[..., 0] / self.spacing.col_mm], -1)

    def scan_to_crop(self, rowcol: Float) -> Float:
        """Scan (row, col) → crop (row, col) [..., 2]."""
        rowcol = np.asarray(rowcol, np.float64)
        xz = np.stack([rowcol[..., 1] * self.spacing.col_mm, rowcol[..., 0] * self.spacing.row_mm], -1)
        return self.mm_to_crop(xz)

    def crop(self, image: NDArray[np.generic]) -> NDArray[np.float32]:
        """Resample a scan image [H, W] onto the crop [224, 224], linearly; 0 outside the scan.

        Where the scan is finer than the crop it is smoothed first, so that nothing aliases.
        """
        data = np.asarray(image, np.float32)
        scale = np.array([self.mm_per_px / self.spacing.row_mm, self.mm_per_px / self.spacing.col_mm])
        sigma = 0.5 * np.sqrt(np.maximum(scale**2 - 1.0, 0.0))
        if sigma.max() > 0.3:
            data = ndimage.gaussian_filter(data, sigma, mode="constant")
        offset = np.array([self.z0_mm / self.spacing.row_mm, self.x0_mm / self.spacing.col_mm])
        out: NDArray[np.float32] = ndimage.affine_transform(
            data, scale, offset, (CROP_SIZE, CROP_SIZE), order=1, mode="constant"
        )
        return out
