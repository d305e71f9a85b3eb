"""Heights of the 17 vertebral bodies along a centre line, and the checked input of every measure."""

from dataclasses import dataclass

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


@dataclass(frozen=True)
class SpineLine:
    """A checked centre line of T1 to L5 in one view.

    Heights ``z_mm`` [n] from head to feet and lateral positions ``lateral_mm`` [n], mm; relative heights of
    the vertebral centres ``bodies`` [17] and of their borders ``endplates`` [18]: 0 at ``z_mm[0]``, 1 at
    ``z_mm[-1]``.
    """

    z_mm: Float
    lateral_mm: Float
    bodies: Float
    endplates: Float

    @classmethod
    def of(cls, z_mm: ArrayLike, lateral_mm: ArrayLike) -> "SpineLine":
        """Check the input of a measure.

        Exactly 17 points are the vertebral centres T1 to L5. More points are a centre line from T1's upper
        endplate to L5's lower endplate, on which the bodies lie at ``LEVEL_HEIGHTS``.
        """
        try:
            z, lateral = np.asarray(z_mm, np.float64), np.asarray(lateral_mm, np.float64)
        except (TypeError, ValueError) as error:
            raise _invalid("values that are not numbers") from error
        if z.ndim != 1 or z.shape != lateral.shape:
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
        """Lateral position [k], mm, at relative heights [k], by cubic interpolation."""
        if len(self.z_mm) == len(heights) == len(Vertebra):
            return self.lateral_mm
        return make_interp_spline(self.z_mm, self.lateral_mm, k=3)(self.z_mm[0] + heights * self.height_mm)

    def vertebra_at(self, height: float) -> Vertebra:
        """The vertebra whose borders enclose a relative height."""
        return Vertebra(int(np.searchsorted(self.endplates[1:-1], height)))


def _invalid(found: str) -> InvalidCurveError:
    return InvalidCurveError(
        found=f"a centre line with {found}",
        expected="as many finite positions as heights, at least 17, with heights that increase to the feet",
        do="Pass a line from T1's upper to L5's lower endplate, or the 17 vertebral centres T1 to L5, in mm.",
    )
