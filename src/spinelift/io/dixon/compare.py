"""How alike two stations are where they meet, and the peak of sampled values to a fraction of a step."""

import numpy as np

from spinelift.geometry.arrays import AnyFloat, Float, Float32
from spinelift.io.dixon.coverage import MAX_GAP_MM, Placed


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


def interpolate(z: Float, at: Float, volume: Float32) -> Float32:
    """``volume`` [n, …] with slices at ``at`` (ascending) → [len(z), …]; constant beyond the ends."""
    place = np.interp(z, at, np.arange(len(at)))
    first = np.minimum(place.astype(np.intp), len(at) - 2)
    t = (place - first).astype(np.float32).reshape(-1, *[1] * (volume.ndim - 1))
    out = volume[first]
    out *= 1 - t
    out += volume[first + 1] * t
    return out


def overlap(upper: Placed, lower: Placed, *, step: float) -> Float | None:
    """Heights at which neighbours are compared, ``step`` mm apart; a small gap's middle; None if apart."""
    top, bottom = float(lower.z[0]), float(upper.z[-1])
    if top - bottom > MAX_GAP_MM:
        return None
    if bottom - top < step:
        return np.array([(top + bottom) / 2])
    return np.arange(top, bottom + 1e-6, step)
