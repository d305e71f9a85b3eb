"""The spine as a solid: at each height the ellipse whose axes are the coronal and sagittal widths."""

import numpy as np
from numpy.typing import NDArray

from spinelift.curves.spine_curves import Curve, SpineCurves, resample_rows
from spinelift.geometry.arrays import Float

MIN_HALF_AXIS_MM = 0.5
"""A mesh is at least this thick, so that its faces stay proper triangles."""


def ellipses_mm(mm: Float) -> tuple[Float, Float]:
    """Centres (x, y) [n, 2] and half axes (a, b) [n, 2] in mm of the ellipses of curves [6, n]."""
    low, high = mm[[Curve.RIGHT, Curve.ANTERIOR]].T, mm[[Curve.LEFT, Curve.POSTERIOR]].T
    return (low + high) / 2, np.maximum((high - low) / 2, 0.0)


def tube_mesh(
    curves: SpineCurves, *, segments: int = 32, rows: NDArray[np.int64] | slice = slice(None)
) -> tuple[Float, NDArray[np.int64]]:
    """Closed triangle mesh of the solid: vertices [v, 3] in mm (x, y, z) and faces [f, 3], outward.

    Each of the ``rows``, all 209 by default, is a ring of ``segments`` points.
    """
    centres, axes = ellipses_mm(curves.mm[:, rows])
    heights = curves.z_mm[rows]
    axes = np.maximum(axes, MIN_HALF_AXIS_MM)
    n = len(centres)
    angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], -1)
    xy = centres[:, None] + axes[:, None] * ring[None]
    z = np.broadcast_to(heights[:, None, None], (n, segments, 1))
    caps = np.column_stack([centres, heights])[[0, -1]]
    vertices = np.concatenate([np.concatenate([xy, z], -1).reshape(-1, 3), caps])
    i, j = np.meshgrid(np.arange(n - 1), np.arange(segments), indexing="ij")
    a, b = (i * segments + j).ravel(), (i * segments + (j + 1) % segments).ravel()
    c, d = a + segments, b + segments
    k = np.arange(segments)
    top = np.stack([np.full(segments, n * segments), (k + 1) % segments, k], 1)
    last = (n - 1) * segments
    bottom = np.stack([np.full(segments, n * segments + 1), last + k, last + (k + 1) % segments], 1)
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1), top, bottom])
    return vertices, faces.astype(np.int64)


def solid_iou(z_a: Float, mm_a: Float, z_b: Float, mm_b: Float, *, step_mm: float = 1.0) -> float:
    """Intersection over union of two solids, counted on a grid of ``step_mm``.

    ``z`` are heights [n] and ``mm`` curves [6, n] of each. 1.0 for two empty solids.
    """
    z = np.arange(min(z_a[0], z_b[0]), max(z_a[-1], z_b[-1]) + step_mm, step_mm)
    solids = []
    for zz, mm in ((z_a, mm_a), (z_b, mm_b)):
        centres, axes = ellipses_mm(resample_rows(zz, mm, z))
        axes[(z < zz[0]) | (z > zz[-1])] = 0.0
        solids.append((centres, axes))
    lo = np.min([(c - a).min(0) for c, a in solids], 0)
    hi = np.max([(c + a).max(0) for c, a in solids], 0)
    x = np.arange(lo[0], hi[0] + step_mm, step_mm)
    last = len(np.arange(lo[1], hi[1] + step_mm, step_mm)) - 1
    spans = []
    for centres, axes in solids:
        safe = np.maximum(axes, 1e-6)
        rest = 1 - ((x[None] - centres[:, :1]) / safe[:, :1]) ** 2
        half = np.where(rest >= 0, safe[:, 1:] * np.sqrt(np.maximum(rest, 0)), -np.inf)
        front, back = centres[:, 1:] - lo[1] - half, centres[:, 1:] - lo[1] + half
        # Grid points of each column of a slice that lie inside: from the first to the last one.
        spans.append((np.maximum(np.ceil(front / step_mm), 0), np.minimum(np.floor(back / step_mm), last)))
    (first, end), (other_first, other_end) = spans
    a, b = (np.maximum(e - f + 1, 0).sum() for f, e in spans)
    both = np.maximum(np.minimum(end, other_end) - np.maximum(first, other_first) + 1, 0).sum()
    return float(both / (a + b - both)) if a + b else 1.0
