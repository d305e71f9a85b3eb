"""Where the column lies in a lateral vertebral view, by a network that is already trained."""

from dataclasses import dataclass

import numpy as np

from spinelift.bundle import Bundle, LvaCard
from spinelift.curves import mask_edges, smooth_rows
from spinelift.errors import NoSpineError
from spinelift.geometry import Spacing
from spinelift.geometry.arrays import AnyFloat, Float, Float32
from spinelift.geometry.canonical import CanonicalGrid
from spinelift.segment.postprocess import BOTTOM, MASK, MIN_PEAK, TOP, connected_mask, soft_peak

MIN_LENGTH_MM = 200.0
"""Least height of a column that is compared: about T9 to L4."""
EDGE_MM = 4.0
"""An end that is nearer to the image's edge, or beyond it, does not count: the network guesses it."""


@dataclass(frozen=True)
class LateralSpine:
    """The column in a lateral view.

    ``line_mm`` [n, 2] (y, z) is its centre line from head to feet, mm from the centre of the image's first
    pixel, z ascending. ``top_mm``, ``bottom_mm``: height z of T5's upper and L5's lower endplate, None if not
    seen. ``confidence``: mean probability inside the mask, 0 to 1.
    """

    line_mm: Float
    top_mm: float | None
    bottom_mm: float | None
    confidence: float


class LateralSegmenter:
    """A loaded LVA network."""

    def __init__(self, bundle: Bundle[LvaCard], threads: int | None = None) -> None:
        self.ref = bundle.ref
        self._network = bundle.network("segmenter", threads)

    def find(self, image: Float32, spacing: Spacing) -> LateralSpine:
        """The column of a lateral view [H, W], columns to posterior; raises NoSpineError if none is seen."""
        grid = CanonicalGrid.lateral(spacing, (image.shape[0], image.shape[1]))
        (maps,) = self._network(grid.resample(image)[None, None])
        return find_line(maps[0], grid)


def find_line(maps: AnyFloat, grid: CanonicalGrid) -> LateralSpine:
    """Maps [3, H, W] on the canvas → the column; raises NoSpineError if it is shorter than allowed."""
    mask, _ = connected_mask(maps[MASK])
    canvas = grid.canvas
    edges = mask_edges(mask, canvas.spacing)
    height = 0.0 if edges is None else float(edges.z_mm[-1] - edges.z_mm[0])
    if edges is None or height < MIN_LENGTH_MM:
        raise NoSpineError(
            found=f"a column of {height:.0f} mm in the lateral view",
            expected=f"at least {MIN_LENGTH_MM:.0f} mm of it, in one piece",
            do="Look at the LVA image: leave the visit out if it does not show the spine.",
        )
    rows = np.arange(np.ceil(edges.z_mm[0]), edges.z_mm[-1], canvas.spacing.row_mm)
    centre = smooth_rows(edges.z_mm, edges.centre_mm[None], rows)[0]
    _, _, first, last = grid.scan.extent_mm

    def end(channel: int) -> float | None:
        place, peak = soft_peak(maps[channel])
        z = float(canvas.to_mm(place)[1])
        return z if peak >= MIN_PEAK and first + EDGE_MM <= z <= last - EDGE_MM else None

    line = np.stack([centre, rows], 1) + canvas.origin_mm
    return LateralSpine(line, end(TOP), end(BOTTOM), round(float(mask[mask >= 0.5].mean()), 4))
