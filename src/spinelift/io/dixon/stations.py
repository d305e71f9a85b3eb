"""Stations of a Dixon scan from its slices: by position, never by index; repeats and holes resolved."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from spinelift.geometry.arrays import Float
from spinelift.io.dixon.coverage import MAX_GAP_MM, Placed, incomplete, judge_ends
from spinelift.io.dixon.plane import Pixels, PlaneGrid
from spinelift.io.dixon.slices import DixonSlice
from spinelift.io.dixon.volume import Action, Finding, Trap

MIN_SLICES = 5
"""A series with fewer slices is a localiser or was aborted at once."""
SAME_PLACE = 0.6
"""Two series that share this part of the shorter one are of one station; neighbours share about 0.2."""
SHORT_REPEAT = 0.5
"""A repeat with less than this part of the slices of the one before was aborted."""


@dataclass(frozen=True)
class Stack:
    """One series sorted head to feet: z [n], mm to the feet, and slices, all of one grid."""

    contrast: str
    breath_hold: bool | None
    order: tuple[int, float]
    grid: PlaneGrid
    z: Float
    slices: tuple[DixonSlice, ...] = field(repr=False)


@dataclass(frozen=True)
class Station(Placed):
    """Fat and water at common positions, [n, rows, columns], as stored."""

    breath_hold: bool | None
    grid: PlaneGrid
    fat: Pixels = field(repr=False)
    water: Pixels = field(repr=False)


def build_stations(slices: Iterable[DixonSlice]) -> tuple[list[Station], list[Finding]]:
    """Stations sorted head to feet, and what was corrected.

    Raises IncompleteScanError if a station, or too many slices, are missing where the spine may be.
    """
    stations: list[Station] = []
    findings: list[Finding] = []
    for place in _places(_stacks(slices)):
        found: list[Finding] = []
        station = _station(len(stations) + 1, place, found)
        if station is not None:
            stations.append(station)
            findings += found
    if not stations:
        raise incomplete("no station with both fat and water")
    findings += judge_ends(stations, neck=not stations[0].breath_hold)
    return stations, findings


def unused_holes(unused: Iterable[DixonSlice], stations: Sequence[Station]) -> list[Finding]:
    """Slices lost in series that are not used; the station is that at the same height."""
    findings = []
    for stack in _stacks(unused):
        steps = np.diff(stack.z)
        lost = int(np.rint(steps / np.median(steps) - 1).clip(0).sum())
        if lost:
            number = min(stations, key=lambda s: abs(float(s.z.mean() - stack.z.mean()))).number
            sentence = f"{{slices}} inner slices missing in the series {stack.contrast}, which is not used"
            findings.append(Finding.of(Trap.LOST_SLICE, number, Action.REPORTED, sentence, slices=lost))
    return findings


def _stacks(slices: Iterable[DixonSlice]) -> list[Stack]:
    groups: dict[tuple[object, ...], list[DixonSlice]] = defaultdict(list)
    for item in slices:
        grid = item.grid
        rounded = (grid.rows, grid.columns, *(round(v, 2) for v in (grid.dy, grid.dx, grid.y0, grid.x0)))
        groups[item.series, item.contrast, rounded].append(item)
    stacks = []
    for group in groups.values():
        group.sort(key=lambda s: (s.z, s.instance_number))
        unique = [a for a, b in itertools.pairwise(group) if b.z - a.z > 0.1] + group[-1:]
        if len(unique) >= MIN_SLICES:
            first = unique[0]
            order = (first.series_number, max(s.time for s in unique))
            z = np.array([s.z for s in unique])
            stacks.append(Stack(first.contrast, first.breath_hold, order, first.grid, z, tuple(unique)))
    return sorted(stacks, key=lambda s: (float(s.z.mean()), s.order))


def _places(stacks: Sequence[Stack]) -> list[list[Stack]]:
    """Stacks that lie at the same place, head to feet."""
    places: list[list[Stack]] = []
    for stack in stacks:
        home = next((p for p in places if any(_overlap(stack, other) >= SAME_PLACE for other in p)), None)
        if home is None:
            places.append([stack])
        else:
            home.append(stack)
    return sorted(places, key=lambda p: float(np.mean([s.z.mean() for s in p])))


def _overlap(a: Stack, b: Stack) -> float:
    common = min(a.z[-1], b.z[-1]) - max(a.z[0], b.z[0])
    return float(common / max(min(np.ptp(a.z), np.ptp(b.z)), 1e-6))


def _station(number: int, place: list[Stack], findings: list[Finding]) -> Station | None:
    """The latest complete pair of fat and water at a place; None if there is no pair."""
    pairs = _pairs(place)
    if not pairs:
        return None
    best = pairs[-1]
    for pair in reversed(pairs[:-1]):
        if min(len(s.z) for s in best) < SHORT_REPEAT * min(len(s.z) for s in pair):
            best = pair
    if len(pairs) > 1:
        which = "the last" if best is pairs[-1] else "an earlier one, as the last was cut short,"
        sentence = f"measured {{times}} times; {which} was taken (series {{series_number}})"
        numbers = {"times": len(pairs), "series_number": best[0].order[0]}
        findings.append(Finding.of(Trap.DUPLICATE_STATION, number, Action.CORRECTED, sentence, **numbers))
    return _matched(number, *best, findings)


def _pairs(place: list[Stack]) -> list[tuple[Stack, Stack]]:
    """(fat, water) of one measurement each, oldest first: the k-th last fat with the k-th last water.

    Where their numbers differ, each of the rarer contrast takes its nearest by series number.
    """
    fats = sorted((s for s in place if s.contrast == "F"), key=lambda s: s.order)
    waters = sorted((s for s in place if s.contrast == "W"), key=lambda s: s.order)
    if len(fats) == len(waters):
        return list(zip(fats, waters, strict=True))
    few, many = sorted((fats, waters), key=len)
    chosen = [(s, min(many, key=lambda other: abs(other.order[0] - s.order[0]))) for s in few]
    return [(a, b) if a.contrast == "F" else (b, a) for a, b in chosen]


def _matched(number: int, fat: Stack, water: Stack, findings: list[Finding]) -> Station | None:
    dz = float(np.median(np.diff(water.z)))
    nearest = np.abs(fat.z[:, None] - water.z[None, :])
    of_fat = np.flatnonzero(nearest.min(axis=1) < 0.25 * dz)
    of_water = nearest.argmin(axis=1)[of_fat]
    if len(of_fat) < MIN_SLICES or not _same_plane(fat.grid, water.grid):
        return None
    if len(fat.z) != len(water.z):
        sentence = "{fat_slices} fat and {water_slices} water slices; {common_slices} common ones were used"
        numbers = {"fat_slices": len(fat.z), "water_slices": len(water.z), "common_slices": len(of_fat)}
        findings.append(Finding.of(Trap.UNEQUAL_LENGTHS, number, Action.CORRECTED, sentence, **numbers))
    z = water.z[of_water]
    steps = np.diff(z)
    for k in np.flatnonzero(steps > 1.5 * dz):
        lost = round(float(steps[k]) / dz) - 1
        if steps[k] > MAX_GAP_MM:
            raise incomplete(f"a hole of {steps[k]:.0f} mm inside station {number}")
        sentence = "{slices} inner slices missing; interpolated between the neighbours"
        findings.append(Finding.of(Trap.LOST_SLICE, number, Action.CORRECTED, sentence, slices=lost))
    fats = np.array([fat.slices[k].pixels for k in of_fat])
    waters = np.array([water.slices[k].pixels for k in of_water])
    return Station(number, z, dz, water.breath_hold, water.grid, fats, waters)


def _same_plane(a: PlaneGrid, b: PlaneGrid) -> bool:
    """Whether two grids have one shape, and agree within 1 mm in place and 0.01 mm in pixel size."""
    place, size = max(abs(a.y0 - b.y0), abs(a.x0 - b.x0)), max(abs(a.dy - b.dy), abs(a.dx - b.dx))
    return (a.rows, a.columns) == (b.rows, b.columns) and place < 1.0 and size < 0.01
