"""Where two neighbouring stations meet, and their slices at the same heights."""

import numpy as np

from spinelift.geometry.arrays import Float, Float32
from spinelift.io.dixon.coverage import MAX_GAP_MM
from spinelift.io.dixon.slab import Slab


def interpolate(z: Float, at: Float, volume: Float32) -> Float32:
    """``volume`` [n, …] with slices at ``at`` (ascending) → [len(z), …]; constant beyond the ends."""
    place = np.interp(z, at, np.arange(len(at)))
    first = np.minimum(place.astype(np.intp), len(at) - 2)
    t = (place - first).astype(np.float32).reshape(-1, *[1] * (volume.ndim - 1))
    out: Float32 = volume[first]
    out *= 1 - t
    out += volume[first + 1] * t
    return out


def overlap(upper: Slab, lower: Slab, *, step: float) -> Float | None:
    """Heights at which neighbours are compared, ``step`` mm apart; a small gap's middle; None if apart."""
    top, bottom = float(lower.z[0]), float(upper.z[-1])
    if top - bottom > MAX_GAP_MM:
        return None
    if bottom - top < step:
        return np.array([(top + bottom) / 2])
    return np.arange(top, bottom + 1e-6, step)
