"""Bootstrap over spines: how far a figure would move with other people from the same population."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % percentile interval (Efron and Tibshirani 1993, chapter 13)."""

    value: float
    low: float
    high: float


def resample_counts(spines: int, *, rounds: int = 1000, seed: int = 0) -> Float:
    """How often each spine is drawn in each round [rounds, spines]."""
    return np.random.default_rng(seed).multinomial(spines, [1 / spines] * spines, rounds).astype(np.float64)


def mean_estimate(values: Float, counts: Float) -> Estimate:
    """Mean over spines [n]."""
    rounds = counts @ values / counts.sum(1)
    low, high = np.percentile(rounds, [2.5, 97.5])
    return Estimate(float(values.mean()), float(low), float(high))


def pearson_estimate(pred: Float, true: Float, counts: Float) -> Estimate:
    """Pearson's r over spines at each point, averaged over points; arrays [n, points].

    Taken point by point, so that the mean curve, which everyone shares, does not count as skill. Points
    without variance count as 0.
    """

    def r(weights: Float) -> Float:
        w = weights / weights.sum(1, keepdims=True)
        p, t = pred - pred.mean(0), true - true.mean(0)
        mp, mt = w @ p, w @ t
        cov = w @ (p * t) - mp * mt
        var = (w @ p**2 - mp**2) * (w @ t**2 - mt**2)
        some = var > 1e-12
        ratio = np.where(some, cov / np.sqrt(np.where(some, var, 1.0)), 0.0)
        out: Float = ratio.mean(1)
        return out

    rounds = r(counts)
    low, high = np.percentile(rounds, [2.5, 97.5])
    return Estimate(float(r(np.ones((1, len(pred))))[0]), float(low), float(high))
