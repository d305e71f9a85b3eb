"""The inner loops of `tube`, compiled."""

import numpy as np

from spinelift.simulate.kernels import numba

WIDE_MM = 215.0
"""Rays farther from the spine than this are not followed."""


@numba.njit(inline="always", fastmath=True)
def _along(axes, line, k, column, x, y, z):  # type: ignore[no-untyped-def]
    return (
        axes[k, 0, column] * (x - line[k, 0])
        + axes[k, 1, column] * (y - line[k, 1])
        + axes[k, 2, column] * (z - line[k, 2])
    )


@numba.njit(inline="always", fastmath=True)
def _plane(soft, iz, iy, ix, fy, fx, c):  # type: ignore[no-untyped-def]
    top = (1 - fx) * soft[iz, iy, ix, c] + fx * soft[iz, iy, ix + 1, c]
    low = (1 - fx) * soft[iz, iy + 1, ix, c] + fx * soft[iz, iy + 1, ix + 1, c]
    return (1 - fy) * top + fy * low


@numba.njit(cache=True, fastmath=True, error_model="numpy")
def warp_kernel(  # type: ignore[no-untyped-def]
    out, soft, spacing, origin, src, src_axes, mirror, dst, dst_axes, pitch, wide, grid, depth, levels
):
    """Sum of ``soft`` [z, y, x, 3] along y into ``out`` [rows, cols, 3].

    ``grid`` is `fine_grid`, ``depth`` (first y, last y, step), ``levels`` (first, step, last whole one).
    """
    rows, cols, _ = out.shape
    nz, ny, nx, _ = soft.shape
    n = len(pitch)
    first, per, last = levels
    for i in range(rows):
        z = grid[1] + i * grid[3]
        start = max(int(np.searchsorted(dst[:, 2], z)) - 1, 0)
        for j in range(cols):
            x = grid[0] + j * grid[2]
            if abs(x - dst[start, 0]) > WIDE_MM:
                continue
            pos = float(start)
            y = depth[0] - depth[2]
            while y < depth[1]:
                y += depth[2]
                k = 0
                for _ in range(3):  # the level whose plane holds the point
                    k = min(max(int(pos + 0.5), 0), n - 1)
                    h = _along(dst_axes, dst, k, 2, x, y, z)
                    pos = min(max(k + h / (pitch[k] * per), 0.0), n - 1.0)
                    if abs(h) < 0.6:
                        break
                a = _along(dst_axes, dst, k, 0, x, y, z) / wide[k]
                b = _along(dst_axes, dst, k, 1, x, y, z) / wide[k]
                low = min(int(pos), n - 2)
                f = pos - low
                m = (mirror[low] * (1 - f) + mirror[low + 1] * f - first) / per
                s = min(max(int(m), 0), n - 2)
                f = m - s
                px = src[s, 0] * (1 - f) + src[s + 1, 0] * f + src_axes[s, 0, 0] * a + src_axes[s, 0, 1] * b
                py = src[s, 1] * (1 - f) + src[s + 1, 1] * f + src_axes[s, 1, 0] * a + src_axes[s, 1, 1] * b
                pz = src[s, 2] * (1 - f) + src[s + 1, 2] * f + src_axes[s, 2, 0] * a + src_axes[s, 2, 1] * b
                vx = (px - origin[0]) / spacing[2]
                vy = (py - origin[1]) / spacing[1]
                vz = (pz - origin[2]) / spacing[0]
                if vx < 0 or vy < 0 or vz < 0 or vx >= nx - 1 or vy >= ny - 1 or vz >= nz - 1:
                    continue
                ix, iy, iz = int(vx), int(vy), int(vz)
                fx, fy, fz = vx - ix, vy - iy, vz - iz
                bony = first + pos * per <= last
                for c in range(3):
                    v = (1 - fz) * _plane(soft, iz, iy, ix, fy, fx, c)
                    v += fz * _plane(soft, iz + 1, iy, ix, fy, fx, c)
                    out[i, j, 1 if c == 0 and not bony else c] += v


@numba.njit(cache=True, fastmath=True)
def splat_kernel(fine, points, mass, grid):  # type: ignore[no-untyped-def]
    """Spread each point's mass [n, 3] bilinearly over ``fine`` [rows, cols, 3]."""
    rows, cols, _ = fine.shape
    for p in range(len(points)):
        u, z = (points[p, 0] - grid[0]) / grid[2], (points[p, 2] - grid[1]) / grid[3]
        j, i = int(np.floor(u)), int(np.floor(z))
        if i < 0 or j < 0 or i >= rows - 1 or j >= cols - 1:
            continue
        fu, fz = u - j, z - i
        for c in range(3):
            m = mass[p, c]
            fine[i, j, c] += m * (1 - fz) * (1 - fu)
            fine[i, j + 1, c] += m * (1 - fz) * fu
            fine[i + 1, j, c] += m * fz * (1 - fu)
            fine[i + 1, j + 1, c] += m * fz * fu
