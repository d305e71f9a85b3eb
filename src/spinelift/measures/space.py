"""The spine in space: plane of maximum curvature, best-fit plane and geometric torsion of each curve."""

import numpy as np

from spinelift.geometry.arrays import Float
from spinelift.measures.levels import SpineLine
from spinelift.measures.smoothing import SmoothLine

SMOOTHING = 0.4
"""Wavelength of the smoothing as a share of the spine's height, in both views: that of the coronal angles."""
TORSION_SMOOTHING = 0.3
"""The same for the torsion, a third derivative: 0.4 would make that of a helix 7 % too small."""
SAMPLES = 33
"""Heights at which a curve is read."""


class SpaceLine:
    """Smoothed centre lines in space, mm: x to the left, y to posterior, z to the feet.

    ``coronal`` and ``sagittal`` hold m lines [n, m] at the same heights; every result is an array [m].
    """

    def __init__(self, coronal: SpineLine, sagittal: SpineLine) -> None:
        self.height_mm = coronal.height_mm
        self._views, self._torsion = (
            [
                SmoothLine(line.bodies, line.at(line.bodies), line.height_mm, wavelength=wavelength)
                for line in (coronal, sagittal)
            ]
            for wavelength in (SMOOTHING, TORSION_SMOOTHING)
        )

    def curvature_plane(self, upper: float, lower: float) -> tuple[Float, Float]:
        """Direction of the plane of maximum curvature between two relative heights, and the angle in it.

        The plane is vertical. In its projection the tangents at both ends differ most: it holds the
        difference of their slopes. The direction is as of :func:`direction_deg`, the angle in degrees.
        """
        slopes = np.stack([view.derivative(np.array([upper, lower])) for view in self._views])  # [2, 2, m]
        bend = slopes[:, 0] - slopes[:, 1]
        across = bend / np.maximum(np.linalg.norm(bend, axis=0), 1e-12)
        tilt = np.degrees(np.arctan((slopes * across[:, None]).sum(0)))
        return direction_deg(*bend), np.asarray(tilt[0] - tilt[1])

    def best_fit_plane(self, upper: float, lower: float) -> Float:
        """Direction, as of :func:`direction_deg`, of the plane nearest to the curve by least squares."""
        t = np.linspace(upper, lower, SAMPLES)
        x, y = (view.lateral_mm(t) for view in self._views)
        z = np.broadcast_to((t * self.height_mm)[:, None], x.shape)
        points = np.stack([x, y, z], -1)
        points = points - points.mean(0)
        _, axes = np.linalg.eigh(np.einsum("kmi,kmj->mij", points, points))
        bulge = axes[:, :, 1]  # in the plane, across the chord
        middle = points[SAMPLES // 4 : -SAMPLES // 4].mean(0) - (points[0] + points[-1]) / 2
        bulge = bulge * np.where((bulge * middle).sum(-1, keepdims=True) < 0, -1.0, 1.0)
        return direction_deg(bulge[:, 0], bulge[:, 1])

    def torsion_deg_per_cm(self, upper: float, lower: float) -> Float:
        """Mean geometric torsion between two relative heights, weighted by the squared curvature.

        With r the line, τκ² = det(r', r'', r''') / |r'|⁶ and κ² = |r' × r''|² / |r'|⁶ (do Carmo, Differential
        Geometry of Curves and Surfaces, section 1-5): the weight keeps nearly straight places, where τ is not
        defined, from mattering. Positive for a right-handed helix.
        """
        t = np.linspace(upper, lower, SAMPLES)
        first, second, third = (
            np.stack([view.derivative(t, order) for view in self._torsion], -1) for order in (1, 2, 3)
        )
        first, second, third = (
            np.concatenate([d, np.full((*d.shape[:2], 1), slope)], -1)
            for d, slope in ((first, 1.0), (second, 0.0), (third, 0.0))
        )
        normal = np.cross(first, second)
        speed = np.linalg.norm(first, axis=-1)
        turn = ((normal * third).sum(-1) / speed**5).sum(0)  # over length: |r'|⁻⁶ · |r'|
        bend = ((normal**2).sum(-1) / speed**5).sum(0)
        per_mm = turn / np.where(bend > 1e-12, bend, np.inf)
        return np.asarray(-10 * np.degrees(per_mm))  # the axes are left-handed


def direction_deg(x: Float, y: Float) -> Float:
    """Horizontal direction of a convexity as its angle to posterior, 0 to 180 degrees, on either side.

    0: a pure kyphosis, 90: a pure coronal curve, 180: a pure lordosis.
    """
    return np.asarray(np.degrees(np.arctan2(np.abs(x), y)))
