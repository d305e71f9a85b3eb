"""Two sagittal centre lines of one person in two postures: rigid alignment, and what remains.

Lines are points [n, 2] (y, z), mm: y to posterior, z to the feet, from head to feet. Places along a line are
arc lengths from its first point.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from spinelift.geometry import RigidTransform2D
from spinelift.geometry.arrays import Float

STEP_MM = 2.0
"""Step along the arc at which two lines are compared."""
SLACK_MM = 6.0
"""Two lines may slide along the arc by so much: the error of the ends in both images. More would make
differences of shape look smaller."""
MIN_COMMON_MM = 150.0
"""Least arc that both lines must have."""
SHAPE_POINTS = 64
"""Points at which the shapes of many people are compared."""


def arc_mm(line: Float) -> Float:
    """Arc length of each point from the first [n]."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])


def at_arc(line: Float, arc: Float) -> Float:
    """Points [m, 2] of a line at places along it [m], linear in between."""
    own = arc_mm(line)
    return np.stack([np.interp(arc, own, line[:, k]) for k in (0, 1)], 1)


def arc_at_height(line: Float, z_mm: float) -> float:
    """Place at which a line reaches a height; outside its ends the nearest height counts on straight down."""
    own, z = arc_mm(line), line[:, 1]
    return float(np.interp(z_mm, z, own) + min(0.0, z_mm - z[0]) + max(0.0, z_mm - z[-1]))


@dataclass(frozen=True)
class Aligned:
    """Two lines over their common arc.

    ``shifted`` and ``turned`` are points [m, 2] of the first and the second line at the same places: with the
    means made equal, and after the best rotation, shifts and slide along the arc. ``rigid`` takes the second
    line onto the first; ``slide_mm`` was fitted with it.
    """

    shifted: tuple[Float, Float]
    turned: tuple[Float, Float]
    rigid: RigidTransform2D
    slide_mm: float

    @property
    def shift_mae_mm(self) -> float:
        """Mean absolute difference of y at the same heights, with the shifts alone."""
        return _mae(*self.shifted)

    @property
    def rigid_mae_mm(self) -> float:
        """The same after the rigid alignment: the difference of shape."""
        return _mae(*self.turned)

    @property
    def shapes_mm(self) -> tuple[Float, Float]:
        """y of both aligned lines, each from its own straight line, at even places of the common arc [64]."""
        first, second = map(_shape, self.turned)
        return first, second


def align(curve: Float, line: Float, arc: tuple[float, float], anchor: float) -> Aligned | None:
    """Align ``line`` with the part ``arc`` (first, last place) of ``curve``; None if they share too little.

    The place s of ``line`` is the place ``anchor`` + s of ``curve``, but for the slide that is fitted. For a
    given slide rotation and shifts are those of least squares (in closed form).
    """

    def common(slide: float) -> tuple[Float, Float] | None:
        first = max(arc[0], anchor + slide)
        last = min(arc[1], anchor + slide + arc_mm(line)[-1])
        if last - first < MIN_COMMON_MM:
            return None
        places = np.arange(first, last, STEP_MM)
        return at_arc(curve, places), at_arc(line, places - anchor - slide)

    def misfit(slide: float) -> float:
        both = common(slide)
        if both is None:
            return np.inf
        return float(((_fit(both).apply(both[1]) - both[0]) ** 2).sum(1).mean())

    start = common(0.0)
    if start is None:
        return None
    coarse = np.linspace(-SLACK_MM, SLACK_MM, 7)
    costs = [misfit(float(slide)) for slide in coarse]
    best, step = float(coarse[int(np.argmin(costs))]), float(coarse[1] - coarse[0])
    bounds = max(best - step, -SLACK_MM), min(best + step, SLACK_MM)
    finer = minimize_scalar(misfit, bounds=bounds, method="bounded", options={"xatol": 0.01})
    slide = float(finer.x) if finer.fun < min(costs) else best
    both = common(slide)
    assert both is not None
    rigid, shift = _fit(both), start[0].mean(0) - start[1].mean(0)
    return Aligned((start[0], start[1] + shift), (both[0], rigid.apply(both[1])), rigid, slide)


def _fit(both: tuple[Float, Float]) -> RigidTransform2D:
    return RigidTransform2D.fit(both[1], both[0], source="lva", target="dxa")


def _mae(curve: Float, line: Float) -> float:
    """Mean absolute difference of y at the heights of ``curve`` that ``line`` has."""
    z = curve[:, 1]
    inside = (z >= line[:, 1].min()) & (z <= line[:, 1].max())
    return float(np.abs(curve[inside, 0] - np.interp(z[inside], line[:, 1], line[:, 0])).mean())


def _shape(line: Float) -> Float:
    places = np.linspace(0, arc_mm(line)[-1], SHAPE_POINTS)
    y, z = at_arc(line, places).T
    return np.asarray(y - np.polyval(np.polyfit(z, y, 1), z))
