"""Free-form differences of shape: smooth random displacements of space around a vertebra."""

from dataclasses import dataclass

import numpy as np

from spinelift.geometry.arrays import Float

FEATURES = 24
"""Waves that make up one field."""


@dataclass(frozen=True)
class Warp:
    """A smooth random displacement, nearly the same to the left and to the right.

    A Gaussian random field, squared-exponential in distance, drawn as a sum of waves (random Fourier
    features; Rahimi & Recht 2007).

    Parameters
    ----------
    waves
        Wave vectors [FEATURES, 3], radians per mm.
    phase
        [FEATURES].
    size
        Amplitude of each wave in each direction [FEATURES, 3], mm.
    """

    waves: Float
    phase: Float
    size: Float

    def at(self, points: Float) -> Float:
        """Displacements [n, 3], mm, of points [n, 3] (left, posterior, down) in a vertebra's own frame."""
        side = np.tanh(points[:, :1] / 5.0)
        folded = np.concatenate([np.abs(points[:, :1]), points[:, 1:]], 1)
        out = np.sqrt(2 / FEATURES) * np.cos(folded @ self.waves.T + self.phase) @ self.size
        return np.asarray(np.concatenate([side * out[:, :1], out[:, 1:]], 1))


def sample_warps(levels: int, mm: Float, rng: np.random.Generator) -> list[Warp]:
    """Fields of one person's vertebrae with standard deviations ``mm`` [3] (left, posterior, down).

    Seven tenths of the variance are common to all levels, a fifth changes slowly along the spine, the rest
    is each level's own. Lengths over which a field changes are 10 to 25 mm.
    """
    waves = rng.normal(size=(FEATURES, 3)) / rng.uniform(10.0, 25.0, (FEATURES, 1))
    phase = rng.uniform(0, 2 * np.pi, FEATURES)
    t = np.linspace(0, 1, levels)
    slow = np.stack([np.cos(np.pi * t), np.cos(2 * np.pi * t)], 1)
    common, drift, own = (rng.normal(size=(n, FEATURES, 3)) for n in (1, 2, levels))
    size = np.sqrt(0.7) * common + np.sqrt(0.2) * np.einsum("lk,kfc->lfc", slow, drift) + np.sqrt(0.1) * own
    return [Warp(waves, phase, s * mm) for s in size]
