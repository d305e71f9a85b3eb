"""Images and masks of the coronal plane with their grids."""

from dataclasses import dataclass

import numpy as np

from spinelift.geometry import PixelGrid, RigidTransform2D, Spacing
from spinelift.geometry.arrays import Bool, Float32
from spinelift.geometry.resample import resample

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

    pixels: Float32
    grid: PixelGrid
    valid: Bool

    def __post_init__(self) -> None:
        if self.pixels.shape[1:] != self.grid.shape or self.valid.shape != self.grid.shape:
            raise ValueError(f"pixels {self.pixels.shape} do not fit a grid of {self.grid.shape}")

    def resample_to(self, grid: PixelGrid, transform: RigidTransform2D | None = None) -> "PlaneImage":
        """The image on another grid, moved by ``transform``.

        The border's values continue outside the image, where it is not valid.
        """
        pixels = [resample(c, self.grid, grid, transform, extend=True) for c in self.pixels]
        valid = resample(self.valid, self.grid, grid, transform) > 0.499  # half, and rounding
        return PlaneImage(np.stack(pixels), grid, valid)


@dataclass(frozen=True)
class PlaneMask:
    """A spine mask on a grid; ``values`` float32 [H, W], 0 to 1."""

    values: Float32
    grid: PixelGrid

    @property
    def inside(self) -> Bool:
        """Pixels of at least 0.5, bool [H, W]."""
        return np.asarray(self.values >= 0.5)

    def resample_to(self, grid: PixelGrid, transform: RigidTransform2D | None = None) -> "PlaneMask":
        """The mask on another grid, moved by ``transform``."""
        return PlaneMask(resample(self.values, self.grid, grid, transform), grid)


def dxa_plane(image: Float32, spacing: Spacing) -> PlaneImage:
    """A DXA [H, W] in its own millimetres."""
    grid = PixelGrid.of_scan(spacing, image.shape)
    return PlaneImage(np.asarray(image, np.float32)[None], grid, np.ones(grid.shape, bool))
