"""The two echoes of a whole body: from painted labels to signal in phase and opposed.

The body is painted on voxels half as wide as the scanner's, so that a voxel of the picture is a mean of
four. Two periodic noise fields spread fat and water within tissues: streaks in muscle, bowel in fat.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from spinelift.geometry.arrays import Float32
from spinelift.simulate.archive.series import PIXEL_MM
from spinelift.simulate.body.body import Body
from spinelift.simulate.kernels import numba
from spinelift.simulate.mr.anatomy import mr_parts
from spinelift.simulate.mr.tissue import sample_signals
from spinelift.simulate.mr.voxels import Grid, paint

FINE = 2
"""Painted voxels across one of the picture's."""
STEP_Z_MM = 2.0
COLUMNS, ROWS = 224, 184
"""Voxels to the left and to posterior of the whole field."""
TILE = 96
"""Period of the noise fields, voxels."""


@dataclass(frozen=True)
class EchoVolume:
    """Signal of a body without scanner: in phase and opposed (negative where fat outweighs water).

    ``echoes`` float32 [2, z, y, x]; voxel (0, 0, 0) lies at ``origin_mm`` (x, y, z), project axes;
    ``step_mm`` (x, y, z).
    """

    echoes: Float32
    origin_mm: tuple[float, float, float]
    step_mm: tuple[float, float, float]


def field_grid(top_mm: float, length_mm: float) -> Grid:
    """Painting grid about the axis x = 0, y = 0, from a top on downwards."""
    step = PIXEL_MM / FINE
    nz = int(np.ceil(length_mm / STEP_Z_MM)) + 1
    origin = (-(COLUMNS * FINE - 1) / 2 * step, -(ROWS * FINE - 1) / 2 * step, top_mm)
    return Grid((nz, COLUMNS * FINE, ROWS * FINE), origin, (step, step, STEP_Z_MM))


def echo_volume(body: Body, grid: Grid, rng: np.random.Generator) -> EchoVolume:
    """Paint a body and turn labels to signal."""
    labels = grid.empty()
    for part in mr_parts(body, rng):
        paint(labels, grid, part.points, part.faces, part.tissue, over=part.over)
    signals = sample_signals(body.physique, rng)
    water, fat, spread = (t.astype(np.float32) for t in (signals.water, signals.fat, signals.spread))
    echoes = np.empty((2, grid.shape[0], ROWS, COLUMNS), np.float32)
    _signal(echoes, labels, water, fat, spread, *_noise(rng))
    x, y, z = grid.origin
    edge = (FINE - 1) / 2 * grid.step[0]
    return EchoVolume(echoes, (x + edge, y + edge, z), (PIXEL_MM, PIXEL_MM, STEP_Z_MM))


def _noise(rng: np.random.Generator) -> tuple[Float32, Float32]:
    """Noise of standard deviation 1 on a periodic tile [z, y, x]: fine, and coarse drawn out along z."""
    white = rng.standard_normal((2, TILE, TILE, TILE), np.float32)
    fine = gaussian_filter(white[0], 0.8, mode="wrap")
    coarse = gaussian_filter(white[1], (8.0, 3.2, 3.2), mode="wrap")
    return fine / fine.std(), coarse / coarse.std()


@numba.njit(cache=True, fastmath=True)
def _signal(echoes, labels, water, fat, spread, fine, coarse):  # type: ignore[no-untyped-def]
    _, nz, ny, nx = echoes.shape
    tile = fine.shape[0]
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                f = fine[z % tile, y % tile, x % tile]
                # Sheared, so that what a tile shows beside itself is another part of it.
                c = coarse[(z + x // 3) % tile, (y + x // 2) % tile, x % tile]
                d = coarse[(x + z // 3) % tile, (z + y // 2) % tile, (y + x // 4) % tile]
                streak = max(d, np.float32(0.0))
                first = second = np.float32(0.0)
                for i in range(2):
                    for j in range(2):
                        t = labels[z, 2 * x + i, 2 * y + j]
                        if t == 0:
                            continue
                        p = spread[t, 0] + spread[t, 1] * f + spread[t, 2] * c + spread[t, 3] * d
                        ridge = np.float32(1.0) - abs(c) / spread[t, 5]
                        if ridge > 0:
                            p += spread[t, 4] * ridge * streak
                        p = min(max(p, np.float32(0.0)), np.float32(1.0))
                        first += water[t, 0] + p * (fat[t, 0] - water[t, 0])
                        second += water[t, 1] + p * (fat[t, 1] - water[t, 1])
                echoes[0, z, y, x] = first * np.float32(0.25)
                echoes[1, z, y, x] = second * np.float32(0.25)
