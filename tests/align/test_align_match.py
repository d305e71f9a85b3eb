"""Misfit of two columns: a rigid transform costs nothing, another shape or height does."""

import numpy as np
import pytest
from align_cases import column_pair, truth_of
from hypothesis import given, settings
from hypothesis import strategies as st

from spinelift.align.match import HEIGHT_MM, POINTS, SHAPE_MM, CentreLines, centre_line, misfit
from spinelift.align.plane import PlaneMask
from spinelift.errors import NoSpineError
from spinelift.geometry import PixelGrid, Spacing

T = np.linspace(0, 1, POINTS)


def lines(*x_mm, height_mm=450.0):
    return CentreLines(np.array(x_mm, np.float32), np.full(len(x_mm), float(height_mm)))


@given(st.floats(-3, 3), st.floats(-60, 60), st.floats(-200, 200))
@settings(max_examples=20)
def test_a_rigid_transform_leaves_the_misfit_small(degrees, x_mm, z_mm):
    masks = column_pair(truth_of(degrees, x_mm, z_mm))
    dxa, mri = (CentreLines(x[None], np.array([h])) for x, h in map(centre_line, masks))
    assert misfit(dxa, mri).item() < 1.0


@pytest.mark.parametrize(("change", "least"), [({"bend_mm": 20.0}, 3.0), ({"height_mm": 480.0}, 10.0)])
def test_another_column_has_a_large_misfit(change, least):
    masks = column_pair(truth_of(1.0, 20.0, 300.0), **change)
    dxa, mri = (CentreLines(x[None], np.array([h])) for x, h in map(centre_line, masks))
    assert misfit(dxa, mri).item() > least


def test_the_misfit_in_closed_form():
    wave = 8 * np.sin(4 * np.pi * T)
    assert misfit(lines(wave), lines(wave + 5 - 9 * T)) == pytest.approx(0.0, abs=1e-6)
    taller = misfit(lines(wave), lines(wave, height_mm=470.0)).item()
    assert taller == pytest.approx((20.0 / HEIGHT_MM) ** 2, abs=1e-6)
    shifted = misfit(lines(wave), lines(8 * np.sin(4 * np.pi * (T + 0.05)))).item()
    assert shifted == pytest.approx(0.0, abs=0.05)
    flat = misfit(lines(0 * T), lines(wave)).item()
    assert flat == pytest.approx(32.0 / SHAPE_MM**2, rel=0.1)  # mean square of a wave: half its amplitude²


def test_rows_and_columns_are_independent():
    rng = np.random.default_rng(0)
    x = rng.normal(0, 5, (5, POINTS)).cumsum(1).astype(np.float32)
    heights = rng.uniform(400, 500, 5)
    everybody = CentreLines(x, heights)
    whole = misfit(everybody, everybody)
    assert np.allclose(whole.diagonal(), 0, atol=1e-4)
    for i in range(5):
        for j in range(5):
            one = misfit(everybody.take([i]), everybody.take([j])).item()
            assert one == pytest.approx(whole[i, j], abs=1e-6)


def test_an_empty_mask_has_no_line():
    grid = PixelGrid((0.0, 0.0), Spacing(2.0, 2.0), (200, 80))
    with pytest.raises(NoSpineError):
        centre_line(PlaneMask(np.zeros(grid.shape, np.float32), grid))
