"""Curves of a coronal centre line: modified Ferguson and Cobb-equivalent angles, apex, ends and direction."""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike

from spinelift.geometry import Vertebra
from spinelift.geometry.arrays import Float
from spinelift.measures.levels import SpineLine
from spinelift.measures.sections import Profiles, Section
from spinelift.measures.smoothing import SmoothLine

SCOLIOSIS_DEG = 10.0
"""Modified Ferguson angle, degrees, from which a spine counts as scoliotic (DXA scoliosis method)."""
SCOLIOSIS_LOWER_DEG = 6.0
"""The method's lower cut, degrees."""
COBB_PER_FERGUSON = 1.35
"""Usual ratio of the Cobb angle on a radiograph to the modified Ferguson angle."""
SMOOTHING = 0.4
"""Wavelength of the smoothing as a share of the spine's height (``measures/smoothing.py``). Chosen on real
spines, noise and closed forms: see docs/measures.md."""
GRID: Float = np.linspace(0, 1, 961)
"""Relative heights at which the smoothed line is read."""


class Convexity(Enum):
    """Side of the patient to which a curve is convex."""

    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True)
class CoronalCurve:
    """One curve of the spine in the coronal view.

    Parameters
    ----------
    apex, upper_end, lower_end
        Vertebrae at the point farthest from the chord of the ends, and at both ends.
    apex_mm, upper_end_mm, lower_end_mm
        Their heights, mm, on the scale of the heights that were given.
    direction
        Side to which the curve is convex.
    ferguson_deg
        Modified Ferguson angle, degrees: between the lines upper end–apex and apex–lower end.
    cobb_equivalent_deg
        Angle between the tangents at ``cobb_levels``, degrees.
    cobb_levels, cobb_mm
        Vertebrae of most opposite tilt above and below the apex, mostly the ends of the curve; their heights.
    """

    apex: Vertebra
    upper_end: Vertebra
    lower_end: Vertebra
    apex_mm: float
    upper_end_mm: float
    lower_end_mm: float
    direction: Convexity
    ferguson_deg: float
    cobb_equivalent_deg: float
    cobb_levels: tuple[Vertebra, Vertebra]
    cobb_mm: tuple[float, float]

    @property
    def ends(self) -> tuple[Vertebra, Vertebra]:
        """Upper and lower end vertebra."""
        return self.upper_end, self.lower_end


@dataclass(frozen=True)
class CoronalAngles:
    """Every curve of a coronal centre line.

    Parameters
    ----------
    curves
        From head to feet. Neighbours share an end and are convex to opposite sides. Empty if straight.
    """

    curves: tuple[CoronalCurve, ...]

    @property
    def main(self) -> CoronalCurve | None:
        """The curve of the largest modified Ferguson angle; None for a straight line."""
        return max(self.curves, key=lambda c: c.ferguson_deg, default=None)

    @property
    def ferguson_deg(self) -> float:
        """Largest modified Ferguson angle, degrees."""
        return max((c.ferguson_deg for c in self.curves), default=0.0)

    @property
    def cobb_equivalent_deg(self) -> float:
        """Largest Cobb-equivalent angle, degrees; not always that of the main curve."""
        return max((c.cobb_equivalent_deg for c in self.curves), default=0.0)


