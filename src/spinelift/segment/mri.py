"""The spine in a stitched Dixon MRI: 2.5D slices → column T1 to L5 and its centre line; no torch.

Two networks. The first sees three adjacent axial slices at a time (paper: n - 1, n, n + 1) in a window about
the centre of the trunk, and predicts the column's cross-section and a few features of the slice. The second
reads the features of all slices in order and predicts the heights of T1's upper and L5's lower endplate,
which no single slice shows well.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import ndimage

from spinelift.bundle import MriSegmenterCard, OnnxNetwork, load_bundle
from spinelift.bundle.kinds import MriWindow
from spinelift.errors import NoSpineError
from spinelift.geometry import largest_component
from spinelift.geometry.arrays import AnyArray, Bool, Float, Float32, Integers, UInt8
from spinelift.io.dixon.volume import DixonVolume

WINDOW = MriWindow().size_px
"""Rows (front to back) and columns (right to left) of the window, voxels of 2 mm."""
CHANNELS = 2 * MriWindow().slices
"""Water of slices n - 1, n, n + 1, then fat of the same."""
MIN_HEIGHT_MM, MAX_HEIGHT_MM = 250.0, 700.0
"""Plausible heights from T1's upper to L5's lower endplate."""
CONSISTENT = 0.3
"""Least probability of an end within ``END_REACH`` of its best height without a warning."""
END_REACH, END_SD = 10, 2.0
"""Slices around the most likely end that are averaged; smoothing of the distribution before, slices."""
MIN_COVERED = 0.9
"""Share of the slices between the ends below which there is a warning."""
LINE_SD, SHARE_SD = 2.0, 1.0
"""Smoothing of the centre line and of the cross-sections, slices."""
CLOSING_SLICES, FAINT = 5, 0.25
"""Gaps of fewer slices are closed, where the probability is at least the second."""
BATCH = 64
"""Slices of one run of the network."""
_LOOK = "Look at the images, or give a segmentation made elsewhere."


@dataclass(frozen=True)
class MriSpine:
    """The spine of one MRI: bodies and discs from T1's upper to L5's lower endplate, one connected column.

    ``mask``: uint8 [z, y, x] on the volume's grid, whose first voxel has its centre at ``origin_mm``
    (x, y, z). ``centre_line_mm`` [n, 3]: x, y, z of the column's middle in each row, project axes (z to the
    feet). ``top_mm``, ``bottom_mm``: heights z of its ends. ``warnings``: remarks for the user.
    """

    mask: UInt8
    centre_line_mm: Float
    top_mm: float
    bottom_mm: float
    origin_mm: tuple[float, float, float]
    voxel_mm: float
    warnings: tuple[str, ...] = ()

    @classmethod
    def from_mask(cls, mask: AnyArray, volume: DixonVolume, warnings: tuple[str, ...] = ()) -> "MriSpine":
        """The largest piece of a segmentation on the volume's grid; NoSpineError if its height is wrong."""
        column = largest_component(mask)
        rows = np.flatnonzero(column.any((1, 2)))
        mm = volume.voxel_mm
        height = mm * len(rows)
        if not MIN_HEIGHT_MM <= height <= MAX_HEIGHT_MM:
            raise NoSpineError(
                found=f"a spine {height:.0f} mm high in the MRI",
                expected=f"T1 to L5, {MIN_HEIGHT_MM:.0f} to {MAX_HEIGHT_MM:.0f} mm",
                do=_LOOK,
            )
        x0, y0, z0 = volume.origin_mm
        weight = column[rows].astype(np.float64)
        area = weight.sum((1, 2))
        y = (weight.sum(2) @ np.arange(column.shape[1])) / area
        x = (weight.sum(1) @ np.arange(column.shape[2])) / area
        line = np.stack([x0 + mm * x, y0 + mm * y, z0 + mm * rows], 1)
        line[:, :2] = ndimage.gaussian_filter1d(line[:, :2], LINE_SD, axis=0, mode="nearest")
        top, bottom = map(float, z0 + mm * (rows[[0, -1]] + np.array([-0.5, 0.5])))
        return cls(column.astype(np.uint8), line, top, bottom, volume.origin_mm, mm, warnings)


BACK_PERCENTILE = 90.0
"""Percentile of the slices' most posterior pixels taken as the back; legs and neck lie further anterior."""
BACK_PX = 10
"""Pixels of the back that may be cut off: vertebral bodies lie more than twice as deep."""
BEHIND_PX = 8
"""The spine lies behind the centre of the trunk: shift of the window, pixels."""
BODY_SHARE, BODY_PERCENTILE = 0.15, 98.0
"""Pixels of at least this share of this percentile are body."""
BRIGHT_PERCENTILE, BRIGHT = 90.0, 100.0
"""This percentile of the body's brightness becomes this pixel value."""


@dataclass(frozen=True)
class Window:
    """The part of a volume that the network sees: first row and column, and pixels.

    ``pixels`` is uint8 [2, z, WINDOW, WINDOW]: water and fat; ``BRIGHT`` is the body's ``BRIGHT_PERCENTILE``.
    """

    y0: int
    x0: int
    pixels: UInt8


