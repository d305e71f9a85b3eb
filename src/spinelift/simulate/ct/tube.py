"""Soft parts and ribs carried along with a spine, and clouds of masses projected.

A point near a spine has tube coordinates: its level t (T1 is 0, L5 is 16) at which it lies in the plane
across the spine, and its two coordinates in that plane. The warp goes from a posed spine's tube back to
the CT's. Frames are smoothed over levels, so that planes fan out without crossing within the trunk.
"""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline, interp1d
from scipy.ndimage import gaussian_filter1d

from spinelift.geometry import PixelGrid
from spinelift.geometry.arrays import Float, Float32
from spinelift.simulate.body.prior import N_LEVELS
from spinelift.simulate.body.skeleton import smooth_frames
from spinelift.simulate.ct.tube_kernels import splat_kernel, warp_kernel

T_FIRST, T_LAST, T_STEP = -4.0, 22.0, 0.05
SMOOTH_LEVELS = 2.0
"""Standard deviation of the smoothing of frames, levels."""
SUB = 2
"""Rays a pixel in each direction."""
DEPTH_MM = 3.0
"""Step along a ray."""


@dataclass(frozen=True)
class Tube:
    """Centre line [n, 3], axes [n, 3, 3] (columns left, back, down), pitch [n] (mm a level) at levels t."""

    line: Float
    axes: Float
    pitch: Float


def tube_of(centres: Float, frames: Float) -> Tube:
    """The tube around a spine, straight on beyond its ends."""
    level = np.arange(N_LEVELS)
    t = np.arange(T_FIRST, T_LAST + T_STEP / 2, T_STEP)
    spline = CubicSpline(level, centres)
    inside = np.clip(t, 0, N_LEVELS - 1)
    slope = gaussian_filter1d(spline(inside, 1), 1 / T_STEP, axis=0, mode="nearest")
    line = spline(inside) + (t - inside)[:, None] * slope
    axes = interp1d(level, smooth_frames(frames, SMOOTH_LEVELS), axis=0)(inside)
    u, _, vt = np.linalg.svd(axes)
    return Tube(line, u @ vt, np.linalg.norm(slope, axis=1))


def back_levels(t: Float, last: float, first: float) -> Float:
    """Levels of the CT that stand for levels t: below ``last`` the part from ``first`` to it, to and fro."""
    span = last - first
    beyond = np.maximum(t - last, 0)
    phase = beyond % (2 * span)
    fold = np.where(phase < span, phase, 2 * span - phase)
    return np.where(t <= last, t, last - fold)


def warp_project(
    soft: Float32,
    spacing: tuple[float, float, float],
    origin: Float,
    source: Tube,
    target: Tube,
    wide: Float,
    view: PixelGrid,
    depth: tuple[float, float],
    *,
    last: float = T_LAST,
    first: float = T_LAST - 1,
) -> Float:
    """Maps [3, rows, cols], g/cm², of the CT's soft parts warped from tube ``source`` to tube ``target``.

    ``wide`` [n] is how many mm of the target a mm of the source across the tube becomes, ``depth`` the
    range of y. From level ``last`` on, the CT between ``first`` and ``last`` repeats, without its bone; by
    default nothing repeats. Outside the CT there is nothing.
    """
    t = np.arange(T_FIRST, T_LAST + T_STEP / 2, T_STEP)
    mirror = np.ascontiguousarray(back_levels(t, last, first))
    rows, cols = view.shape
    out = np.zeros((rows * SUB, cols * SUB, 3))
    warp_kernel(
        out, soft, np.array(spacing), origin, source.line, source.axes, mirror, target.line, target.axes,
        target.pitch, wide, fine_grid(view), np.array([*depth, DEPTH_MM]), np.array([T_FIRST, T_STEP, last]),
    )  # fmt: skip
    maps = out.reshape(rows, SUB, cols, SUB, 3).mean((1, 3)) * DEPTH_MM / 10
    return np.ascontiguousarray(np.moveaxis(maps, -1, 0))


def fine_grid(view: PixelGrid) -> Float:
    """First ray's u and z and the steps between rays, mm, with SUB × SUB rays a pixel [4]."""
    back = (1 - SUB) / (2 * SUB)
    return np.array([*view.to_mm([back, back]), view.spacing.col_mm / SUB, view.spacing.row_mm / SUB])


def splat(maps: Float, points: Float32, mass: Float32, view: PixelGrid) -> None:
    """Add masses in grams [n, 3] at points [n, 3] in mm to maps [3, rows, cols] in g/cm², in place."""
    rows, cols = view.shape
    fine = np.zeros((rows * SUB, cols * SUB, 3))
    splat_kernel(fine, points, mass, fine_grid(view))
    area = view.spacing.col_mm * view.spacing.row_mm / 100
    maps += np.moveaxis(fine.reshape(rows, SUB, cols, SUB, 3).sum((1, 3)), -1, 0) / area
