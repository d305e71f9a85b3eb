"""Soft parts carried along with a spine, and clouds projected."""

import numpy as np
import pytest

from spinelift.geometry import PixelGrid, Spacing
from spinelift.simulate.body.prior import N_LEVELS
from spinelift.simulate.body.spine import frames_along
from spinelift.simulate.ct.tube import back_levels, splat, tube_of, warp_project


def test_levels_fold_back_below_the_end():
    t = np.array([3.0, 13.35, 13.85, 14.2, 15.05])
    assert back_levels(t, 13.35, 12.5) == pytest.approx([3.0, 13.35, 12.85, 12.5, 13.35])


def straight() -> np.ndarray:
    return np.stack([np.zeros(N_LEVELS), np.zeros(N_LEVELS), np.arange(N_LEVELS) * 30.0], 1)


def test_identity_warp_keeps_a_box_where_it_is():
    soft = np.zeros((130, 30, 40, 3), np.float32)
    soft[40:60, 10:20, 25:35, 1] = 1.0  # left of the spine, 40 mm thick
    tube = tube_of(straight() + np.array([80, 60, 10]), frames_along(straight(), np.zeros(N_LEVELS)))
    view = PixelGrid((0.0, 0.0), Spacing(5.0, 4.0), (100, 40))
    maps = warp_project(
        soft, (4.0, 4.0, 4.0), np.zeros(3), tube, tube, np.ones(len(tube.pitch)), view, (-20.0, 140.0),
        last=16.0, first=15.0,
    )  # fmt: skip
    assert maps[1, 38, 29] == pytest.approx(4.0, abs=0.3)
    row, col = (np.average(np.arange(n), weights=maps[1].sum(1 - k)) for k, n in enumerate((100, 40)))
    assert row * 5.0 == pytest.approx(49.5 * 4, abs=1.5)
    assert col * 4.0 == pytest.approx(29.5 * 4, abs=1.0)


def test_splat_conserves_mass_and_place():
    view = PixelGrid((5.0, 10.0), Spacing(3.0, 2.0), (20, 30))
    maps = np.zeros((3, 20, 30))
    splat(maps, np.array([[25.0, 0, 40.0]], np.float32), np.array([[1.0, 2.0, 0.0]], np.float32), view)
    assert maps.sum((1, 2)) * 0.06 == pytest.approx([1, 2, 0], abs=1e-6)
    assert np.unravel_index(maps[0].argmax(), (20, 30)) == (10, 10)
