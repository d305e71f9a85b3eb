"""Whether the stations cover the spine: holes between them, and stations that were never measured."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from spinelift.errors import IncompleteScanError
from spinelift.geometry.arrays import Float
from spinelift.io.dixon.volume import Action, Finding, Trap

STATIONS = 6
"""Stations of a complete scan."""
MAX_GAP_MM = 15.0
"""Widest hole that is bridged where the spine may be: less than half a lumbar vertebra with its disc."""
SPINE_REACH_MM = 620.0
"""T1–L5 ends above this, from the head end: neck 90 mm, tallest spine 520 mm, a margin."""
STATION_STEP_MM = 160.0
"""Usual distance of neighbouring stations: a hole of this width is a missing station."""
MISSING_GAP_MM = 100.0
"""Width from which a hole is reported as a missing station."""


@dataclass(frozen=True)
class Placed:
    """Slices of one station: number from the head (1-based), z [n] ascending, and their distance dz, mm."""

    number: int
    z: Float
    dz: float


def judge_ends(stations: Sequence[Placed], *, neck: bool) -> list[Finding]:
    """Missing first station (refused) or last ones (reported, if the spine is covered).

    ``neck`` is False when the first station is one of the breath-held chest.
    """
    top, bottom = stations[0], stations[-1]
    if not neck and len(stations) < STATIONS:
        raise incomplete("no station of the neck: the first one is of the breath-held chest")
    length = float(bottom.z[-1] - top.z[0])
    if length < SPINE_REACH_MM:
        raise incomplete(f"a body of {length:.0f} mm in {len(stations)} stations")
    inner = sum(max(0, round(gap / STATION_STEP_MM)) for _, gap in gaps(stations))
    missing = STATIONS - len(stations) - inner
    if missing <= 0:
        return []
    sentence = "{stations} stations, {length_mm:.0f} mm: {missing} missing at the feet, below the spine"
    numbers = {"stations": len(stations), "length_mm": length, "missing": missing}
    return [Finding.of(Trap.MISSING_STATION, len(stations), Action.REPORTED, sentence, **numbers)]


def gaps(stations: Sequence[Placed]) -> list[tuple[int, float]]:
    """(index of the upper station, mm) of every hole between neighbours that is wider than their slices."""
    holes = []
    for k, (upper, lower) in enumerate(itertools.pairwise(stations)):
        gap = float(lower.z[0] - upper.z[-1])
        if gap > 1.05 * max(upper.dz, lower.dz):
            holes.append((k, gap))
    return holes


def judge_gaps(stations: Sequence[Placed]) -> list[Finding]:
    """Report holes between stations; refuse those that cut the spine."""
    findings = []
    for k, gap in gaps(stations):
        below = float(stations[k].z[-1] - stations[0].z[0])
        if gap > MAX_GAP_MM and below < SPINE_REACH_MM:
            raise incomplete(f"a hole of {gap:.0f} mm below station {stations[k].number}")
        trap = Trap.MISSING_STATION if gap > MISSING_GAP_MM else Trap.GAP
        action, sentence = Action.REPORTED, "{gap_mm:.0f} mm not measured, below the spine; left empty"
        if gap <= MAX_GAP_MM:
            sentence = "{gap_mm:.1f} mm between the last and the first slice; interpolated"
            action = Action.CORRECTED
        findings.append(Finding.of(trap, stations[k].number, action, sentence, gap_mm=gap))
    return findings


def incomplete(found: str) -> IncompleteScanError:
    """The error for a scan in which the spine is cut."""
    return IncompleteScanError(
        found=found,
        expected="water and fat of the whole spine, T1 to L5",
        do="Ask for the visit's repeat scan, or leave this person out.",
    )
