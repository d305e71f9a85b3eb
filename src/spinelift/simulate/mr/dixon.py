"""A whole Dixon examination of a body that lies in the scanner: 24 series and what was planted in them."""

from dataclasses import dataclass, replace

import numpy as np

from spinelift.geometry import Vertebra
from spinelift.geometry.arrays import Float
from spinelift.io.dixon.volume import Trap
from spinelift.io.truth import PlantedTrap
from spinelift.simulate.archive.series import DixonStation
from spinelift.simulate.body.body import Body
from spinelift.simulate.body.solids import points_of
from spinelift.simulate.mr.echoes import echo_volume, field_grid
from spinelift.simulate.mr.stations import LENGTH_MM, Breathing, Placing, as_series, measure, place_stations
from spinelift.simulate.mr.traps import duplicate, metal_void, plant_in_placing, planted_trap, swap

TOP_MM = -LENGTH_MM / 2
"""Height of the first station's upper face: the isocentre is the middle of the body."""
T1_BELOW_TOP_MM = 36.0
"""Usual depth of T1's upper endplate below it: stations start at C5 to C7."""
SPARE_MM = 60.0
"""How much more of the body is painted than the stations usually cover."""


@dataclass(frozen=True)
class SimulatedDixon:
    """An examination: its 24 series (more with a repeated station, fewer with a missing one).

    ``placings`` says where each station was measured, head to feet.
    """

    series: tuple[DixonStation, ...]
    planted: tuple[PlantedTrap, ...]
    placings: tuple[Placing, ...]


def table_shift(body: Body) -> Float:
    """Shift [3] mm that places a body as a radiographer does: centred in x and y, neck at the top."""
    depth = points_of(body.solids, "trunk wall")[:, 1]
    top = TOP_MM + T1_BELOW_TOP_MM - body.spine.ends[0][2]
    return np.array([-body.spine.centres[:, 0].mean(), -(depth.min() + depth.max()) / 2, top])


def simulate_dixon(body: Body, rng: np.random.Generator, traps: tuple[Trap, ...] = ()) -> SimulatedDixon:
    """Scan a body whose coordinates are the scanner's (z to the feet, isocentre 0), with traps in it.

    ``Trap.LOST_SLICE`` is left to the archive's writer.
    """
    centres = body.spine.centres
    front, ends = float(centres[:, 1].mean()) - 15.0, centres[[Vertebra.T3, Vertebra.L5], 2] + [0.0, 40.0]
    breathing = Breathing(front, *ends.tolist())
    placings, planted = plant_in_placing(place_stations(TOP_MM, rng), traps, breathing, rng)
    bottom = max(p.span_mm[1] for p in placings)
    volume = echo_volume(body, field_grid(TOP_MM - SPARE_MM / 2, bottom - TOP_MM + SPARE_MM), rng)
    if Trap.SIGNAL_VOID in traps:
        planted.append(metal_void(volume, body.spine, body.joints.hip, rng))
    spoilt, repeated, short = (
        int(rng.integers(len(placings))) if trap in traps else -1
        for trap in (Trap.SWAP, Trap.DUPLICATE_STATION, Trap.UNEQUAL_LENGTHS)
    )
    noise = float(rng.uniform(4.0, 9.0))
    series: list[DixonStation] = []
    number, time = int(rng.integers(2, 6)), float(rng.uniform(8, 18) * 3600)
    for k, placing in enumerate(placings):
        tries = [placing]
        if k == repeated:
            first, trap = duplicate(placing, rng)
            tries.insert(0, first)
            planted.append(trap)
        for attempt in tries:
            pictures = measure(volume, attempt, breathing, noise, rng)
            if k == spoilt and attempt is placing:
                pictures, trap = swap(pictures, placing.number, rng)
                planted.append(trap)
            new = as_series(pictures, attempt, first_number=number, time_s=time)
            if k == short and attempt is placing:
                new, trap = _shorten(new, placing, rng)
                planted.append(trap)
            series += new
            number += len(new)
            time += float(rng.uniform(18, 30))
    return SimulatedDixon(tuple(series), tuple(planted), tuple(placings))


def _shorten(
    series: list[DixonStation], placing: Placing, rng: np.random.Generator
) -> tuple[list[DixonStation], PlantedTrap]:
    """Cut slices off the lower end of the fat or the water stack."""
    contrast = str(rng.choice(["F", "W"]))
    lost = int(rng.integers(1, 7))
    out = [replace(s, volume=s.volume[:-lost]) if s.contrast == contrast else s for s in series]
    return out, planted_trap(Trap.UNEQUAL_LENGTHS, placing.number, contrast=contrast, slices_lost=lost)
