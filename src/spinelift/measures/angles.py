"""Curves of a coronal centre line: modified Ferguson and Cobb-equivalent angles, apex, ends and direction."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spinelift.geometry import Vertebra
from spinelift.measures.levels import SpineLine
from spinelift.measures.smoothing import SmoothLine, Smoothing

Float = NDArray[np.float64]

SCOLIOSIS_DEG = 10.0
"""Modified Ferguson angle, degrees, from which a spine counts as scoliotic (DXA scoliosis method)."""
SCOLIOSIS_LOWER_DEG = 6.0
"""The method's lower cut, degrees."""
COBB_PER_FERGUSON = 1.35
"""Usual ratio of the Cobb angle on a radiograph to the modified Ferguson angle."""
SMOOTHING = Smoothing(third_derivative=0.35, curvature=0.25)
"""Chosen on real spines, noise and closed forms: see docs/measures.md."""
GRID: Float = np.linspace(0, 1, 961)
"""Relative heights at which the smoothed line is read."""
NUMERICAL_ZERO_DEG = 1e-6
"""Smaller angles are rounding errors of a straight line."""


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
        Angle between the tangents at the ends, degrees. Its levels are ``upper_end`` and ``lower_end``.
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
        From head to feet; neighbours share an end and are convex to opposite sides. Empty for a straight line.
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


def coronal_angles(z_mm: ArrayLike, x_mm: ArrayLike, *, smoothing: Smoothing = SMOOTHING) -> CoronalAngles:
    """Curves of a coronal centre line: modified Ferguson and Cobb-equivalent angles.

    The line is read at the 17 vertebral bodies and smoothed. A *curve* is a section whose two
    ends have the largest and the smallest tilt of the section: its ends are inflections, or ends of the spine.
    The main curve is the one with the largest modified Ferguson angle of all such sections. Above it, the next
    curve ends where the main one begins, and is again the one with the largest angle; so up to T1, and
    likewise down to L5. No curve is left out for its size.

    Parameters
    ----------
    z_mm : array_like of shape (n,)
        Heights in mm, increasing to the feet. ``n == 17``: the vertebral centres T1 to L5. ``n > 17``: a centre
        line from T1's upper to L5's lower endplate, on which the bodies are taken at ``LEVEL_HEIGHTS``.
    x_mm : array_like of shape (n,)
        Lateral positions in mm, growing to the patient's left.
    smoothing : Smoothing
        Only for studies of the smoothing: every figure of the project has the default.

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
    The Cobb-equivalent is an angle between tangents of the centre line, not between endplates. On supine scans
    both angles are smaller than on a standing radiograph.

    References
    ----------
    .. [1] Taylor HJ, Harding I, Hutchinson J, et al. Identifying scoliosis in population-based cohorts:
       development and validation of a novel method based on total-body dual-energy X-ray absorptiometric
       scans. Calcif Tissue Int 2013;92:539-547. :doi:`10.1007/s00223-013-9713-y`

    Examples
    --------
    A main curve with its apex in the thorax, convex to the right, above a smaller lumbar one:

    >>> import numpy as np
    >>> from spinelift.measures import coronal_angles
    >>> z = np.linspace(0, 440, 209)
    >>> x = -14 * np.exp(-(((z - 170) / 70) ** 2)) + 8 * np.exp(-(((z - 340) / 60) ** 2))
    >>> found = coronal_angles(z, x)
    >>> round(found.ferguson_deg, 1), round(found.cobb_equivalent_deg, 1)
    (0, 0)
    >>> main = found.main
    >>> main.apex.name, [end.name for end in main.ends], main.direction.value
    ('T8', ['T1', 'L1'], 'right')
    """
    line = SpineLine.of(z_mm, x_mm)
    smooth = SmoothLine(line.bodies, line.at(line.bodies), line.height_mm, smoothing)
    profile = _Profile(GRID * line.height_mm, smooth.lateral_mm(GRID), smooth.tilt_deg(GRID))
    return CoronalAngles(tuple(_described(section, profile, line) for section in profile.curves()))


@dataclass(frozen=True)
class _Section:
    """A curve on the grid: indices of its upper end, apex and lower end, and its modified Ferguson angle."""

    upper: int
    apex: int
    lower: int
    ferguson_deg: float


@dataclass(frozen=True)
class _Profile:
    """A smoothed line on the grid: height, lateral position (mm) and tilt (degrees) [grid]."""

    z: Float
    x: Float
    tilt: Float

    def curves(self) -> list[_Section]:
        """Main curve and those above and below it, from head to feet."""
        ends = self._extremes()
        main = self._largest((a, b) for k, a in enumerate(ends) for b in ends[k + 1 :])
        if main is None:
            return []
        found, upper, lower = [main], main.upper, main.lower
        while more := self._largest((a, upper) for a in ends if a < upper):
            found, upper = [more, *found], more.upper
        while more := self._largest((lower, b) for b in ends if b > lower):
            found, lower = [*found, more], more.lower
        return found

    def _extremes(self) -> list[int]:
        """Both ends of the line and the local extremes of its tilt, where the curvature changes sign."""
        step = np.diff(self.tilt)
        moves = np.flatnonzero(np.abs(step) > NUMERICAL_ZERO_DEG / len(step))
        turns = moves[1:][step[moves[1:]] * step[moves[:-1]] < 0]
        return [0, *turns.tolist(), len(self.tilt) - 1]

    def _largest(self, pairs: Iterable[tuple[int, int]]) -> _Section | None:
        sections = [self._section(a, b) for a, b in pairs if self._is_curve(a, b)]
        best = max(sections, key=lambda s: s.ferguson_deg, default=None)
        return best if best and best.ferguson_deg > NUMERICAL_ZERO_DEG else None

    def _is_curve(self, a: int, b: int) -> bool:
        """Whether no tilt between the ends lies outside the range of the tilts at the ends."""
        inside = self.tilt[a : b + 1]
        low, high = sorted((self.tilt[a], self.tilt[b]))
        return bool(inside.min() >= low and inside.max() <= high)

    def _section(self, a: int, b: int) -> _Section:
        z, x = self.z[a : b + 1], self.x[a : b + 1]
        chord = x[0] + (x[-1] - x[0]) * (z - z[0]) / (z[-1] - z[0])
        apex = int(np.abs(x - chord).argmax())
        if apex in (0, b - a):
            return _Section(a, a + apex, b, 0.0)
        up = np.arctan2(x[apex] - x[0], z[apex] - z[0])
        down = np.arctan2(x[-1] - x[apex], z[-1] - z[apex])
        return _Section(a, a + apex, b, float(np.degrees(abs(up - down))))


def _described(section: _Section, profile: _Profile, line: SpineLine) -> CoronalCurve:
    """Levels, heights and angles of a curve on the grid."""
    places = (section.apex, section.upper, section.lower)
    apex, upper, lower = (line.vertebra_at(float(GRID[k])) for k in places)
    apex_mm, upper_mm, lower_mm = (float(line.z_mm[0] + profile.z[k]) for k in places)
    turn = float(profile.tilt[section.upper] - profile.tilt[section.lower])
    side = Convexity.LEFT if turn > 0 else Convexity.RIGHT
    return CoronalCurve(
        apex, upper, lower, apex_mm, upper_mm, lower_mm, side, section.ferguson_deg, abs(turn)
    )
