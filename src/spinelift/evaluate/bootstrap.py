"""Bootstrap over people: how far a metric would vary with other people from the same population."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spinelift.geometry.arrays import Bool, Float, Integers


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % percentile interval (Efron and Tibshirani 1993, chapter 13)."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, object]:
        """Plain values, rounded to four digits."""
        return {"value": round(self.value, 4), "interval95": [round(self.low, 4), round(self.high, 4)]}


def resample_counts(people: int, *, rounds: int = 1000, seed: int = 0) -> Float:
    """Number of times that each person is drawn in each round [rounds, people]."""
    return np.random.default_rng(seed).multinomial(people, [1 / people] * people, rounds).astype(np.float64)


def people_counts(eid: Integers, *, rounds: int = 1000, seed: int = 0) -> Float:
    """As :func:`resample_counts`, for rows ``eid`` [n] of which several may be one person's: [rounds, n]."""
    people, row = np.unique(eid, return_inverse=True)
    return resample_counts(len(people), rounds=rounds, seed=seed)[:, row]


def estimate(statistic: Callable[[Float], Float], counts: Float) -> Estimate:
    """Bootstrap of a statistic: weights of people [rounds, people] → one value a round [rounds]."""
    with np.errstate(invalid="ignore", divide="ignore"):
        rounds = statistic(counts)
    some = rounds[np.isfinite(rounds)]  # a round may hold nobody of whom a share is taken
    low, high = np.percentile(some, [2.5, 97.5]) if len(some) else (np.nan, np.nan)
    return Estimate(float(statistic(np.ones((1, counts.shape[1])))[0]), float(low), float(high))


def mean_estimate(values: Float, counts: Float) -> Estimate:
    """Mean over people; values [people]."""
    return estimate(lambda w: w @ values / w.sum(1), counts)


def ratio_estimate(values: Float, baseline: Float, counts: Float) -> Estimate:
    """Ratio of two means over the same people; both arrays [people]."""
    return estimate(lambda w: (w @ values) / (w @ baseline), counts)


def pearson_estimate(pred: Float, true: Float, counts: Float, *, known: Bool | None = None) -> Estimate:
    """Pearson's r over people at each point, averaged over points; arrays [people, points].

    ``known`` [people, points] are those whose truth is known; None for all.

    It is computed at each point, so that the mean curve, which all people share, does not count as skill.
    Points without variance count as 0.
    """
    p, t = pred - pred.mean(0), true - true.mean(0)
    seen = np.ones((len(p), 1)) if known is None or known.all() else known.astype(np.float64)

    def r(weights: Float) -> Float:
        total = np.maximum(weights @ seen, 1e-9)
        mp, mt = weights @ (seen * p) / total, weights @ (seen * t) / total
        cov = weights @ (seen * p * t) / total - mp * mt
        var = (weights @ (seen * p**2) / total - mp**2) * (weights @ (seen * t**2) / total - mt**2)
        some = var > 1e-12
        out: Float = np.where(some, cov / np.sqrt(np.where(some, var, 1.0)), 0.0).mean(1)
        return out

    return estimate(r, counts)
