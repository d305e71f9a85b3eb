"""Smoothing of a centre line: a penalised spline that leaves straight lines and parabolas as they are.

The line f over the relative height t in [0, 1] minimises

    mean (x_i - f(t_i))² + (a / 2π)⁶ ∫ f'''² dt + (b / 2π)⁴ ∫ (f'' - mean f'')² dt.

A wave of length L along an evenly sampled line keeps 1 / (1 + (a / L)⁶ + (b / L)⁴) of its amplitude: each
penalty alone halves the wave of length a, or b. The third derivative cuts off sharply; the second term draws
the curvature of the ends, where a third derivative alone leaves the tilt loose, to the mean curvature. Both
vanish for a parabola, so that an arc keeps its angle.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

Float = NDArray[np.float64]
DEGREE = 5
"""The minimiser of a penalised third derivative is a spline of this degree with knots at the data."""
MOST_INTERVALS = 32
"""Dense data have fewer knots than points: no wave that survives the smoothing needs more."""


@dataclass(frozen=True)
class Smoothing:
    """Wavelengths that each penalty halves, as a share of the line's height (a and b above; b = 0: no such penalty)."""

    third_derivative: float
    curvature: float = 0.0


class SmoothLine:
    """A smooth lateral position over the relative height: value and tilt.

    Parameters
    ----------
    heights
        Relative heights [n] of the data, increasing, within [0, 1].
    lateral_mm
        Lateral positions [n], mm.
    height_mm
        Height of the whole line, mm.
    smoothing
        How strongly the line is smoothed.
    """

    def __init__(self, heights: Float, lateral_mm: Float, height_mm: float, smoothing: Smoothing) -> None:
        knots, fit = _fit(tuple(heights.tolist()), smoothing)
        self._spline = BSpline(knots, fit @ lateral_mm, DEGREE)
        self._slope = self._spline.derivative()
        self._height_mm = height_mm

    def lateral_mm(self, height: Float) -> Float:
        """Lateral position [...], mm, at relative heights [...]."""
        return np.asarray(self._spline(height), np.float64)

    def tilt_deg(self, height: Float) -> Float:
        """Angle of the tangent to the z axis [...], degrees; positive where the line grows towards the feet."""
        return np.degrees(np.arctan(np.asarray(self._slope(height), np.float64) / self._height_mm))


@lru_cache(maxsize=16)
def _fit(heights: tuple[float, ...], smoothing: Smoothing) -> tuple[Float, Float]:
    """Knots, and the matrix [coefficients, n] that turns data at ``heights`` [n] into spline coefficients."""
    t = np.array(heights)
    inner = t[(t > 0) & (t < 1)] if len(t) < MOST_INTERVALS else np.linspace(0, 1, MOST_INTERVALS + 1)[1:-1]
    sites = np.concatenate([[0.0], inner, [1.0]])
    knots = np.concatenate([[0.0] * DEGREE, sites, [1.0] * DEGREE])
    basis = BSpline(knots, np.eye(len(knots) - DEGREE - 1), DEGREE)
    node, weight = np.polynomial.legendre.leggauss(DEGREE)
    width = np.diff(sites)[:, None] / 2
    x, w = (sites[:-1, None] + width * (1 + node)).ravel(), (width * weight).ravel()
    third, second = basis.derivative(3)(x), basis.derivative(2)(x)
    rows = [
        basis(t) / np.sqrt(len(t)),
        (smoothing.third_derivative / (2 * np.pi)) ** 3 * np.sqrt(w)[:, None] * third,
        (smoothing.curvature / (2 * np.pi)) ** 2 * np.sqrt(w)[:, None] * (second - w @ second),
    ]
    solution = np.linalg.pinv(np.concatenate(rows))[:, : len(t)] / np.sqrt(len(t))
    return knots, solution
