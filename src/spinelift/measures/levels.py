"""Heights of the 17 vertebral bodies along a centre line, and the checked input of every measure."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import make_interp_spline

from spinelift.errors import InvalidCurveError
from spinelift.geometry import Vertebra
from spinelift.geometry.arrays import Float

LEVEL_HEIGHTS: Float = np.array([
    0.0206, 0.0619, 0.1046, 0.1487, 0.1937, 0.2433, 0.2947, 0.3466, 0.3990, 0.4547, 0.5142, 0.5780,
    0.6482, 0.7235, 0.8008, 0.8811, 0.9604,
])  # fmt: skip
"""Relative height of each vertebral centre [17], T1 to L5: 0 is T1's upper endplate, 1 is L5's lower one.

Median of 64 complete spines on CT (ImFusion VID dataset, CC BY-SA 4.0: Bürgin, Prevost, Stollenga, "Robust
vertebra identification using simultaneous node and edge predicting graph neural networks"). The ends lie half
a vertebral distance beyond T1 and L5.
"""

LEVEL_SHARES: Float = np.array([
    0.0162, 0.0583, 0.1021, 0.1471, 0.1930, 0.2435, 0.2959, 0.3492, 0.4029, 0.4599, 0.5203, 0.5860,
    0.6572, 0.7344, 0.8134, 0.8956, 0.9767,
])  # fmt: skip
"""Relative height of each vertebral centre [17] between the endplates themselves (benchmarks/fit_levels.py).

Median of the same spines, whose endplates lie 0.384 (T1) and 0.288 (L5) of a vertebral distance beyond the
centres, as those of simulated people. ``LEVEL_HEIGHTS`` adds half a disc at either end; the angles keep it,
so that their values stay comparable."""
LEVEL_SD: Float = np.array([
    0.0010, 0.0037, 0.0062, 0.0081, 0.0095, 0.0105, 0.0113, 0.0117, 0.0121, 0.0121, 0.0125, 0.0131,
    0.0111, 0.0110, 0.0097, 0.0088, 0.0020,
])  # fmt: skip
"""Standard deviation of ``LEVEL_SHARES`` [17] over these spines."""
END_SD_MM = 2.1
"""Standard deviation of the height of a predicted end: 1.4 mm in the median on simulated people."""
LENGTH_MEAN_MM, LENGTH_SD_MM = 434.8, 31.1
"""Height of the same spines from T1's upper to L5's lower endplate."""
UNUSUAL_SD = 2.33
"""A height this many standard deviations from the mean is that of one spine in a hundred on either side."""


def _endplates(bodies: Float) -> Float:
    """Borders of the vertebrae [18]: half way between neighbouring centres, and 0 and 1 at the ends."""
    return np.concatenate([[0.0], (bodies[1:] + bodies[:-1]) / 2, [1.0]])


_LINE_ENDPLATES = _endplates(LEVEL_HEIGHTS)


def upper_endplate(level: Vertebra) -> float:
    """Relative height half way to the vertebra above (0 for T1)."""
    return float(_LINE_ENDPLATES[level])


def lower_endplate(level: Vertebra) -> float:
    """Relative height half way to the vertebra below (1 for L5)."""
    return float(_LINE_ENDPLATES[level + 1])


def levels_mm(top_mm: float, bottom_mm: float) -> tuple[Float, Float]:
    """Heights of the vertebral centres between two predicted ends, and their standard deviations.

    Proportions of the body and errors of both ends are independent: mm [17] each, T1 to L5.
    """
    height = bottom_mm - top_mm
    ends = END_SD_MM * np.hypot(LEVEL_SHARES, 1 - LEVEL_SHARES)
    return top_mm + LEVEL_SHARES * height, np.hypot(LEVEL_SD * height, ends)


def numbering_warning(height_mm: float) -> str | None:
    """What an unusual height of T1 to L5, mm, says of the number of vertebrae; None for a usual one."""
    z = (height_mm - LENGTH_MEAN_MM) / LENGTH_SD_MM
    if abs(z) <= UNUSUAL_SD:
        return None
    odd = "longer" if z > 0 else "shorter"
    number = "13 thoracic or 6 lumbar" if z > 0 else "11 thoracic or 4 lumbar"
    return (
        f"the spine is {odd} from T1 to L5 than those of 99 % of adults ({height_mm:.0f} mm): {number} "
        "vertebrae are possible, and then levels are one off"
    )


@dataclass(frozen=True)
class SpineLine:
    """A checked centre line of T1 to L5 in one view.

    Heights ``z_mm`` [n] from head to feet and lateral positions ``lateral_mm`` [n], mm, or [n, m] of m
    lines at the same heights; relative heights of the vertebral centres ``bodies`` [17]
    and of their borders ``endplates`` [18]: 0 at ``z_mm[0]``, 1 at ``z_mm[-1]``.
    """

    z_mm: Float
    lateral_mm: Float
    bodies: Float
    endplates: Float

    @classmethod
    def of(cls, z_mm: ArrayLike, lateral_mm: ArrayLike, *, many: bool = False) -> "SpineLine":
        """Check the input of a measure.

        Exactly 17 points are the vertebral centres T1 to L5. More points are a centre line from T1's upper
        endplate to L5's lower endplate, on which the bodies lie at ``LEVEL_HEIGHTS``. ``many``: of several
        lines, [n, m].
        """
        try:
            z, lateral = np.asarray(z_mm, np.float64), np.asarray(lateral_mm, np.float64)
        except (TypeError, ValueError) as error:
            raise _invalid("values that are not numbers") from error
        if z.ndim != 1 or lateral.ndim != 1 + many or z.shape != lateral.shape[:1]:
            raise _invalid(f"heights of shape {z.shape} and positions of shape {lateral.shape}")
        if len(z) < len(Vertebra):
            raise _invalid(f"{len(z)} points")
        if not (np.isfinite(z).all() and np.isfinite(lateral).all()):
            raise _invalid("values that are not finite")
        if not (np.diff(z) > 0).all():
            raise _invalid("heights that do not increase")
        if len(z) > len(Vertebra):
            return cls(z, lateral, LEVEL_HEIGHTS, _LINE_ENDPLATES)
        bodies = (z - z[0]) / (z[-1] - z[0])
        return cls(z, lateral, bodies, _endplates(bodies))

    @property
    def height_mm(self) -> float:
        """Height of the line, mm."""
        return float(self.z_mm[-1] - self.z_mm[0])

    def at(self, heights: Float) -> Float:
        """Lateral position [k], or [k, m], mm, at relative heights [k], by cubic interpolation."""
        if len(self.z_mm) == len(heights) == len(Vertebra):
            return self.lateral_mm
        t = (self.z_mm - self.z_mm[0]) / self.height_mm
        if np.allclose(t, np.linspace(0, 1, len(t)), rtol=0, atol=1e-9):
            return _even_interpolation(len(t), heights.tobytes()) @ self.lateral_mm
        return make_interp_spline(t, self.lateral_mm, k=3)(heights)

    def vertebra_at(self, height: float) -> Vertebra:
        """The vertebra whose borders enclose a relative height."""
        return Vertebra(int(np.searchsorted(self.endplates[1:-1], height)))


@lru_cache(maxsize=16)
def _even_interpolation(points: int, heights: bytes) -> Float:
    """Matrix [k, points] of the cubic interpolation of a line with even heights, at relative heights [k]."""
    grid = np.linspace(0, 1, points)
    return np.asarray(make_interp_spline(grid, np.eye(points), k=3)(np.frombuffer(heights)))


def _invalid(found: str) -> InvalidCurveError:
    return InvalidCurveError(
        found=f"a centre line with {found}",
        expected="as many finite positions as heights, at least 17, with heights that increase to the feet",
        do="Pass a line from T1's upper to L5's lower endplate, or the 17 vertebral centres T1 to L5, in mm.",
    )
