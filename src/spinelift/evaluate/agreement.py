"""Agreement of predicted with true angles: Bland–Altman, and how well scoliosis is detected.

Each statistic takes weights of rows [rounds, n], as the bootstrap makes them, and returns one value a round.
"""

from collections.abc import Callable

import numpy as np

from spinelift.evaluate.bootstrap import Estimate, estimate
from spinelift.geometry.arrays import Bool, Float

Statistic = Callable[[Float], Float]


def bland_altman(pred: Float, true: Float, counts: Float) -> dict[str, Estimate]:
    """Bias (predicted − true) and limits of agreement, bias ± 1.96 standard deviations; angles [n].

    Bland and Altman, Lancet 327 (1986), 307-310.
    """
    difference = pred - true

    def limit(side: float) -> Statistic:
        def at(weights: Float) -> Float:
            w = weights / weights.sum(1, keepdims=True)
            mean = w @ difference
            variance = np.maximum(w @ difference**2 - mean**2, 0)
            out: Float = mean + side * 1.96 * np.sqrt(variance)
            return out

        return at

    sides = {"bias_deg": 0.0, "lower_limit_deg": -1.0, "upper_limit_deg": 1.0}
    return {name: estimate(limit(side), counts) for name, side in sides.items()}


def detection(pred: Float, true: Float, threshold: float, counts: Float) -> dict[str, Estimate]:
    """Sensitivity, specificity and AUC for a true angle of at least ``threshold``; angles [n].

    Without anybody on one side of the threshold, what needs them is left out.
    """
    ill, found = true >= threshold, pred >= threshold
    parts: dict[str, Statistic] = {}
    if ill.any():
        parts["sensitivity"] = lambda w: w[:, ill & found].sum(1) / w[:, ill].sum(1)
    if not ill.all():
        parts["specificity"] = lambda w: w[:, ~ill & ~found].sum(1) / w[:, ~ill].sum(1)
    if len(parts) == 2:
        parts["auc"] = area_under_curve(pred, ill)
    return {name: estimate(statistic, counts) for name, statistic in parts.items()}


def area_under_curve(score: Float, ill: Bool) -> Statistic:
    """Area under the ROC curve: the share of pairs of an ill and a healthy row in which the ill one scores
    higher, where equal scores count half (Mann and Whitney).
    """
    order = np.argsort(score, kind="stable")
    _, first, group = np.unique(score[order], return_index=True, return_inverse=True)
    ill = ill[order]

    def auc(weights: Float) -> Float:
        w = weights[:, order]
        healthy = np.add.reduceat(np.where(ill, 0.0, w), first, axis=1)
        below = np.cumsum(healthy, 1) - healthy / 2
        wins = (np.where(ill, w, 0.0) * below[:, group]).sum(1)
        out: Float = wins / (w[:, ill].sum(1) * w[:, ~ill].sum(1))
        return out

    return auc
