"""Angles of centre lines: what the two views show of a spine's bends, in degrees.

Heights along the spine are relative: 0 at T1's upper endplate, 1 at L5's lower one.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_smoothing_spline

from spinelift.geometry import Vertebra

Float = NDArray[np.float64]

LEVEL_HEIGHTS: Float = np.array(
    [
        *(0.0206, 0.0619, 0.1046, 0.1487, 0.1937, 0.2433, 0.2947, 0.3466, 0.3990, 0.4547, 0.5142, 0.5780),
        *(0.6482, 0.7235, 0.8008, 0.8811, 0.9604),
    ]
)
"""Relative height of each vertebral centre, T1 to L5: median of the 64 complete spines among the CT
centroids that the shape prior was fitted to; the ends lie half a vertebral distance beyond T1 and L5."""
LEAST_BEND = 0.12
"""A bend that spans less of the spine's height (about two vertebrae) is not counted."""


def upper_endplate(level: Vertebra) -> float:
    """Relative height half way to the vertebra above (0 for T1)."""
    if level is Vertebra.T1:
        return 0.0
    return float(LEVEL_HEIGHTS[level - 1] + LEVEL_HEIGHTS[level]) / 2


def lower_endplate(level: Vertebra) -> float:
    """Relative height half way to the vertebra below (1 for L5)."""
    return 1.0 if level is Vertebra.L5 else upper_endplate(Vertebra(level + 1))


class SmoothLine:
    """A lateral position as a smooth function of height: value and slope.

    A cubic smoothing spline with penalty ``smoothing`` on the squared second derivative, heights counted
    in units of 10 mm; its second derivative is zero at both ends.
    """

    def __init__(self, z_mm: Float, lateral_mm: Float, *, smoothing: float = 1.0) -> None:
        self._z0, self._height = float(z_mm[0]), float(z_mm[-1] - z_mm[0])
        self._spline = make_smoothing_spline((z_mm - self._z0) / 10.0, lateral_mm, lam=smoothing)
        self._slope, self._bend = self._spline.derivative(), self._spline.derivative(2)

    def point(self, height: float | Float) -> Float:
        """(z, lateral) in mm at relative heights [..., 2]."""
        z = np.asarray(height, np.float64) * self._height
        return np.stack([z, self._spline(z / 10.0)], -1)

    def tangent_deg(self, height: float | Float) -> Float:
        """Angle of the tangent to the long axis; positive where the line grows towards the feet."""
        z = np.asarray(height, np.float64) * self._height
        angle: Float = np.degrees(np.arctan(self._slope(z / 10.0) / 10.0))
        return angle

    def inflections(self, n: int = 401) -> Float:
        """Relative heights of both ends and of the changes of sign of the curvature in between."""
        heights = np.linspace(0, 1, n)
        bend = self._bend(heights * self._height / 10.0)
        inner = slice(2, -2)
        sign = np.sign(np.where(np.abs(bend) < 1e-9, 0.0, bend))[inner]
        known = np.flatnonzero(sign)
        flips = known[:-1][sign[known[:-1]] != sign[known[1:]]]
        cuts: Float = np.concatenate([[0.0], heights[inner][flips], [1.0]])
        return cuts


@dataclass(frozen=True)
class CoronalAngles:
    """Largest bend in the coronal view, degrees.

    ``ferguson`` is the modified Ferguson angle; ``cobb_equivalent`` the angle between the tangents at the
    ends of the same bend.
    """

    ferguson: float
    cobb_equivalent: float


def coronal_angles(z_mm: Float, x_mm: Float) -> CoronalAngles:
    """Modified Ferguson angle of a coronal centre line [n] over heights [n], mm.

    Between the lines apex–upper end and apex–lower end of a bend, whose ends are the inflections around
    its apex, and whose apex is the point farthest from the chord of the ends (Taylor et al. 2013, DXA
    scoliosis method). A circle's arc of θ gives θ / 2. The largest of all bends; 0 for a straight line.
    """
    line = SmoothLine(z_mm, x_mm)
    cuts = line.inflections()
    best = CoronalAngles(0.0, 0.0)
    for a, b in pairwise(cuts):
        if b - a < LEAST_BEND:
            continue
        points = line.point(np.linspace(a, b, 101))
        chord = points[-1] - points[0]
        away = points - points[0]
        distance = np.abs(chord[0] * away[:, 1] - chord[1] * away[:, 0])
        apex = points[int(distance.argmax())]
        up, down = apex - points[0], points[-1] - apex
        angle = abs(np.degrees(np.arctan2(up[1], up[0]) - np.arctan2(down[1], down[0])))
        tangents = line.tangent_deg(np.array([a, b]))
        if angle > best.ferguson:
            best = CoronalAngles(float(angle), float(abs(tangents[0] - tangents[1])))
    return best


def kyphosis_deg(z_mm: Float, y_mm: Float) -> float:
    """Angle between the centre line's tangents at T4's upper and T12's lower endplate."""
    line = SmoothLine(z_mm, y_mm)
    ends = line.tangent_deg(np.array([upper_endplate(Vertebra.T4), lower_endplate(Vertebra.T12)]))
    return float(ends[0] - ends[1])


def lordosis_deg(z_mm: Float, y_mm: Float) -> float:
    """Angle between the centre line's tangents at L1's upper and L5's lower endplate."""
    line = SmoothLine(z_mm, y_mm)
    ends = line.tangent_deg(np.array([upper_endplate(Vertebra.L1), lower_endplate(Vertebra.L5)]))
    return float(ends[1] - ends[0])