def coronal_angles(z_mm: ArrayLike, x_mm: ArrayLike, *, smoothing: float = SMOOTHING) -> CoronalAngles:
    """Curves of a coronal centre line: modified Ferguson and Cobb-equivalent angles.

    The line is read at the 17 vertebral bodies and smoothed. A *curve* is a section between two inflections,
    one a maximum and one a minimum of the tilt, where an end of the spine counts as an inflection. The main
    curve is the section with the largest modified Ferguson angle. The next curve above it ends where the main
    curve begins, and is again the section with the largest angle; so up to T1, and likewise down to L5. No
    curve is left out for its size.

    A section may hold smaller bends. Where their tilt goes beyond that of the ends, the excess in degrees is
    taken off the section's angle, so that the angle does not jump when a growing bend splits a curve in two.

    Parameters
    ----------
    z_mm : array_like of shape (n,)
        Heights in mm, increasing to the feet. ``n == 17``: the vertebral centres T1 to L5. ``n > 17``: a
        centre line from T1's upper to L5's lower endplate, with the bodies at ``LEVEL_HEIGHTS``.
    x_mm : array_like of shape (n,)
        Lateral positions in mm, growing to the patient's left.
    smoothing : float
        Wavelength of the smoothing as a share of the height. For studies of the definition only: a reported
        angle has the default.

    Returns
    -------
    CoronalAngles
        Angles in degrees. They span what was given: endplate to endplate for a line, T1's to L5's centre for
        17 points. A circular arc of θ has a modified Ferguson angle of θ / 2 and a Cobb-equivalent of θ.

    Raises
    ------
    InvalidCurveError
        If lengths differ, fewer than 17 points are given, values are not finite or heights do not increase.

    Notes
    -----
    The Cobb-equivalent is an angle between tangents of the centre line, not between endplates. Both angles
    are smaller on a supine scan than on a standing radiograph.

    References
    ----------
    .. [1] Taylor HJ, Harding I, Hutchinson J, et al. Identifying scoliosis in population-based cohorts:
       development and validation of a novel method based on total-body dual-energy X-ray absorptiometric
       scans. Calcif Tissue Int 2013;92:539-547. :doi:`10.1007/s00223-013-9713-y`

    Examples
    --------
    A thoracic curve, convex to the right, between a smaller upper thoracic and a lumbar one:

    >>> import numpy as np
    >>> from spinelift.measures import coronal_angles
    >>> z = np.linspace(0, 440, 209)
    >>> x = -14 * np.exp(-(((z - 170) / 70) ** 2)) + 8 * np.exp(-(((z - 340) / 60) ** 2))
    >>> found = coronal_angles(z, x)
    >>> round(found.ferguson_deg, 1), round(found.cobb_equivalent_deg, 1)
    (12.3, 18.9)
    >>> main = found.main
    >>> main.apex.name, [end.name for end in main.ends], main.direction.value
    ('T9', ['T6', 'T12'], 'right')
    >>> [curve.direction.value for curve in found.curves]
    ['left', 'right', 'left']
    """
    line = SpineLine.of(z_mm, x_mm)
    profile = profiles(line, GRID, smoothing=smoothing)
    (curves,) = profile.curves()
    (levels,) = profile.cobb_levels([curves])
    found = zip(curves, levels, strict=True)
    return CoronalAngles(tuple(_described(curve, cobb, profile, line) for curve, cobb in found))


def profiles(line: SpineLine, grid: Float, *, smoothing: float = SMOOTHING) -> Profiles:
    """The smoothed coronal line, or lines, of a spine at relative heights ``grid`` [g]."""
    smooth = SmoothLine(line.bodies, line.at(line.bodies), line.height_mm, wavelength=smoothing)
    lateral, tilt = (np.atleast_2d(of(grid).T) for of in (smooth.lateral_mm, smooth.tilt_deg))
    return Profiles(grid * line.height_mm, lateral, tilt)


def _described(curve: Section, cobb: tuple[int, int], profile: Profiles, line: SpineLine) -> CoronalCurve:
    """Levels, heights and angles of a curve on the grid."""
    upper, lower = cobb
    turn_deg = float(profile.tilt[0, upper] - profile.tilt[0, lower])
    places = (curve.apex, curve.upper, curve.lower, upper, lower)
    apex, upper_end, lower_end, *cobb_levels = (line.vertebra_at(GRID[k]) for k in places)
    apex_mm, upper_mm, lower_mm, *cobb_mm = (float(line.z_mm[0] + profile.z[k]) for k in places)
    return CoronalCurve(
        apex, upper_end, lower_end, apex_mm, upper_mm, lower_mm,
        direction=Convexity.LEFT if turn_deg > 0 else Convexity.RIGHT,
        ferguson_deg=curve.ferguson_deg,
        cobb_equivalent_deg=abs(turn_deg),
        cobb_levels=(cobb_levels[0], cobb_levels[1]),
        cobb_mm=(cobb_mm[0], cobb_mm[1]),
    )  # fmt: skip