def window_of(volume: DixonVolume) -> Window:
    """Cut the window about the centre of the trunk, further posterior where the back demands it; zero-padded.

    The centre of a large abdomen lies far from the spine; the back never does.
    """
    first, last = volume.rows
    total = volume.water[first:last:4] + volume.fat[first:last:4]
    inside = total > BODY_SHARE * max(float(np.percentile(total, BODY_PERCENTILE)), 1e-6)
    y0, x0 = (
        round(float(inside.sum(axes) @ np.arange(n) / max(inside.sum(), 1))) - WINDOW // 2
        for axes, n in (((0, 2), total.shape[1]), ((0, 1), total.shape[2]))
    )
    y0 += BEHIND_PX
    behind = np.asarray(inside[:, ::-1, max(x0, 0) : x0 + WINDOW].max(2))
    back = total.shape[1] - behind.argmax(1)[behind.any(1)]
    if len(back):
        y0 = max(y0, round(float(np.percentile(back, BACK_PERCENTILE))) - BACK_PX - WINDOW)
    bright = max(float(np.percentile(total[inside], BRIGHT_PERCENTILE)), 1e-6) if inside.any() else 1.0
    pixels = np.zeros((2, len(volume.water), WINDOW, WINDOW), np.uint8)
    (ty, sy), (tx, sx) = window_overlap(y0, total.shape[1]), window_overlap(x0, total.shape[2])
    for k, contrast in enumerate((volume.water, volume.fat)):
        pixels[k, :, ty, tx] = np.clip(np.rint(contrast[:, sy, sx] * (BRIGHT / bright)), 0, 255)
    return Window(y0, x0, pixels)


def window_overlap(start: int, size: int) -> tuple[slice, slice]:
    """Overlap of a window from ``start`` on with 0..size: slices of the window, and of the whole."""
    low, high = max(start, 0), min(start + WINDOW, size)
    return slice(low - start, high - start), slice(low, high)


def triples(pixels: UInt8, rows: Integers) -> Float32:
    """Window pixels [2, z, h, w] → network input [n, 6, h, w] of the slices ``rows``."""
    near = np.clip(rows[:, None] + [-1, 0, 1], 0, pixels.shape[1] - 1)
    stack = np.concatenate([pixels[0][near], pixels[1][near]], 1)
    return np.asarray(stack, np.float32) / BRIGHT


@dataclass(frozen=True)
class MriSegmenter:
    """The networks, loaded; ``digest`` is the hash of their card."""

    digest: str
    _slices: OnnxNetwork = field(repr=False)
    _ends: OnnxNetwork = field(repr=False)

    @classmethod
    def load(cls, path: Path | None = None, *, threads: int = 1) -> "MriSegmenter":
        """The shipped networks, or those of a folder or zip, as of :func:`spinelift.bundle.load_bundle`."""
        bundle = load_bundle(MriSegmenterCard, path)
        slices, ends = (bundle.network(name, threads) for name in ("slices", "ends"))
        return cls(bundle.ref.sha256, slices, ends)

    def segment(self, volume: DixonVolume) -> MriSpine:
        """Find the column T1 to L5; raises NoSpineError if there is none, or it cannot be human."""
        window = window_of(volume)
        rows = np.arange(*volume.rows)
        batches = (rows[k : k + BATCH] for k in range(0, len(rows), BATCH))
        outputs = [self._slices(triples(window.pixels, batch)) for batch in batches]
        shares, features = (np.concatenate(part) for part in zip(*outputs, strict=True))
        (heat,) = self._ends(features.T[None])
        return assemble(shares, heat[0], rows, window, volume)


def assemble(shares: Float32, heat: Float32, rows: Integers, window: Window, volume: DixonVolume) -> MriSpine:
    """Cross-sections [n, h, w] and probabilities of the ends [2, n] of slices ``rows`` → the spine."""
    ends, sure = zip(*(_peak(h) for h in heat), strict=True)
    height = volume.voxel_mm * (ends[1] - ends[0])
    if height < MIN_HEIGHT_MM:
        found = f"ends of the spine {height:.0f} mm apart in the MRI"
        raise NoSpineError(found=found, expected=f"at least {MIN_HEIGHT_MM:.0f} mm", do=_LOOK)
    inside = np.zeros(volume.water.shape, np.float32)
    _, depth, width = volume.water.shape
    (ty, sy), (tx, sx) = window_overlap(window.y0, depth), window_overlap(window.x0, width)
    smooth = ndimage.gaussian_filter1d(shares, SHARE_SD, axis=0, mode="nearest")
    inside[rows[0] : rows[-1] + 1, sy, sx] = smooth[:, ty, tx]
    index = np.arange(len(inside)) - rows[0]
    inside[(index < ends[0] - 0.5) | (index > ends[1] + 0.5)] = 0.0
    named = zip(("upper end of T1", "lower end of L5"), sure, strict=True)
    warnings = [f"the {name} is uncertain in the MRI" for name, share in named if share < CONSISTENT]
    column = _whole(inside)
    first, last = int(np.ceil(ends[0])) + rows[0], int(ends[1]) + rows[0]
    covered = column[first : last + 1].any((1, 2)).mean()
    if covered < MIN_COVERED:
        warnings.append(f"the spine was found in {100 * covered:.0f} % of its slices only")
    return MriSpine.from_mask(column, volume, tuple(warnings))


def _whole(inside: Float32) -> Bool:
    """One column: the largest piece, closed over faint slices, holes filled."""
    closed = ndimage.binary_closing(inside >= 0.5, np.ones((CLOSING_SLICES, 1, 1), bool))
    column = largest_component(closed & (inside >= FAINT))
    for z in np.flatnonzero(column.any((1, 2))):
        column[z] = ndimage.binary_fill_holes(column[z])
    return column


def _peak(heat: Float32) -> tuple[float, float]:
    """Most likely slice of a distribution [n], to a fraction, and the probability of those near it."""
    k = int(ndimage.gaussian_filter1d(heat.astype(np.float64), END_SD).argmax())
    near = np.arange(max(k - END_REACH, 0), min(k + END_REACH + 1, len(heat)))
    share = float(heat[near].sum())
    return float((heat[near] @ near) / max(share, 1e-9)), share
