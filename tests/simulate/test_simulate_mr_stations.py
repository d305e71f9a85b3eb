"""Stations and traps of a simulated Dixon examination."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from spinelift.io.dixon.volume import Trap
from spinelift.simulate.archive.series import PIXEL_MM, STATION_PLANS
from spinelift.simulate.body.body import Body, sample_body
from spinelift.simulate.body.posture import repose, sample_posture
from spinelift.simulate.body.prior import ShapePrior
from spinelift.simulate.identity import person_rng
from spinelift.simulate.mr.dixon import TOP_MM, SimulatedDixon, simulate_dixon, table_shift
from spinelift.simulate.mr.echoes import EchoVolume, echo_volume, field_grid
from spinelift.simulate.mr.stations import LENGTH_MM, Breathing, measure, place_stations
from spinelift.simulate.mr.traps import PLANTED, metal_void, plant_in_placing, sample_traps, swap

STILL = Breathing(0.0, -500.0, 500.0)


@pytest.fixture(scope="module")
def body() -> Body:
    lying = sample_body(ShapePrior.load(), person_rng(3, 1))
    posture = sample_posture(np.random.default_rng(4), bent_share=0.0)
    return repose(lying, replace(posture, shift_mm=posture.shift_mm * 0.3 + table_shift(lying)))


@pytest.fixture(scope="module")
def examination(body: Body) -> SimulatedDixon:
    traps = (Trap.DUPLICATE_STATION, Trap.UNEQUAL_LENGTHS, Trap.SWAP)
    return simulate_dixon(body, np.random.default_rng(0), traps)


def ramp() -> EchoVolume:
    """Signal that grows along x, y and z at known rates."""
    z, y, x = np.indices((120, 184, 224)).astype(np.float32)
    echo = 0.1 + 1e-4 * x + 2e-4 * y + 3e-4 * z
    origin = (-111.5 * PIXEL_MM, -91.5 * PIXEL_MM, -20.0)
    return EchoVolume(np.stack([echo, 0.5 * echo]), origin, (PIXEL_MM, PIXEL_MM, 2.0))


def test_stations_have_the_sizes_and_overlaps_of_the_real_ones() -> None:
    placings = place_stations(TOP_MM, np.random.default_rng(1))
    assert tuple(p.plan for p in placings) == STATION_PLANS
    assert placings[0].span_mm[0] == pytest.approx(TOP_MM)
    overlaps = [a.span_mm[1] - b.span_mm[0] for a, b in itertools.pairwise(placings)]
    assert all(30 < v < 48 for v in overlaps)
    assert placings[-1].span_mm[1] - TOP_MM == pytest.approx(LENGTH_MM, abs=15)
    assert 1090 < LENGTH_MM < 1110
    assert len({round(p.origin_mm[1], 2) for p in placings}) > 1


def test_a_station_shows_what_lies_at_its_place() -> None:
    placing = place_stations(40.0, np.random.default_rng(2))[1]
    placing = replace(
        placing, origin_mm=(-111.5 * PIXEL_MM, -80 * PIXEL_MM, 10.0), moved_mm=(0, 0, 0), breath_mm=(0, 0)
    )
    rng = np.random.default_rng(0)
    here = measure(ramp(), placing, STILL, 0.0, rng)
    moved = replace(placing, moved_mm=(0.0, 0.0, 6.0))
    there = measure(ramp(), moved, STILL, 0.0, np.random.default_rng(0))
    k = 20
    # The same coil: 6 mm to the feet shows what lay 6 mm nearer to the head.
    ratio = there["in"][k, 60:90, 100] / here["in"][k, 60:90, 100]
    index = (np.arange(60, 90) * PIXEL_MM + placing.origin_mm[1] + 91.5 * PIXEL_MM) / PIXEL_MM
    value = 0.1 + 1e-4 * 100 + 2e-4 * index + 3e-4 * (10.0 + k * 4.5 + 20.0) / 2.0
    np.testing.assert_allclose(ratio, (value - 3e-4 * 3.0) / value, rtol=2e-4)
    np.testing.assert_allclose(here["W"], 1.5 * here["F"] * 2, rtol=1e-4)
    np.testing.assert_allclose(here["in"], here["W"] + here["F"], rtol=1e-4)
    np.testing.assert_allclose(here["opp"], np.abs(here["W"] - here["F"]), rtol=1e-4)


def test_series_are_named_numbered_and_stored_as_the_scanner_does(examination: SimulatedDixon) -> None:
    series = examination.series
    assert len(series) == 4 * 7
    numbers = [s.series_number for s in series]
    assert numbers == sorted(set(numbers))
    assert {s.description for s in series} == {
        f"Dixon_{hold}_{c}" for hold in ("noBH", "BH_17s") for c in ("in", "opp", "F", "W")
    }
    for s in series:
        assert s.volume.dtype == np.uint16
        assert s.volume.max() < 4096
        assert s.volume.shape[2] == 224
    assert -series[0].origin_mm[2] == pytest.approx(TOP_MM + 1.5)


def test_traps_are_in_the_series_and_in_the_record(examination: SimulatedDixon) -> None:
    by_trap = {p.trap: p for p in examination.planted}
    assert set(by_trap) == {Trap.DUPLICATE_STATION, Trap.UNEQUAL_LENGTHS, Trap.SWAP}
    short = by_trap[Trap.UNEQUAL_LENGTHS]
    lengths = {
        len(s.volume) for s in examination.series if _station(s.origin_mm[2], examination) == short.station
    }
    assert len(lengths) == 2
    repeated = by_trap[Trap.DUPLICATE_STATION].station
    count = sum(_station(s.origin_mm[2], examination) == repeated for s in examination.series)
    assert count == 8


def _station(z_mm: float, examination: SimulatedDixon) -> int:
    return next(p.number for p in examination.placings if abs(p.origin_mm[2] + z_mm) < 0.01)


def test_the_same_generator_gives_the_same_scan(body: Body) -> None:
    grid = field_grid(-80.0, 160.0)
    a, b = (echo_volume(body, grid, np.random.default_rng(7)).echoes for _ in range(2))
    np.testing.assert_array_equal(a, b)


def test_discs_and_marrow_of_the_spine_differ_and_fat_is_at_the_skin(body: Body) -> None:
    volume = echo_volume(body, field_grid(TOP_MM, 560.0), np.random.default_rng(0))
    first, second = volume.echoes
    water = np.abs(first + second) / 2

    def at(points: np.ndarray) -> np.ndarray:
        k = np.rint((points - volume.origin_mm) / volume.step_mm).astype(int)
        return water[k[:, 2], k[:, 1], k[:, 0]]

    spine = body.spine
    down = spine.frames[:, :, 2] * spine.size[:, 2, None] / 2
    discs = (spine.centres[:-1] + down[:-1] + spine.centres[1:] - down[1:]) / 2
    assert np.median(at(discs)) > 1.3 * np.median(at(spine.centres))
    assert (at(spine.centres) > 0).all()


def test_a_swap_exchanges_fat_and_water_alone() -> None:
    rng = np.random.default_rng(0)
    pictures = {c: rng.random((10, 4, 5), np.float32) for c in ("in", "opp", "F", "W")}
    for seed in range(6):
        out, planted = swap(pictures, 3, np.random.default_rng(seed))  # type: ignore[arg-type]
        part = slice(*(int(planted.detail[k]) for k in ("first_slice", "after_last_slice")))
        np.testing.assert_array_equal(out["W"][part], pictures["F"][part])
        np.testing.assert_array_equal(out["in"], pictures["in"])
        assert (planted.detail["extent"] == "whole") == (part == slice(0, 10))


def test_metal_takes_the_signal_away(body: Body) -> None:
    volume = ramp()
    volume = replace(volume, origin_mm=(-250.0, -205.0, float(body.joints.hip[0, 2]) - 120.0))
    before = volume.echoes.copy()
    planted = next(
        p
        for seed in range(20)
        if (p := metal_void(volume, body.spine, body.joints.hip, np.random.default_rng(seed))).detail["where"]
        == "hip"
    )
    assert planted.trap is Trap.SIGNAL_VOID
    assert (volume.echoes < 0.05 * before).sum() > 1000
    assert (volume.echoes > 1.2 * before).any()


def test_gaps_steps_and_missing_stations() -> None:
    rng = np.random.default_rng(3)
    placings = place_stations(TOP_MM, rng)
    out, planted = plant_in_placing(placings, (Trap.GAP,), STILL, rng)
    k = planted[0].station
    assert out[k].span_mm[0] - out[k - 1].span_mm[1] == pytest.approx(planted[0].detail["gap_mm"], abs=0.01)
    out, planted = plant_in_placing(placings, (Trap.MISSING_STATION,), STILL, rng)
    assert planted[0].station not in {p.number for p in out}
    assert len(out) == 5
    out, planted = plant_in_placing(
        placings, (Trap.END_SLICES, Trap.INTENSITY_STEP, Trap.BREATHING_OFFSET), STILL, rng
    )
    assert {p.trap for p in planted} == {Trap.END_SLICES, Trap.INTENSITY_STEP, Trap.BREATHING_OFFSET}
    assert all(2 <= v <= 4 for p in out if p.dark_ends != (0, 0) for v in p.dark_ends)


def test_breaths_are_planted_where_two_stations_show_them() -> None:
    placings = place_stations(TOP_MM, np.random.default_rng(3))
    seams = [(a.span_mm[1] + b.span_mm[0]) / 2 for a, b in itertools.pairwise(placings)]
    low = Breathing(0.0, seams[0] - 200, seams[1] + 30)  # fades away between the second seam and the third
    assert low.share(np.array(seams)) == pytest.approx([1, 30 / 80, 0, 0, 0], abs=0.01)
    rngs = (np.random.default_rng(k) for k in range(30))
    where = {plant_in_placing(placings, (Trap.BREATHING_OFFSET,), low, r)[1][0].station for r in rngs}
    assert where == {2}
    short = Breathing(0.0, seams[0] + 10, seams[1] - 10)  # no seam shows it
    assert plant_in_placing(placings, (Trap.BREATHING_OFFSET,), short, np.random.default_rng(0))[1] == []
    wide = Breathing(0.0, seams[0] - 200, seams[2] + 200)
    rngs = (np.random.default_rng(k) for k in range(30))
    where = {plant_in_placing(placings, (Trap.BREATHING_OFFSET,), wide, r)[1][0].station for r in rngs}
    assert where == {2, 3, 4}


def test_traps_come_in_the_share_asked_for() -> None:
    many = [sample_traps(0.3, np.random.default_rng(k)) for k in range(500)]
    assert np.mean([bool(t) for t in many]) == pytest.approx(0.3, abs=0.06)
    assert {t for traps in many for t in traps} == set(PLANTED)
    assert sample_traps(0.0, np.random.default_rng(0)) == ()
