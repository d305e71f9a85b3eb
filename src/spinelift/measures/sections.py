"""Curves of a smoothed line: which sections they are, their apexes and angles, on a grid of heights."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from spinelift.geometry.arrays import Float

NUMERICAL_ZERO_DEG = 1e-6
"""Smaller angles are rounding errors of a straight line."""


@dataclass(frozen=True)
class Section:
    """A curve on the grid: indices of its upper end, apex and lower end, and its modified Ferguson angle."""

    upper: int
    apex: int
    lower: int
    ferguson_deg: float


@dataclass(frozen=True)
class Profile:
    """A smoothed line on the grid: height, lateral position (mm) and tilt (degrees) [grid]."""

    z: Float
    x: Float
    tilt: Float

    def curves(self) -> list[Section]:
        """Main curve and those above and below it, from head to feet."""
        ends = self._extremes()
        main = self._largest((a, b) for k, a in enumerate(ends) for b in ends[k + 1 :: 2])
        if main is None:
            return []
        curves, top, bottom = [main], ends.index(main.upper), ends.index(main.lower)
        while more := self._largest((a, ends[top]) for a in ends[:top][::-2]):
            curves, top = [more, *curves], ends.index(more.upper)
        while more := self._largest((ends[bottom], b) for b in ends[bottom + 1 :: 2]):
            curves, bottom = [*curves, more], ends.index(more.lower)
        return curves

    def cobb_levels(self, curve: Section, curves: list[Section]) -> tuple[int, int]:
        """Levels of most opposite tilt above and below the apex, not beyond the apex of a larger curve."""
        larger = [c.apex for c in curves if c.ferguson_deg > curve.ferguson_deg]
        first = max((k for k in larger if k < curve.apex), default=0)
        last = min((k for k in larger if k > curve.apex), default=len(self.tilt) - 1)
        tilt = self.tilt * np.sign(self.tilt[curve.upper] - self.tilt[curve.lower])
        upper = first + int(tilt[first : curve.apex + 1].argmax())
        return upper, curve.apex + int(tilt[curve.apex : last + 1].argmin())

    def _extremes(self) -> list[int]:
        """Both ends of the line and the local extremes of its tilt, where the curvature changes sign."""
        step = np.diff(self.tilt)
        moves = np.flatnonzero(np.abs(step) > NUMERICAL_ZERO_DEG / len(step))
        turns = moves[1:][step[moves[1:]] * step[moves[:-1]] < 0]
        return [0, *turns.tolist(), len(self.tilt) - 1]

    def _largest(self, ends: Iterable[tuple[int, int]]) -> Section | None:
        best = max((self._section(a, b) for a, b in ends), key=lambda s: s.ferguson_deg, default=None)
        return best if best and best.ferguson_deg > NUMERICAL_ZERO_DEG else None

    def _section(self, a: int, b: int) -> Section:
        """The section from a to b as a curve; its angle is less by the excess of the tilts inside."""
        z, x, tilt = (v[a : b + 1] for v in (self.z, self.x, self.tilt))
        apex = int(np.abs(x - x[0] - (x[-1] - x[0]) * (z - z[0]) / (z[-1] - z[0])).argmax())
        if apex in (0, b - a):
            return Section(a, a, b, 0.0)
        up = np.arctan2(x[apex] - x[0], z[apex] - z[0])
        down = np.arctan2(x[-1] - x[apex], z[-1] - z[apex])
        step = np.diff(self.tilt[a:])
        moves = step[np.abs(step) > NUMERICAL_ZERO_DEG / (len(self.tilt) - 1)]
        falls = moves.size and moves[0] < 0  # the upper end is a maximum of the tilt, the lower one a minimum
        excess = np.ptp(tilt) - (tilt[0] - tilt[-1]) * (1 if falls else -1)
        return Section(a, a + apex, b, float(np.degrees(abs(up - down)) - excess))
