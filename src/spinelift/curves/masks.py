"""From a spine mask to the two ends of the spine and its three coronal curves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import make_smoothing_spline

from spinelift.curves.spine_curves import resample_rows
from spinelift.geometry import SPINE_ROWS, Spacing

Float = NDArray[np.float64]


@dataclass(frozen=True)
class MaskEdges:
    """Edges of a spine mask row by row, mm: heights z [n], left, centre and right x [n] each."""

    z_mm: Float
    left_mm: Float
    centre_mm: Float
    right_mm: Float


def largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected piece of a mask [H, W] with its holes filled; all False if it is empty."""
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    if count == 0:
        return np.zeros_like(mask, dtype=bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(labels == sizes.argmax())
    return filled


def mask_edges(probability: NDArray[np.floating], spacing: Spacing) -> MaskEdges | None:
    """Edges of one connected spine mask [H, W] with values 0 to 1, to a fraction of a pixel.

    Each row's edges are where the value crosses 0.5; ends likewise, along the centre line. None if
    fewer than two rows are inside.
    """
    p = np.asarray(probability, np.float64)
    inside = p >= 0.5
    rows = np.flatnonzero(inside.any(1))
    if len(rows) < 2:
        return None
    left = np.empty(len(rows))
    right = np.empty(len(rows))
    for k, r in enumerate(rows):
        cols = np.flatnonzero(inside[r])
        lo, hi = int(cols[0]), int(cols[-1])
        before = p[r, lo - 1] if lo > 0 else 0.0
        after = p[r, hi + 1] if hi + 1 < p.shape[1] else 0.0
        right[k] = lo - (p[r, lo] - 0.5) / max(p[r, lo] - before, 1e-9)
        left[k] = hi + (p[r, hi] - 0.5) / max(p[r, hi] - after, 1e-9)
    z = rows.astype(np.float64)
    z[0] -= _overhang(p, rows[0], -1)
    z[-1] += _overhang(p, rows[-1], 1)
    return MaskEdges(
        z * spacing.row_mm, left * spacing.col_mm, (left + right) / 2 * spacing.col_mm, right * spacing.col_mm
    )


def _overhang(p: Float, row: int, step: int) -> float:
    """How far beyond the last row the mask reaches, in rows (0 to 1)."""
    inner = float(p[row].max())
    outer = float(p[row + step].max()) if 0 <= row + step < p.shape[0] else 0.0
    return (inner - 0.5) / max(inner - outer, 1e-9)


def ends_of(edges: MaskEdges) -> tuple[tuple[float, float], tuple[float, float]]:
    """Top and bottom of the spine, (x, z) in mm; x is read a few rows inside, where both edges are whole."""
    inset = min(3, (len(edges.z_mm) - 1) // 2)
    top = (float(edges.centre_mm[inset]), float(edges.z_mm[0]))
    bottom = (float(edges.centre_mm[-1 - inset]), float(edges.z_mm[-1]))
    return top, bottom


def coronal_from_edges(edges: MaskEdges, *, smoothing: float = 2.0) -> tuple[Float, Float]:
    """209 even heights [209] and smooth left, centre, right curves [3, 209] in mm.

    The first and last few rows of a mask are corners, not edges: curves run straight on there. The
    smoothing spline has the given penalty on the squared second derivative, with z in units of 10 mm.
    """
    z = np.linspace(edges.z_mm[0], edges.z_mm[-1], SPINE_ROWS)
    trim = min(3, (len(edges.z_mm) - 5) // 2)
    if trim < 0:
        raise ValueError(f"a mask of {len(edges.z_mm)} rows is too short for curves")
    core = slice(trim, len(edges.z_mm) - trim)
    zc = edges.z_mm[core]
    even = np.linspace(zc[0], zc[-1], SPINE_ROWS)
    rows = []
    for values in (edges.left_mm, edges.centre_mm, edges.right_mm):
        smooth = make_smoothing_spline(zc / 10.0, values[core], lam=smoothing)(even / 10.0)
        rows.append(resample_rows(even, smooth, z))
    return z, np.stack(rows)
