"""Curves of smoothed lines: which sections they are, their apexes and angles, on a grid of heights."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from spinelift.geometry.arrays import Float, Integers

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
class Profiles:
    """Smoothed lines on the grid: heights [g], mm; lateral positions [n, g], mm, and tilts [n, g], degrees.

    Many lines are measured at once: the plausible spines of a prediction.
    """

    z: Float
    x: Float
    tilt: Float

    def curves(self) -> list[list[Section]]:
        """For each line its main curve and those above and below it, from head to feet."""
        ends, falls = zip(*map(self._extremes, self.tilt), strict=True)
        pairs = [
            (line, a, b, fall)
            for line, (places, signs) in enumerate(zip(ends, falls, strict=True))
            for k, (a, fall) in enumerate(zip(places[:-1], signs, strict=True))
            for b in places[k + 1 :: 2]
        ]
        line, upper, lower, fall = (np.array(column) for column in zip(*pairs, strict=True))
        apexes, angles = self._angles(line, upper, lower, fall)
        sections: list[dict[tuple[int, int], Section]] = [{} for _ in ends]
        for k, a, apex, b, angle in zip(line, upper, apexes, lower, angles, strict=True):
            sections[k][int(a), int(b)] = Section(int(a), int(apex), int(b), float(angle))
        return [_chain(one, places) for one, places in zip(sections, ends, strict=True)]

    def cobb_levels(self, curves: list[list[Section]]) -> Iterator[list[tuple[int, int]]]:
        """For each curve of each line the levels of most opposite tilt above and below its apex.

        They are not beyond the apex of a larger curve.
        """
        for tilts, found in zip(self.tilt, curves, strict=True):
            levels = []
            for curve in found:
                larger = [c.apex for c in found if c.ferguson_deg > curve.ferguson_deg]
                first = max((k for k in larger if k < curve.apex), default=0)
                last = min((k for k in larger if k > curve.apex), default=len(tilts) - 1)
                tilt = tilts if tilts[curve.upper] > tilts[curve.lower] else -tilts
                upper = first + int(tilt[first : curve.apex + 1].argmax())
                levels.append((upper, curve.apex + int(tilt[curve.apex : last + 1].argmin())))
            yield levels

    def angles_between(self, upper: int, lower: int, side: int) -> Float:
        """Modified Ferguson angle [n] of every line between two places of the grid, degrees.

        Positive for a curve convex to ``side``, 1 for the left and -1 for the right. Bends inside the section
        do not matter.
        """
        z, x = self.z[upper : lower + 1], self.x[:, upper : lower + 1]
        chord = x[:, :1] + (x[:, -1:] - x[:, :1]) * (z - z[0]) / (z[-1] - z[0])
        apex = np.clip((side * (x - chord)).argmax(1), 1, len(z) - 2)
        middle = np.take_along_axis(x, apex[:, None], 1)[:, 0]
        up = np.arctan2(middle - x[:, 0], z[apex] - z[0])
        down = np.arctan2(x[:, -1] - middle, z[-1] - z[apex])
        return np.asarray(side * np.degrees(up - down))

    @staticmethod
    def _extremes(tilt: Float) -> tuple[list[int], list[int]]:
        """Both ends of a line and the local extremes of its tilt, where the curvature changes sign; and the
        sign of the tilt's next change after each but the last: -1 where the tilt falls, so at a maximum.
        """
        step = np.diff(tilt)
        moves = np.flatnonzero(np.abs(step) > NUMERICAL_ZERO_DEG / len(step))
        turns = moves[1:][step[moves[1:]] * step[moves[:-1]] < 0]
        signs = np.sign(step[[*moves[:1], *turns]]).astype(int).tolist()
        return [0, *turns.tolist(), len(tilt) - 1], signs or [1]

    def _angles(self, line: Integers, a: Integers, b: Integers, fall: Integers) -> tuple[Integers, Float]:
        """Apex and modified Ferguson angle [k] of sections from a to b [k] of lines [k].

        The angle is less by the excess of the tilts inside over those of the ends.
        """
        z, k = self.z, np.arange(len(line))
        x, tilt = self.x[line], self.tilt[line]
        place = np.arange(len(z))
        inside = (place >= a[:, None]) & (place <= b[:, None])
        slope = (x[k, b] - x[k, a]) / (z[b] - z[a])
        apart = np.abs(x - x[k, a][:, None] - slope[:, None] * (z - z[a][:, None]))
        apex = np.where(inside, apart, -1.0).argmax(1)
        up = np.arctan2(x[k, apex] - x[k, a], np.maximum(z[apex] - z[a], 1e-300))
        down = np.arctan2(x[k, b] - x[k, apex], np.maximum(z[b] - z[apex], 1e-300))
        reach = np.where(inside, tilt, -np.inf).max(1) - np.where(inside, tilt, np.inf).min(1)
        excess = reach + (tilt[k, a] - tilt[k, b]) * fall
        angle = np.degrees(np.abs(up - down)) - excess
        return apex, np.where((apex == a) | (apex == b), 0.0, angle)


def _chain(sections: dict[tuple[int, int], Section], ends: list[int]) -> list[Section]:
    """Of all sections between the ends of a line, the largest, and so on above and below it."""

    def largest(pairs: Iterable[tuple[int, int]]) -> Section | None:
        best = max((sections[pair] for pair in pairs), key=lambda s: s.ferguson_deg, default=None)
        return best if best and best.ferguson_deg > NUMERICAL_ZERO_DEG else None

    main = largest(sections)
    if main is None:
        return []
    curves, top, bottom = [main], ends.index(main.upper), ends.index(main.lower)
    while more := largest((a, ends[top]) for a in ends[:top][::-2]):
        curves, top = [more, *curves], ends.index(more.upper)
    while more := largest((ends[bottom], b) for b in ends[bottom + 1 :: 2]):
        curves, bottom = [*curves, more], ends.index(more.lower)
    return curves
