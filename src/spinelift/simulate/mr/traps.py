"""What goes wrong with Dixon scans, planted in simulated ones and remembered."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spinelift.geometry.arrays import Float, Float32
from spinelift.io.dixon.volume import Trap
from spinelift.io.truth import PlantedTrap
from spinelift.simulate.archive.series import Contrast
from spinelift.simulate.body.spine import PosedSpine
from spinelift.simulate.mr.echoes import EchoVolume
from spinelift.simulate.mr.stations import Breathing, Placing

PLANTED = (
    *(Trap.DUPLICATE_STATION, Trap.MISSING_STATION, Trap.GAP, Trap.UNEQUAL_LENGTHS, Trap.LOST_SLICE),
    *(Trap.END_SLICES, Trap.SWAP, Trap.INTENSITY_STEP, Trap.BREATHING_OFFSET, Trap.SIGNAL_VOID),
)
"""Traps that can be asked for. Arms cut by the field of view happen by themselves."""
SEEN_SHARE = 0.8
"""Least share of a breath at a seam for it to be a flaw: elsewhere a planted one would change nothing."""


def planted_trap(trap: Trap, station: int, **detail: float | str) -> PlantedTrap:
    """The record of a trap in a station, 1-based from the head (of two neighbours the upper)."""
    return PlantedTrap(trap=trap, station=station, detail=detail)


def sample_traps(share: float, rng: np.random.Generator) -> tuple[Trap, ...]:
    """One trap, at times two, in a ``share`` of people."""
    if rng.random() >= share:
        return ()
    count = 2 if rng.random() < 0.2 else 1
    return tuple(PLANTED[k] for k in rng.choice(len(PLANTED), count, replace=False))


def plant_in_placing(
    placings: list[Placing], traps: tuple[Trap, ...], breathing: Breathing, rng: np.random.Generator
) -> tuple[list[Placing], list[PlantedTrap]]:
    """Stations put wrongly, measured with dark ends, steps and breath; missing ones are left out.

    A breath is planted where it moves the body in what a station and one of its neighbours both show, and
    nowhere if no two stations show it.
    """
    planted: list[PlantedTrap] = []
    out, n = list(placings), len(placings)
    if Trap.GAP in traps:
        k = int(rng.integers(1, n))
        overlap = out[k - 1].span_mm[1] - out[k].span_mm[0]
        gap = float(rng.uniform(4, 25))
        for i, (x, y, z) in enumerate((p.origin_mm for p in out[k:]), k):
            out[i] = replace(out[i], origin_mm=(x, y, z + (overlap + gap)))
        planted.append(planted_trap(Trap.GAP, k, gap_mm=round(gap, 2)))
    if Trap.END_SLICES in traps:
        for k in rng.choice(n, int(rng.integers(1, 4)), replace=False):
            ends = (int(rng.integers(2, 5)), int(rng.integers(2, 5)))
            out[k] = replace(out[k], dark_ends=ends)
            planted.append(planted_trap(Trap.END_SLICES, int(k) + 1, upper=ends[0], lower=ends[1]))
    if Trap.INTENSITY_STEP in traps:
        k = int(rng.integers(1, n))
        factor = float(np.exp(rng.choice([-1, 1]) * rng.uniform(0.5, 0.9)))
        out[k] = replace(out[k], gain=out[k].gain * factor)
        planted.append(planted_trap(Trap.INTENSITY_STEP, k + 1, factor=round(factor, 3)))
    breathing_at = _breathing_stations(out, breathing)
    if Trap.BREATHING_OFFSET in traps and len(breathing_at):
        k = int(rng.choice(breathing_at))
        by = float(rng.choice([-1, 1]) * rng.uniform(14, 24))
        out[k] = replace(out[k], breath_mm=(by * 0.4, by))
        planted.append(planted_trap(Trap.BREATHING_OFFSET, k + 1, front_to_feet_mm=round(by, 2)))
    if Trap.MISSING_STATION in traps:
        k = int(rng.integers(0, n))
        planted.append(planted_trap(Trap.MISSING_STATION, out.pop(k).number))
    return out, planted


def _breathing_stations(placings: list[Placing], breathing: Breathing) -> NDArray[np.intp]:
    """Stations after the first whose overlap with a neighbour breathing moves."""
    seams = np.array(
        [(a.span_mm[1] + b.span_mm[0]) / 2 for a, b in pairwise(placings)] + [breathing.bottom_mm]
    )
    moved = breathing.share(seams) >= SEEN_SHARE
    return 1 + np.flatnonzero(moved[:-1] | moved[1:])


def duplicate(placing: Placing, rng: np.random.Generator) -> tuple[Placing, PlantedTrap]:
    """A first try at a station, spoilt by movement, which is measured again afterwards."""
    move = rng.choice([-1, 1], 3) * rng.uniform([6, 2, 4], [16, 6, 14])
    x, y, z = (move + placing.moved_mm).tolist()
    first = replace(placing, moved_mm=(x, y, z), gain=placing.gain * float(rng.uniform(0.8, 1.25)))
    moved = " ".join(f"{v:.1f}" for v in move)
    return first, planted_trap(
        Trap.DUPLICATE_STATION, placing.number, good="the later series", moved_mm=moved
    )


def swap(
    pictures: dict[Contrast, Float32], station: int, rng: np.random.Generator
) -> tuple[dict[Contrast, Float32], PlantedTrap]:
    """Fat and water change places: in the whole station, or from some slice on to one of its ends."""
    n = len(pictures["W"])
    a, b = 0, n
    if rng.random() < 0.35:
        cut = int(rng.uniform(0.3, 0.7) * n)
        a, b = (0, cut) if rng.random() < 0.5 else (cut, n)
    water, fat = pictures["W"].copy(), pictures["F"].copy()
    water[a:b], fat[a:b] = pictures["F"][a:b], pictures["W"][a:b]
    extent = "whole" if b - a == n else "part"
    planted = planted_trap(Trap.SWAP, station, extent=extent, first_slice=a, after_last_slice=b)
    return {**pictures, "W": water, "F": fat}, planted


def metal_void(volume: EchoVolume, spine: PosedSpine, hips: Float, rng: np.random.Generator) -> PlantedTrap:
    """An implant of the hip or spine: loses the signal around it and raises that of a rim, in place."""
    if rng.random() < 0.6:
        side = int(rng.integers(0, 2))
        where, name = hips[side] + rng.normal(0, 5, 3), "hip"
        radii = rng.uniform([26, 26, 45], [40, 38, 75])
    else:
        level = int(rng.integers(2, 16))
        where = spine.centres[level] + spine.frames[level] @ np.array([rng.normal(0, 8), 22.0, 0.0])
        name, radii = "spine", rng.uniform([18, 14, 18], [30, 24, 50])
    step, origin = np.array(volume.step_mm), np.array(volume.origin_mm)
    size = np.array(volume.echoes.shape[:0:-1])
    low = np.clip(np.floor((where - 1.6 * radii - origin) / step).astype(int), 0, size)
    high = np.clip(np.ceil((where + 1.6 * radii - origin) / step).astype(int) + 1, 0, size)
    axes = [(origin[k] + np.arange(low[k], high[k]) * step[k] - where[k]) / radii[k] for k in range(3)]
    x, y, z = axes[0][None, None, :], axes[1][None, :, None], axes[2][:, None, None]
    r = np.sqrt(x**2 + y**2 + z**2) * (1 + 0.12 * np.cos(3 * np.arctan2(y, x)))
    keep = 1 / (1 + np.exp(-(r - 0.9) / 0.07)) + 0.7 * np.exp(-(((r - 1.12) / 0.1) ** 2))
    block = volume.echoes[:, low[2] : high[2], low[1] : high[1], low[0] : high[0]]
    block *= keep.astype(np.float32)
    x_mm, z_mm, half_mm = (round(float(v), 1) for v in (where[0], where[2], radii[2]))
    return planted_trap(Trap.SIGNAL_VOID, 0, where=name, x_mm=x_mm, z_mm=z_mm, half_length_mm=half_mm)
