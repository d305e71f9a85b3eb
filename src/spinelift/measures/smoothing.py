"""Smoothing of a centre line: a penalised spline that leaves straight lines and parabolas as they are.

With ``wavelength`` w, the line f over the relative height t in [0, 1] minimises

    mean (x_i - f(t_i))² + (w / 2π)⁶ ∫ f'''² dt + (w / 2π)⁴ ∫ (f'' - mean f'')² dt,

and the residual, smoothed in the same way, is added to it ("twicing": Tukey, Exploratory Data Analysis,
1977), so that long waves keep their amplitude. A wave of length L on an evenly sampled line keeps
1 - (q / (1 + q))² of it, q = (w / L)⁶ + (w / L)⁴: 99.9 % for L = 2.5 w, 98 % for L = 1.67 w, 84 % for
L = 1.25 w, 56 % for L = w, 2.5 % for L = w / 2.

Both penalties vanish for a parabola: an arc keeps its angle. The third derivative alone would leave the tilt
of the ends loose; the second penalty draws their curvature to the mean curvature of the line.
"""

from functools import lru_cache

import numpy as np
from scipy.interpolate import BSpline

from spinelift.geometry.arrays import Float

DEGREE = 5
"""The minimiser of a penalised third derivative is a spline of this degree with knots at the data."""
MOST_INTERVALS = 32
"""Dense data have fewer knots than points: a wave that outlives the smoothing needs no more."""


class SmoothLine:
    """A smooth lateral position over the relative height: value, tilt and derivatives.

    The data are ``lateral_mm`` [n], mm, or [n, m] of m lines, at increasing relative ``heights`` [n] within
    [0, 1] of a line that is ``height_mm`` high; ``wavelength``, a share of that height, is the strength of
    the smoothing.
    """

    def __init__(self, heights: Float, lateral_mm: Float, height_mm: float, *, wavelength: float) -> None:
        self._basis, fit = _fit(tuple(heights.tolist()), wavelength)
        self._coefficients = fit @ lateral_mm
        self._height_mm = height_mm

    def lateral_mm(self, height: Float) -> Float:
        """Lateral position [k], or [k, m], mm, at relative heights [k]."""
        return self._basis[0](height) @ self._coefficients

    def derivative(self, height: Float, order: int = 1) -> Float:
        """Derivative by the height in mm [k], or [k, m], at relative heights [k]: mm^(1 - order)."""
        return self._basis[order](height) @ self._coefficients / self._height_mm**order

    def tilt_deg(self, height: Float) -> Float:
        """Angle of the tangent to the z axis [k], or [k, m], degrees; positive if it grows to the feet."""
        return np.degrees(np.arctan(self.derivative(height)))


@lru_cache(maxsize=16)
def _fit(heights: tuple[float, ...], wavelength: float) -> tuple[list[BSpline[np.float64]], Float]:
    """Basis splines and their first three derivatives, and the matrix [coefficients, n] that turns data at
    ``heights`` [n] into spline coefficients."""
    t = np.array(heights)
    inner = t[(t > 0) & (t < 1)] if len(t) < MOST_INTERVALS else np.linspace(0, 1, MOST_INTERVALS + 1)[1:-1]
    sites = np.concatenate([[0.0], inner, [1.0]])
    knots = np.concatenate([[0.0] * DEGREE, sites, [1.0] * DEGREE])
    basis = BSpline(knots, np.eye(len(knots) - DEGREE - 1), DEGREE)
    node, weight = np.polynomial.legendre.leggauss(DEGREE)
    width = np.diff(sites)[:, None] / 2
    x, w = (sites[:-1, None] + width * (1 + node)).ravel(), (width * weight).ravel()
    bases = [basis, *(basis.derivative(order) for order in (1, 2, 3))]
    third, second = bases[3](x), bases[2](x)
    scale = wavelength / (2 * np.pi)
    at_data = basis(t)
    rows = [
        at_data / np.sqrt(len(t)),
        scale**3 * np.sqrt(w)[:, None] * third,
        scale**2 * np.sqrt(w)[:, None] * (second - w @ second),
    ]
    once = np.linalg.pinv(np.concatenate(rows))[:, : len(t)] / np.sqrt(len(t))
    return bases, once @ (2 * np.eye(len(t)) - at_data @ once)
