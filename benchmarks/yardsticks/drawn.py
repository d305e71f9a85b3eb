"""Yardstick 3: people of another simulator, made to differ from the first in every part.

Spines are sums of waves, vertebrae simple solids, soft parts other shapes, textures value noise, and the
picture a sigmoid of the bone map with an additive share of soft tissue.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.yardsticks.case import YardstickCase, photograph
from benchmarks.yardsticks.drawn_body import draw_ribs, draw_trunk
from benchmarks.yardsticks.drawn_spine import draw_spine, draw_vertebrae
from spinelift.simulate.ct.project import trunk_view
from spinelift.simulate.dxa.project import add_mesh

Float = NDArray[np.float64]
LARGE_MM = 60.0
"""Solids longer than this are smooth enough for one ray a pixel."""


def value_noise(
    shape: tuple[int, int], rng: np.random.Generator, *, octaves: int = 5, fall: float = 0.6
) -> Float:
    """Sum of random grids, each twice as fine as the last and ``fall`` as strong, interpolated; sd 1."""
    out = np.zeros(shape)
    for k in range(octaves):
        cell = 2 ** (octaves - k)
        grid = rng.uniform(-1, 1, (shape[0] // cell + 3, shape[1] // cell + 3))
        fine = ndimage.zoom(grid, cell, order=1)
        row, col = rng.integers(0, cell, 2)
        out += fall**k * fine[row : row + shape[0], col : col + shape[1]]
    return np.asarray((out - out.mean()) / out.std())


def picture(maps: Float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Maps [3, H, W] of bone, lean and fat → uint8 [H, W]: noise that grows with thickness, sigmoid tone."""
    bone, soft = maps[0], maps[1] + maps[2]
    shape = (bone.shape[0], bone.shape[1])
    inside = soft > 0.8
    bone = bone * np.clip(1 + rng.uniform(0, 0.12) * value_noise(shape, rng), 0.2, 2)
    value = bone + rng.uniform(0.01, 0.05) * soft
    value += rng.uniform(0.0, 0.05) * value_noise(shape, rng, octaves=6, fall=0.8)
    value += rng.uniform(0.01, 0.06) * np.exp(soft / 40) * rng.standard_normal(shape)
    value = ndimage.uniform_filter(ndimage.gaussian_filter(value, rng.uniform(0.3, 0.9)), rng.choice([1, 2]))
    bright, dark = np.percentile(value[inside], [98, 30])
    middle = dark + rng.uniform(0.25, 0.6) * (bright - dark)
    steep = rng.uniform(2.5, 5.0) / (bright - dark)
    tone = 1 / (1 + np.exp(-steep * (value - middle)))
    low, high = rng.uniform(0, 0.15), rng.uniform(0.85, 1.0)
    return np.asarray(np.round(255 * np.clip(low + (high - low) * tone, 0, 1) * inside), np.uint8)


def drawn_case(name: str, seed: tuple[int, ...]) -> YardstickCase:
    """One drawn person."""
    rng = np.random.default_rng(seed)
    spine = draw_spine(rng)
    s = float(np.linalg.norm(spine.centres[-1] - spine.centres[0]) / 440)
    cortex, trabecular = rng.uniform(0.8, 1.6), rng.uniform(0.08, 0.3)
    solids = (
        draw_trunk(spine, s, rng) + draw_ribs(spine, s, rng) + draw_vertebrae(spine, cortex, trabecular, rng)
    )
    view = trunk_view(spine, rng)
    maps = np.zeros((3, *view.shape))
    for solid in solids:
        large = np.ptp(solid.points[:, [0, 2]], axis=0).min() > LARGE_MM
        add_mesh(maps, solid.points, solid.faces, solid.mass, view, samples=1 if large else 2)
    return photograph(name, picture(np.maximum(maps, 0), rng), view, spine)


def drawn_cases(people: int = 300, *, seed: int = 33) -> list[YardstickCase]:
    """``people`` drawn people."""
    return [drawn_case(f"drawn{k:04d}/0", (seed, k)) for k in range(people)]
