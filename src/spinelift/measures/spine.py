"""All measures of one spine, with intervals from its plausible spines."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from spinelift.geometry import Vertebra
from spinelift.geometry.arrays import Float
from spinelift.measures.angles import (
    GRID,
    SCOLIOSIS_DEG,
    SCOLIOSIS_LOWER_DEG,
    Convexity,
    CoronalCurve,
    coronal_angles,
    profiles,
)
from spinelift.measures.levels import SpineLine, levels_mm, numbering_warning
from spinelift.measures.results import CurveMeasures, CurveType, Interval, Level, Measured, SpineMeasures
from spinelift.measures.sagittal import turn_deg
from spinelift.measures.screening import screen
from spinelift.measures.space import SpaceLine

Z90 = 1.645
"""Half width of the 90 % interval of a normal variable, in standard deviations."""
COARSE: Float = GRID[::8]
"""Relative heights at which plausible spines are read: their angles change by less than 0.1°."""


class Plausible(NamedTuple):
    """Coronal and sagittal centre lines [n, m] of m plausible spines, mm, at the predicted heights."""

    x_mm: Float
    y_mm: Float


def measure_spine(
    z_mm: ArrayLike,
    x_mm: ArrayLike,
    y_mm: ArrayLike,
    *,
    plausible: Plausible | None = None,
    warnings: Sequence[str] = (),
) -> SpineMeasures:
    """Every measure of a spine.

    Parameters
    ----------
    z_mm, x_mm, y_mm : array_like of shape (n,)
        Heights, increasing to the feet, and positions to the left and to posterior, mm: a line from T1's
        upper to L5's lower endplate, or, if ``n`` is 17, the vertebral centres.
    plausible : Plausible, optional
        Spines that fit the image about as well; intervals and probabilities come from them.
    warnings : sequence of str
        Those of the scan: they are reasons to distrust the screening.

    Returns
    -------
    SpineMeasures
        Values as floats that are not rounded, except for probabilities.

    Raises
    ------
    InvalidCurveError
        If the line cannot be measured.

    Examples
    --------
    A thoracic curve, convex to the right:

    >>> import numpy as np
    >>> from spinelift.measures import measure_spine
    >>> z = np.linspace(0, 440, 209)
    >>> found = measure_spine(z, -14 * np.exp(-(((z - 170) / 70) ** 2)), 20 * np.sin(np.pi * z / 440))
    >>> print(found.main)
    thoracic, right, T6-T9-T11
    >>> found.screening.finding
    '>=10'
    """
    line = SpineLine.of(z_mm, x_mm)
    SpineLine.of(z_mm, y_mm)
    one = _Spines(z_mm, np.asarray(x_mm)[:, None], np.asarray(y_mm)[:, None])
    many = None if plausible is None else _Spines(z_mm, *plausible)
    coronal = coronal_angles(line.z_mm, line.lateral_mm)
    angles = None if many is None else many.coronal()
    whole, spread = one.whole(), {} if many is None else many.whole()
    ferguson = _measured(coronal.ferguson_deg, angles and angles[0])
    crossed = _crossed(ferguson.interval90)
    levels, numbering = _levels(line)
    main = coronal.main
    return SpineMeasures(
        ferguson_deg=ferguson,
        cobb_equivalent_deg=_measured(coronal.cobb_equivalent_deg, angles and angles[1]),
        **{name: _measured(float(value[0]), spread.get(name)) for name, value in whole.items()},
        curve_count=sum(curve.ferguson_deg >= SCOLIOSIS_LOWER_DEG for curve in coronal.curves),
        thresholds_crossed_deg=crossed,
        curves=tuple(_curve(curve, line, one, many) for curve in coronal.curves),
        levels=levels,
        screening=screen(
            coronal,
            plausible_deg=angles and angles[0],
            same_side=None if main is None or angles is None else angles[2] == _side(main),
            trunk_tilt_deg=float(np.degrees(np.arctan(whole["coronal_offset_mm"][0] / line.height_mm))),
            crossed_deg=crossed,
            warnings=[*warnings, *numbering],
        ),
    )


class _Spines:
    """Spines of the same heights: the predicted one alone, or the plausible ones. Results are arrays [m]."""

    def __init__(self, z_mm: ArrayLike, x_mm: ArrayLike, y_mm: ArrayLike) -> None:
        self.x, self.y = (SpineLine.of(z_mm, mm, many=True) for mm in (x_mm, y_mm))
        self.space = SpaceLine(self.x, self.y)
        self.profiles = profiles(self.x, COARSE)

    def coronal(self) -> tuple[Float, Float, Float]:
        """Largest modified Ferguson and Cobb-equivalent angle; side of the main curve: 1 left, -1 right."""
        found = self.profiles.curves()
        ferguson, cobb, side = np.zeros((3, len(found)))
        for k, (curves, levels) in enumerate(zip(found, self.profiles.cobb_levels(found), strict=True)):
            if not curves:
                continue
            tilt = self.profiles.tilt[k]
            main = max(curves, key=lambda c: c.ferguson_deg)
            ferguson[k], side[k] = main.ferguson_deg, np.sign(tilt[main.upper] - tilt[main.lower])
            cobb[k] = max(abs(tilt[upper] - tilt[lower]) for upper, lower in levels)
        return ferguson, cobb, side

    def whole(self) -> dict[str, Float]:
        """Measures of the whole spine."""
        x, y = (line.at(line.bodies) for line in (self.x, self.y))
        return {
            "kyphosis_deg": turn_deg(self.y, Vertebra.T4, Vertebra.T12),
            "lordosis_deg": -turn_deg(self.y, Vertebra.L1, Vertebra.L5),
            "coronal_offset_mm": x[0] - x[-1],
            "sagittal_offset_mm": y[0] - y[-1],
        }

    def at_ends(self, ends: tuple[float, float], cobb: tuple[float, float], side: int) -> tuple[Float, Float]:
        """Modified Ferguson angle between relative heights ``ends``, Cobb-equivalent between ``cobb``."""
        upper, lower, first, last = (round(t * (len(COARSE) - 1)) for t in (*ends, *cobb))
        tilt = self.profiles.tilt
        return self.profiles.angles_between(upper, lower, side), side * (tilt[:, first] - tilt[:, last])

    def in_space(self, upper: float, lower: float) -> dict[str, Float]:
        """Measures of a curve in space between relative heights."""
        plane, angle = self.space.curvature_plane(upper, lower)
        return {
            "curvature_plane_deg": plane,
            "curvature_deg": angle,
            "best_fit_plane_deg": self.space.best_fit_plane(upper, lower),
            "torsion_deg_per_cm": self.space.torsion_deg_per_cm(upper, lower),
        }


def _curve(curve: CoronalCurve, line: SpineLine, one: _Spines, many: _Spines | None) -> CurveMeasures:
    """A coronal curve. Plausible spines are measured between its own ends and levels."""

    def height(mm: float) -> float:
        return (mm - float(line.z_mm[0])) / line.height_mm

    side, ends = _side(curve), (height(curve.upper_end_mm), height(curve.lower_end_mm))
    cobb = (height(curve.cobb_mm[0]), height(curve.cobb_mm[1]))
    values = (curve.ferguson_deg, curve.cobb_equivalent_deg)
    spreads: tuple[Float, ...] | tuple[None, None] = (None, None)
    if many is not None:
        own, others = (spines.at_ends(ends, cobb, side) for spines in (one, many))
        spreads = tuple(v + b - a for v, a, b in zip(values, own, others, strict=True))
    ferguson, cobb_equivalent = (_measured(v, s) for v, s in zip(values, spreads, strict=True))
    spread = {} if many is None else many.in_space(*ends)
    more: dict[str, Any] = {
        "cobb_levels": tuple(level.name for level in curve.cobb_levels),
        **{name: getattr(curve, name).name for name in ("apex", "upper_end", "lower_end")},
        **{name: getattr(curve, name) for name in ("apex_mm", "upper_end_mm", "lower_end_mm")},
        **{n: _measured(float(value[0]), spread.get(n)) for n, value in one.in_space(*ends).items()},
    }
    return CurveMeasures(
        type=CurveType.of(curve.apex),
        direction=curve.direction.value,
        ferguson_deg=ferguson,
        cobb_equivalent_deg=cobb_equivalent,
        **more,
    )


def _side(curve: CoronalCurve) -> int:
    return 1 if curve.direction is Convexity.LEFT else -1


def _measured(value: float, spread: Float | None) -> Measured:
    """A value with its 90 % interval, which holds the value."""
    if spread is None:
        return Measured(value=value)
    place = np.linspace(0, 1, len(spread))  # as np.quantile, which takes ten times as long
    low, high = np.interp((0.05, 0.95), place, np.sort(spread))
    return Measured(value=value, interval90=(min(float(low), value), max(float(high), value)))


def _crossed(interval: Interval | None) -> tuple[float, ...]:
    """Thresholds of the modified Ferguson angle inside its interval."""
    if interval is None:
        return ()
    return tuple(t for t in (SCOLIOSIS_LOWER_DEG, SCOLIOSIS_DEG) if interval[0] < t <= interval[1])


def _levels(line: SpineLine) -> tuple[dict[Any, Level], list[str]]:
    """The vertebral levels, and what is odd about their number; they are known if centres were given."""
    if len(line.z_mm) == len(Vertebra):
        return {v.name: Level(z_mm=float(line.z_mm[v])) for v in Vertebra}, []
    centre, sd = levels_mm(float(line.z_mm[0]), float(line.z_mm[-1]))
    bounds = np.stack([centre - Z90 * sd, centre + Z90 * sd], 1)
    found = {
        v.name: Level(z_mm=float(centre[v]), interval90=(float(bounds[v, 0]), float(bounds[v, 1])))
        for v in Vertebra
    }
    warning = numbering_warning(line.height_mm)
    return found, [warning] if warning else []
