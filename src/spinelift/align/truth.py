"""Spine masks of a simulated pair, from the truth that the simulator writes beside the archives."""

import numpy as np

from spinelift.align.pipeline import PairMasks
from spinelift.align.plane import PlaneMask
from spinelift.geometry import PixelGrid
from spinelift.io.truth import ColumnTruth, SimulatedTruth

RASTER_MM = 1.0
"""Pixel size of the masks."""


def pair_masks(truth: SimulatedTruth) -> PairMasks:
    """True masks of DXA and MRI, each in its own millimetres.

    Raises
    ------
    ConfigError
        The truth is that of a DXA alone.
    """
    return PairMasks(column_mask(truth.dxa), column_mask(truth.pair))


def column_mask(column: ColumnTruth) -> PlaneMask:
    """The column between its left and right curve, on a 1 mm raster; edges to a fraction of a pixel."""
    low = np.array([column.curves_mm[2].min(), column.z_mm[0]])
    high = np.array([column.curves_mm[0].max(), column.z_mm[-1]])
    grid = PixelGrid.covering(np.stack([low, high]), RASTER_MM, margin_mm=4 * RASTER_MM)
    depth = column.depth_mm(np.stack(np.meshgrid(grid.x_mm, grid.z_mm), -1))
    return PlaneMask(np.clip(depth / RASTER_MM + 0.5, 0.0, 1.0).astype(np.float32), grid)
