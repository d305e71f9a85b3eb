"""Painting closed meshes into labels; signals of tissues."""

import numpy as np
import pytest

from spinelift.simulate.body.physique import Physique
from spinelift.simulate.body.solids import ellipsoid, loft
from spinelift.simulate.mr.tissue import MrTissue, sample_signals, steady_state
from spinelift.simulate.mr.voxels import Grid, paint

GRID = Grid((40, 50, 60), (-49.0, -59.0, -39.0), (2.0, 2.0, 2.0))


def centres() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    z, x, y = np.indices(GRID.shape)
    return tuple(GRID.origin[k] + GRID.step[k] * a for k, a in enumerate((x, y, z)))  # type: ignore[return-value]


def test_an_ellipsoid_is_where_it_should_be() -> None:
    labels = GRID.empty()
    at, radii = np.array([8.0, -13.0, 5.0]), np.array([20.0, 30.0, 14.0])
    paint(labels, GRID, *ellipsoid(at, radii, rings=41, segments=64), 7)
    x, y, z = centres()
    inside = ((x - at[0]) / radii[0]) ** 2 + ((y - at[1]) / radii[1]) ** 2 + ((z - at[2]) / radii[2]) ** 2 < 1
    assert ((labels == 7) == inside).mean() > 0.997
    assert (labels == 7).sum() * 8 == pytest.approx(4 / 3 * np.pi * radii.prod(), rel=0.02)
    np.testing.assert_allclose([a[labels == 7].mean() for a in (x, y, z)], at, atol=0.15)


def test_later_solids_win_and_edges_are_clipped() -> None:
    labels = GRID.empty()
    paint(labels, GRID, *ellipsoid(np.zeros(3), np.full(3, 500.0), rings=21, segments=32), 1)
    assert (labels == 1).all()
    paint(labels, GRID, *ellipsoid(np.array([48.0, 58.0, 38.0]), np.full(3, 10.0)), 2)
    assert labels[-1, -1, -1] == 2
    assert labels[0, 0, 0] == 1
    before = labels.copy()
    paint(labels, GRID, *ellipsoid(np.array([500.0, 0.0, 0.0]), np.full(3, 10.0)), 3)
    np.testing.assert_array_equal(labels, before)


def test_a_box_covers_exactly_the_voxel_centres_within() -> None:
    labels = GRID.empty()
    ring = np.array([[0.0, 0.0, -9.5], [0.0, 0.0, 10.5]])
    paint(labels, GRID, *loft(ring, np.full((2, 2), 14.5), segments=4, exponent=2.0), 1)
    x, y, z = centres()
    inside = (np.abs(x) + np.abs(y) < 14.5) & (z > -9.5) & (z < 10.5)
    np.testing.assert_array_equal(labels == 1, inside)


def test_a_cracked_mesh_does_not_leak() -> None:
    points, faces = ellipsoid(np.zeros(3), np.full(3, 25.0))
    labels = GRID.empty()
    paint(labels, GRID, points, np.delete(faces, 60, axis=0), 1)
    x, y, z = centres()
    assert not labels[np.sqrt(x**2 + y**2 + z**2) > 26].any()


def test_signals_order_as_on_t1_weighted_dixon() -> None:
    assert steady_state(343.0) > steady_state(856.0) > steady_state(4000.0)
    signals = sample_signals(Physique(True, 60.0, 1650.0, 26.0, 0.0), np.random.default_rng(0))
    share = np.clip(signals.spread[:, 0], 0, 1)
    first, second = (signals.water[:, k] * (1 - share) + signals.fat[:, k] * share for k in (0, 1))
    water, fat = np.abs(first + second) / 2, np.abs(first - second) / 2
    t = MrTissue
    assert fat[t.FAT] > fat[t.LIMB_MARROW] > fat[t.SPINE_MARROW] > fat[t.NUCLEUS]
    assert water[t.LIVER] > water[t.MUSCLE] > water[t.SPINE_MARROW] > water[t.FAT]
    assert water[t.NUCLEUS] > water[t.SPINE_MARROW]
    assert water[t.CORD] > water[t.FLUID]
    assert water[t.AIR] == fat[t.AIR] == 0
    assert max(water[t.LUNG], water[t.CORTEX]) < 0.2 * water[t.MUSCLE]
