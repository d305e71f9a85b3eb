"""Images and masks of the coronal plane: of a DXA, and of an MRI projected along y."""

from dataclasses import dataclass

import numpy as np

from spinelift.errors import UnsupportedImageError
from spinelift.geometry import PixelGrid, RigidTransform2D, Spacing
from spinelift.geometry.arrays import AnyArray, Bool, Float32
from spinelift.geometry.resample import resample
from spinelift.io.dixon.volume import DixonVolume

DXA, MRI = "dxa", "mri"
"""Names of the coordinate systems: mm from the scan's first pixel; scanner mm, z to the feet."""


@dataclass(frozen=True)
class PlaneImage:
    """Channels on a grid: ``pixels`` float32 [C, H, W]; ``valid`` bool [H, W], what was measured."""

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


@dataclass(frozen=True)
class PairMasks:
    """Spine masks of a pair, each in its own millimetres."""

    dxa: PlaneMask
    mri: PlaneMask


def dxa_plane(image: Float32, spacing: Spacing) -> PlaneImage:
    """A DXA [H, W] in its own millimetres."""
    grid = PixelGrid.of_scan(spacing, image.shape)
    return PlaneImage(np.asarray(image, np.float32)[None], grid, np.ones(grid.shape, bool))


def project_volume(volume: DixonVolume) -> PlaneImage:
    """Mean of water (channel 0) and of fat (1) along y, float32 [2, rows, columns], measured rows only."""
    first, last = volume.rows
    pixels = np.stack([v[first:last].mean(1, dtype=np.float32) for v in (volume.water, volume.fat)])
    grid = _grid(volume, first, pixels.shape)
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
    return PlaneMask(flat, _grid(volume, 0, flat.shape))


def _grid(volume: DixonVolume, first_row: int, shape: tuple[int, ...]) -> PixelGrid:
    (x, _, z), mm = volume.origin_mm, volume.voxel_mm
    return PixelGrid((x, z + first_row * mm), Spacing(mm, mm), (shape[-2], shape[-1]))
