"""Things that do not belong to a body but turn up in scans: metal, buttons, leads, calcium."""

import numpy as np

from spinelift.geometry.arrays import Float
from spinelift.simulate.body.solids import Solid, Tissue, ellipsoid
from spinelift.simulate.body.spine import PosedSpine


def place_clutter(spine: PosedSpine, s: float, share: float, rng: np.random.Generator) -> list[Solid]:
    """A ``share`` of people carry one to three kinds of things in front of or beside the spine."""
    if rng.random() >= share:
        return []
    kinds = (_beads, _buttons, _pacemaker, _clips, _calcium)
    out: list[Solid] = []
    for k in rng.choice(len(kinds), size=rng.integers(1, 4), replace=False):
        out += kinds[k](spine, s, rng)
    return out


def _at(spine: PosedSpine, rng: np.random.Generator, spread: float) -> Float:
    at = spine.at_level(rng.uniform(0, 16))
    at += np.array([rng.normal(0, spread), -90, rng.normal(0, 10)])
    return at


def _metal(at: Float, radii: Float, strength: float) -> Solid:
    return Solid("metal", *ellipsoid(at, radii, rings=5, segments=10), Tissue.METAL, Tissue.AIR, strength)


def _beads(spine: PosedSpine, s: float, rng: np.random.Generator) -> list[Solid]:
    """A necklace or chain below the neck."""
    low = spine.centres[1] + np.array([rng.normal(0, 8), -80, rng.uniform(10, 60) * s])
    places = (low + np.array([u * 70 * s, 0, -(u**2) * 60 * s]) for u in np.linspace(-1, 1, 15))
    return [_metal(at, np.full(3, rng.uniform(1.0, 2.5)), 0.2) for at in places]


def _buttons(spine: PosedSpine, s: float, rng: np.random.Generator) -> list[Solid]:
    """A row of buttons, hooks or a zip."""
    start, step = _at(spine, rng, 30), rng.uniform(15, 45)
    size = np.array([rng.uniform(2, 7), 1.0, rng.uniform(2, 7)])
    places = (start + np.array([0, 0, i * step]) for i in range(rng.integers(1, 7)))
    return [_metal(at, size, rng.uniform(0.05, 0.4)) for at in places]


def _pacemaker(spine: PosedSpine, s: float, rng: np.random.Generator) -> list[Solid]:
    """A generator below the clavicle and its lead to the heart."""
    can = spine.centres[2] + np.array([rng.choice([-1, 1]) * 85 * s, -90, 15])
    heart = spine.centres[7] + np.array([20 * s, -70, 0])
    t = np.linspace(0, 1, 40)[:, None]
    lead = can + t * (heart - can) + np.array([0, 0, -40]) * np.sin(np.pi * t)
    return [_metal(can, np.array([22, 4, 20]), 0.35), *(_metal(p, np.full(3, 1.2), 0.15) for p in lead)]


def _clips(spine: PosedSpine, s: float, rng: np.random.Generator) -> list[Solid]:
    """Surgical clips or small metal pieces."""
    start, out = _at(spine, rng, 35), []
    for _ in range(rng.integers(2, 10)):
        at, radii = start + rng.normal(0, 12, 3), rng.uniform([0.8, 0.8, 1.5], [1.5, 1.5, 5])
        out.append(_metal(at, radii, rng.uniform(0.1, 0.5)))
    return out


def _calcium(spine: PosedSpine, s: float, rng: np.random.Generator) -> list[Solid]:
    """Calcified nodes, stones, tablets."""
    out = []
    for _ in range(rng.integers(1, 6)):
        mesh = ellipsoid(_at(spine, rng, 45), rng.uniform(2, 7, 3), rings=5, segments=10)
        out.append(Solid("calcium", *mesh, Tissue.CORTEX, Tissue.MUSCLE, rng.uniform(0.3, 1.0)))
    return out
