"""Images of the coronal plane that know where they lie, and how they are laid on other grids."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from spinelift.geometry import PixelGrid, RigidTransform2D, Spacing

DXA, MRI = "dxa", "mri"
"""Names of the coordinate systems: mm from the scan's first pixel; scanner mm, z to the feet."""


@dataclass(frozen=True)
class PlaneImage:
    """One or more channels on a grid.

    Parameters
    ----------
    pixels
        float32 [C, H, W].
    grid
        Where the pixels lie.
    valid
        bool [H, W]: what was measured.
    """

    pixels: NDArray[np.float32]
    grid: PixelGrid
    valid: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.pixels.shape[1:] != self.grid.shape or self.valid.shape != self.grid.shape:
            raise ValueError(f"pixels {self.pixels.shape} do not fit a grid of {self.grid.shape}")


@dataclass(frozen=True)
class PlaneMask:
    """A spine mask on a grid; ``values`` float32 [H, W], 0 to 1."""

    values: NDArray[np.float32]
    grid: PixelGrid


def dxa_plane(image: NDArray[np.float32], spacing: Spacing) -> PlaneImage:
    """A DXA [H, W] in its own millimetres."""
    grid = PixelGrid((0.0, 0.0), spacing, (image.shape[0], image.shape[1]))
    return PlaneImage(np.asarray(image, np.float32)[None], grid, np.ones(grid.shape, bool))


def resample(
    values: NDArray[np.float32],
    grid: PixelGrid,
    onto: PixelGrid,
    to_onto: RigidTransform2D,
    *,
    mode: str = "constant",
) -> NDArray[np.float32]:
    """Values [H, W] of ``grid``, moved, on another grid; linear. Outside 0, or the border's (``nearest``).

    Where the values are finer than the new grid they are smoothed first, so that nothing aliases.
    """
    matrix, offset = to_onto.inverse().to_pixels(onto, grid)
    scale = np.abs(np.diag(matrix))
    sigma = 0.5 * np.sqrt(np.maximum(scale**2 - 1.0, 0.0))
    data = np.asarray(values, np.float32)
    if sigma.max() > 0.3:
        data = ndimage.gaussian_filter(data, sigma, mode="nearest")
    out: NDArray[np.float32] = ndimage.affine_transform(data, matrix, offset, onto.shape, order=1, mode=mode)
    return out


def lay(image: PlaneImage, onto: PixelGrid, to_onto: RigidTransform2D) -> PlaneImage:
    """An image moved onto a grid; the border goes on outside, where it is not valid."""
    pixels = np.stack([resample(c, image.grid, onto, to_onto, mode="nearest") for c in image.pixels])
    valid = image.valid.astype(np.float32)
    inside = (
        resample(valid, image.grid, onto, to_onto, mode="grid-constant") > 0.499
    )  # to pixels' outer edges
    return PlaneImage(pixels, onto, inside)


def lay_mask(mask: PlaneMask, onto: PixelGrid, to_onto: RigidTransform2D) -> PlaneMask:
    """A mask moved onto a grid."""
    return PlaneMask(resample(mask.values, mask.grid, onto, to_onto), onto)


def square_grid(points_mm: NDArray[np.float64], step_mm: float, *, margin_mm: float = 0.0) -> PixelGrid:
    """Square pixels over the bounding box of points [n, 2] (x, z), centred on it."""
    low, high = points_mm.min(0) - margin_mm, points_mm.max(0) + margin_mm
    cols, rows = (int(np.ceil(v / step_mm - 1e-9)) + 1 for v in high - low)
    x, z = (low + high) / 2 - (np.array([cols, rows]) - 1) / 2 * step_mm
    return PixelGrid((float(x), float(z)), Spacing(step_mm, step_mm), (rows, cols))
