"""Features without training: directions of edges, which two modalities share where their grey values differ.

Normalised gradient fields (Haber and Modersitzki 2006, doi:10.1007/11866763_89). An edge counts whatever
its sign, so the doubled angle of its direction is kept.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import ndimage

from spinelift.align.plane import PlaneImage
from spinelift.geometry.arrays import Bool, Float32


@dataclass(frozen=True)
class FeatureMap:
    """Features [D, h, w] of an image, in cells of ``cell_px`` × ``cell_px`` of its pixels, which are square.

    Row and column of the first cell's centre are ``first_px``.
    """

    values: Float32
    cell_px: int
    first_px: float


class Features(Protocol):
    """Images to feature maps; the score of two maps is their inner product."""

    @property
    def pixel_mm(self) -> float:
        """Pixel size of the images that are expected."""

    @property
    def shapes(self) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """Canvas of the DXA and of the MRI, rows and columns; None for any."""

    def dxa(self, image: PlaneImage) -> FeatureMap:
        """Features of a DXA [1, H, W]."""

    def mri(self, image: PlaneImage) -> FeatureMap:
        """Features of a projected MRI [2, H, W]: water, fat."""


@dataclass(frozen=True)
class GradientFeatures:
    """Edge directions, two channels: strength × cos 2θ, strength × sin 2θ.

    The strength is ``g² / (g² + n²)`` of a gradient g, with n the mean gradient. ``pixel_mm``: pixel and cell
    size. ``sigma_mm``: width of the Gaussian whose derivative finds edges.
    """

    pixel_mm: float = 4.0
    sigma_mm: float = 5.0
    shapes: None = None

    def mri(self, image: PlaneImage) -> FeatureMap:
        """Features of a projected MRI [2, H, W], or of a DXA [1, H, W]: the mean over its channels."""
        sigma = self.sigma_mm / self.pixel_mm
        margin = int(np.ceil(2 * sigma))
        inside = ndimage.binary_erosion(image.valid, iterations=margin, border_value=1)
        maps = np.mean([self._edges(channel, inside, sigma) for channel in image.pixels], 0)
        return FeatureMap(maps.astype(np.float32), 1, 0.0)

    dxa = mri

    def _edges(self, pixels: Float32, inside: Bool, sigma: float) -> Float32:
        root = np.sqrt(np.maximum(pixels, 0.0))
        dz = ndimage.gaussian_filter(root, sigma, order=(1, 0), mode="nearest")
        dx = ndimage.gaussian_filter(root, sigma, order=(0, 1), mode="nearest")
        square = (dx * dx + dz * dz) * inside
        noise = float(np.sqrt(square).sum()) / max(int(inside.sum()), 1)
        weight = inside / (square + noise * noise + 1e-12)
        return np.stack([(dx * dx - dz * dz) * weight, 2 * dx * dz * weight])
