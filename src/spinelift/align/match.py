"""How well spines of DXA and MRI fit, without an alignment: the coronal shape and the height of the column.

A rigid transform and a shift along the spine are taken out, so that what remains is of the person: the bends
of the column, and how long it is. One side of a pair is compared with many others at once.
"""

from dataclasses import dataclass

import numpy as np

from spinelift.align.keypoints import no_column, smoothed
from spinelift.align.plane import PlaneMask
from spinelift.curves import mask_edges
from spinelift.geometry.arrays import Float, Float32

POINTS = 101
"""Of a centre line, at even heights from T1 to L5."""
REACH = 6
"""Points by which two lines may be shifted along each other, about 28 mm: the ends of masks are uncertain."""
SHAPE_MM = 1.3
"""Root mean square distance of the two centre lines of a person (11 simulated people, after the fit)."""
HEIGHT_MM = 10.0
"""Difference of the two heights of a person: a little above that of the same people, for real postures."""


@dataclass(frozen=True)
class CentreLines:
    """Coronal centre lines of n columns: ``x_mm`` float32 [n, POINTS], head to feet; ``height_mm`` [n]."""

    x_mm: Float32
    height_mm: Float

    def __len__(self) -> int:
        return len(self.height_mm)

    def take(self, rows: slice | list[int]) -> "CentreLines":
        """The given rows."""
        return CentreLines(self.x_mm[rows], self.height_mm[rows])


def centre_line(mask: PlaneMask) -> tuple[Float32, float]:
    """Centre line of a spine mask, float32 [POINTS] mm about its mean, and the height of the mask, mm.

    Raises NoSpineError if the mask is empty.
    """
    edges = mask_edges(smoothed(mask).values, mask.grid.spacing)
    if edges is None:
        raise no_column("an empty spine mask")
    z = np.linspace(edges.z_mm[0], edges.z_mm[-1], POINTS)
    x = np.interp(z, edges.z_mm, (edges.left_mm + edges.right_mm) / 2)
    return (x - x.mean()).astype(np.float32), float(edges.z_mm[-1] - edges.z_mm[0])


def misfit(dxa: CentreLines, mri: CentreLines) -> Float:
    """Misfit of every DXA with every MRI [n, m]; about 1 for two scans of a person, usually above 10 else.

    ``(d / SHAPE_MM)² + (h / HEIGHT_MM)²``, with the root mean square distance d of the lines after the best
    straight line and the best shift of up to ``REACH`` points, and the difference h of the heights.
    """
    rows = POINTS - 2 * REACH
    basis = np.linalg.qr(np.stack([np.ones(rows), np.arange(rows)], 1))[0]

    def bends(lines: CentreLines, shift: int) -> Float:
        x = lines.x_mm[:, REACH + shift : REACH + shift + rows].astype(np.float64)
        return np.asarray(x - x @ basis @ basis.T)

    fixed = bends(dxa, 0)
    square = np.full((len(dxa), len(mri)), np.inf)
    for shift in range(-REACH, REACH + 1):
        moved = bends(mri, shift)
        distance = (fixed**2).sum(1)[:, None] + (moved**2).sum(1) - 2 * fixed @ moved.T
        square = np.minimum(square, distance / rows)
    height = dxa.height_mm[:, None] - mri.height_mm
    return np.asarray(np.maximum(square, 0.0) / SHAPE_MM**2 + (height / HEIGHT_MM) ** 2)
