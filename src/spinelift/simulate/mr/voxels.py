"""Closed meshes painted into a label volume: signed crossings along y, summed up.

Every ray runs along y through the centre of a column of voxels. Each triangle that it crosses adds ±1 at
the depth of the crossing; the running sum is the winding number, and voxels where it is above 0 are
inside. Later solids win over earlier ones. A ray whose crossings do not cancel (a crack in the mesh) is
left out.
"""

from dataclasses import dataclass

import numpy as np

from spinelift.geometry.arrays import Bool, Float, Int32, UInt8
from spinelift.simulate.kernels import numba

ALL: Bool = np.ones(256, bool)
NUDGE = 1.7e-4
"""Rays stand off the voxel centres by this part of a voxel, so that they miss edges and vertices."""


@dataclass(frozen=True)
class Grid:
    """Voxels [z, x, y]: centres at ``origin + index * step`` mm, both in the order (x, y, z)."""

    shape: tuple[int, int, int]
    origin: tuple[float, float, float]
    step: tuple[float, float, float]

    def empty(self) -> UInt8:
        """A label volume of air."""
        return np.zeros(self.shape, np.uint8)


@numba.njit(cache=True, error_model="numpy")
def _cross(counts, points, faces, z0, x0):  # type: ignore[no-untyped-def]
    """Add the crossings of all triangles to counts [z, x, y + 1]; points are in voxels (x, y, z)."""
    nz, nx, ny = counts.shape
    for t in range(faces.shape[0]):
        a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
        ax, az = points[a, 0], points[a, 2]
        bx, bz = points[b, 0], points[b, 2]
        cx, cz = points[c, 0], points[c, 2]
        area = (bx - ax) * (cz - az) - (cx - ax) * (bz - az)
        if area == 0.0:
            continue
        sign = -1 if area > 0 else 1
        inverse = 1.0 / area
        i0 = max(0, int(np.ceil(min(az, bz, cz) - z0)))
        i1 = min(nz - 1, int(np.floor(max(az, bz, cz) - z0)))
        j0 = max(0, int(np.ceil(min(ax, bx, cx) - x0)))
        j1 = min(nx - 1, int(np.floor(max(ax, bx, cx) - x0)))
        for i in range(i0, i1 + 1):
            z = i + z0
            for j in range(j0, j1 + 1):
                x = j + x0
                wa = ((bx - x) * (cz - z) - (cx - x) * (bz - z)) * inverse
                wb = ((cx - x) * (az - z) - (ax - x) * (cz - z)) * inverse
                wc = 1.0 - wa - wb
                if wa >= 0 and wb >= 0 and wc >= 0:
                    depth = wa * points[a, 1] + wb * points[b, 1] + wc * points[c, 1]
                    k = int(np.ceil(depth))
                    counts[i, j, min(max(k, 0), ny - 1)] -= sign


@numba.njit(cache=True)
def _fill(labels, counts, value, over, z0, x0, y0):  # type: ignore[no-untyped-def]
    nz, nx, ny = counts.shape
    for i in range(nz):
        for j in range(nx):
            total = 0
            for k in range(ny):
                total += counts[i, j, k]
            if total != 0:
                continue
            inside = 0
            for k in range(ny - 1):
                inside += counts[i, j, k]
                if inside > 0 and over[labels[z0 + i, x0 + j, y0 + k]]:
                    labels[z0 + i, x0 + j, y0 + k] = value


def paint(labels: UInt8, grid: Grid, points: Float, faces: Int32, value: int, *, over: Bool = ALL) -> None:
    """Give the voxels of ``labels`` [z, x, y] whose centres lie in a closed mesh a value, in place.

    ``points`` [v, 3] are in mm; ``faces`` [f, 3] outward as those of `solids.Solid`. ``over`` [256] says
    which labels are painted over.
    """
    p = (points - np.asarray(grid.origin)) / np.asarray(grid.step) + NUDGE
    size = np.array([grid.shape[1], grid.shape[2], grid.shape[0]])
    low = np.maximum(np.ceil(p.min(0)).astype(int), 0)
    high = np.minimum(np.floor(p.max(0)).astype(int), size - 1)
    if np.any(low > high):
        return
    nx, ny, nz = (high - low + 1).tolist()
    counts = np.zeros((nz, nx, ny + 1), np.int8)
    shifted = p - np.array([0.0, low[1], 0.0])
    _cross(counts, shifted, faces, float(low[2]), float(low[0]))
    _fill(labels, counts, np.uint8(value), over, low[2], low[0], low[1])
