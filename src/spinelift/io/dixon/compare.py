"""How alike two images are, and the peak of sampled values to a fraction of a step."""

import numpy as np

from spinelift.geometry.arrays import AnyFloat


def correlation(a: AnyFloat, b: AnyFloat) -> float:
    """Pearson correlation of two arrays of one shape, −1…1; 0 if one of them is constant."""
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 0 else 0.0


def vertex(values: AnyFloat, peak: int) -> float:
    """Offset of the vertex of a parabola through a peak and its neighbours, −0.5…0.5 steps."""
    if not 0 < peak < len(values) - 1:
        return 0.0
    a, b, c = (float(v) for v in values[peak - 1 : peak + 2])
    curvature = a - 2 * b + c
    return float(np.clip(0.5 * (a - c) / curvature, -0.5, 0.5)) if curvature < 0 else 0.0


def signal_level(signal: AnyFloat, share: float) -> float:
    """``share`` of the 99th percentile of a signal: air and noise lie below 0.15."""
    return share * float(np.percentile(signal, 99))
