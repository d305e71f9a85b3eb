"""How often steps and breathing offsets between stations are reported, with and without a planted one.

Run: python benchmarks/bench_flaws.py SEED PEOPLE. Each person is measured three times, by the same stations.
"""

import sys
from dataclasses import replace

import numpy as np

from spinelift.cohort.aggregates import share
from spinelift.geometry import Vertebra
from spinelift.io.dixon.ends import drop_bad_ends
from spinelift.io.dixon.slab import Slab, common_origin, to_slab
from spinelift.io.dixon.slices import PlaneGrid
from spinelift.io.dixon.stations import Station
from spinelift.io.dixon.stitch import stitch
from spinelift.io.dixon.swap import undo_swaps
from spinelift.io.dixon.volume import STITCH_GRID, Trap
from spinelift.simulate.archive.series import PIXEL_MM
from spinelift.simulate.body.body import sample_body
from spinelift.simulate.body.posture import repose, sample_posture
from spinelift.simulate.body.prior import ShapePrior
from spinelift.simulate.identity import mri_rng, person_rng
from spinelift.simulate.mr.dixon import SPARE_MM, TOP_MM, table_shift
from spinelift.simulate.mr.echoes import EchoVolume, echo_volume, field_grid
from spinelift.simulate.mr.stations import Breathing, Placing, measure, place_stations
from spinelift.simulate.mr.traps import plant_in_placing

FLAWS = (Trap.INTENSITY_STEP, Trap.BREATHING_OFFSET)


def slabs(
    volume: EchoVolume, placings: list[Placing], breathing: Breathing, noise: float, rng: np.random.Generator
) -> list[Slab]:
    """Stations as the reader holds them before they are stitched."""
    stations = []
    for number, placing in enumerate(placings, 1):
        plan, (x, y, z) = placing.plan, placing.origin_mm
        pictures = measure(volume, placing, breathing, noise, rng)
        fat, water = (np.clip(np.rint(pictures[c]), 0, 4095).astype(np.uint16) for c in ("F", "W"))
        heights = z + plan.dz_mm * np.arange(plan.slices)
        grid = PlaneGrid(plan.rows, plan.columns, PIXEL_MM, PIXEL_MM, y, x)
        stations.append(Station(number, heights, plan.dz_mm, plan.breath_hold, grid, fat, water))
    origin = common_origin(stations, STITCH_GRID)
    whole, _ = drop_bad_ends([to_slab(station, origin) for station in stations])
    return undo_swaps(whole)[0]


def findings(seed: int, person: int) -> dict[Trap | None, set[Trap]]:
    """What is reported of a person without a flaw (None), and with each; not with what cannot be planted."""
    body, rng = sample_body(ShapePrior.load(), person_rng(seed, person)), mri_rng(seed, person)
    posture = sample_posture(rng)
    body = repose(body, replace(posture, shift_mm=posture.shift_mm + table_shift(body)))
    centres = body.spine.centres
    trunk = centres[[Vertebra.T3, Vertebra.L5], 2] + [0.0, 40.0]
    breathing = Breathing(float(centres[:, 1].mean()) - 15.0, *trunk.tolist())
    usual = place_stations(TOP_MM, rng)
    length = max(p.span_mm[1] for p in usual) - TOP_MM
    volume = echo_volume(body, field_grid(TOP_MM - SPARE_MM / 2, length + SPARE_MM), rng)
    noise = float(rng.uniform(4.0, 9.0))
    found = {}
    for flaw in (None, *FLAWS):
        placings, planted = plant_in_placing(usual, (flaw,) if flaw else (), breathing, rng)
        if planted or flaw is None:
            *_, remarks = stitch(slabs(volume, placings, breathing, noise, rng))
            found[flaw] = {remark.trap for remark in remarks}
    return found


def main() -> None:
    """Print a row a flaw."""
    seed, people = map(int, sys.argv[1:])
    found = [findings(seed, person) for person in range(people)]
    print("| flaw | found of planted | false alarms |\n|---|---|---|")
    for flaw in FLAWS:
        planted = [f[flaw] for f in found if flaw in f]
        hits, false = sum(flaw in traps for traps in planted), sum(flaw in f[None] for f in found)
        print(f"| {flaw} | {share(hits, len(planted))} | {share(false, people)} |")


if __name__ == "__main__":
    main()
