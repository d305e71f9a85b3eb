"""Spine masks of a simulated pair, from the truth that the simulator writes beside the archives."""

import numpy as np

from spinelift.align.pipeline import PairMasks
from spinelift.align.plane import PlaneMask, square_grid
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
    grid = square_grid(np.stack([low, high]), RASTER_MM, margin_mm=4 * RASTER_MM)
    rows, cols = np.meshgrid(*(np.arange(n, dtype=np.float64) for n in grid.shape), indexing="ij")
    depth = column.depth_mm(grid.to_mm(np.stack([rows, cols], -1)))
    return PlaneMask(np.clip(depth / RASTER_MM + 0.5, 0.0, 1.0).astype(np.float32), grid)
