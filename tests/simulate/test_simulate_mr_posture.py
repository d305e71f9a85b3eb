"""Posture: the same person elsewhere; the truth of a pair."""

import numpy as np
import pytest

from spinelift.geometry import RigidTransform2D
from spinelift.simulate.body.body import Body, sample_body
from spinelift.simulate.body.posture import (
    BENT_SHARE,
    MAX_SHIFT_MM,
    MAX_TILT_DEG,
    Posture,
    repose,
    sample_posture,
    turn,
)
from spinelift.simulate.body.prior import N_STEPS, ShapePrior
from spinelift.simulate.cohort import column_of, corners, fit_movement, overlap
from spinelift.simulate.identity import person_rng

STILL = Posture(np.zeros(N_STEPS), np.zeros(N_STEPS), 0.0, np.zeros(3))


@pytest.fixture(scope="module")
def body() -> Body:
    return sample_body(ShapePrior.load(), person_rng(3, 0))


def test_no_change_of_posture_changes_nothing(body: Body) -> None:
    same = repose(body, STILL)
    np.testing.assert_allclose(same.spine.centres, body.spine.centres, atol=1e-9)
    np.testing.assert_allclose(same.spine.frames, body.spine.frames, atol=1e-9)
    for a, b in zip(same.solids, body.solids, strict=True):
        np.testing.assert_allclose(a.points, b.points, atol=1e-6)


def test_a_rigid_change_is_rigid_and_turns_the_feet_to_the_left(body: Body) -> None:
    moved = repose(body, Posture(np.zeros(N_STEPS), np.zeros(N_STEPS), 3.0, np.array([10.0, -5.0, 7.0])))
    feet_left, middle = turn(3.0, 0), body.spine.centres.mean(0)
    for a, b in zip(moved.solids, body.solids, strict=True):
        wanted = (b.points - middle) @ feet_left.T + middle + [10.0, -5.0, 7.0]
        np.testing.assert_allclose(a.points, wanted, atol=1e-6)
    step, old = (s.centres[-1] - s.centres[0] for s in (moved.spine, body.spine))
    turned = np.arctan2(step[0], step[2]) - np.arctan2(old[0], old[2])
    assert np.degrees(turned) == pytest.approx(3.0)


def test_bending_keeps_the_person(body: Body) -> None:
    bend = 6 * np.cos(np.pi * (np.arange(N_STEPS) + 0.5) / N_STEPS)
    bent = repose(body, Posture(bend, 0.5 * bend, 0.0, np.zeros(3)))
    np.testing.assert_array_equal(bent.spine.size, body.spine.size)
    lengths = [np.linalg.norm(np.diff(b.spine.centres, axis=0), axis=1) for b in (bent, body)]
    np.testing.assert_allclose(*lengths, rtol=1e-9)
    for a, b in zip(bent.solids, body.solids, strict=True):
        assert (a.name, a.tissue, a.displaces, a.density) == (b.name, b.tissue, b.displaces, b.density)
        assert a.faces is b.faces
        if b.name.startswith("vertebra_"):
            sides = [np.linalg.norm(x.points - x.points[0], axis=1) for x in (a, b)]
            np.testing.assert_allclose(*sides, atol=1e-6)
            k = int(b.name.split("_")[1])
            own = [(x.points - y.spine.centres[k]) @ y.spine.frames[k] for x, y in ((a, bent), (b, body))]
            np.testing.assert_allclose(*own, atol=1e-6)
    frames = bent.spine.frames
    square = np.einsum("nij,nik->njk", frames, frames)
    np.testing.assert_allclose(square, np.eye(3)[None].repeat(17, 0), atol=1e-9)


def test_postures_keep_their_limits_and_some_are_bent() -> None:
    postures = [sample_posture(np.random.default_rng(k)) for k in range(400)]
    assert max(abs(p.tilt_deg) for p in postures) <= MAX_TILT_DEG
    assert max(np.abs(p.shift_mm).max() for p in postures) <= MAX_SHIFT_MM
    assert max(abs(float(p.bend_deg.mean())) for p in postures) < 1e-9
    bent = np.mean([p.bend_deg.std() > 4.9 for p in postures])
    assert bent == pytest.approx(BENT_SHARE, abs=0.07)
    again = sample_posture(np.random.default_rng(5))
    np.testing.assert_array_equal(again.bend_deg, postures[5].bend_deg)


@pytest.mark.parametrize("degrees", [-4.0, -1e-3, 0.0, 1e-3, 2.5])
def test_rigid_truth_is_recovered_exactly(degrees: float) -> None:
    truth = RigidTransform2D(degrees, (12.0, -30.0), "mri", "dxa")
    points = np.random.default_rng(0).normal(0, 80, (40, 2))
    found = RigidTransform2D.fit(points, truth.apply(points), source="mri", target="dxa")
    assert found.rotation_deg == pytest.approx(degrees, abs=1e-9)
    assert found.shift_mm == pytest.approx((12.0, -30.0))
    np.testing.assert_allclose(truth.inverse().apply(truth.apply(points)), points)


def test_movement_of_a_rigid_pair(body: Body) -> None:
    moved = repose(body, Posture(np.zeros(N_STEPS), np.zeros(N_STEPS), 3.0, np.array([25.0, 0.0, -40.0])))
    movement = fit_movement(body.spine, moved.spine)
    assert movement.rotation_deg == pytest.approx(-3.0, abs=1e-3)
    assert movement.residual_max_mm < 0.01
    assert movement.iou > 0.97
    np.testing.assert_allclose(movement.transform.apply(corners(moved.spine)), corners(body.spine), atol=0.05)
    still = RigidTransform2D.identity("mri", "dxa")
    assert overlap(column_of(body.spine), column_of(moved.spine), still) < 0.5


def test_a_bent_pair_cannot_be_aligned(body: Body) -> None:
    bend = 14 * np.cos(2 * np.pi * (np.arange(N_STEPS) + 0.5) / N_STEPS)
    bent = repose(body, Posture(bend, np.zeros(N_STEPS), 0.0, np.zeros(3)))
    movement = fit_movement(body.spine, bent.spine)
    assert movement.residual_mean_mm > 5
    assert movement.iou < 0.75
