import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spinelift.geometry import Spacing
from spinelift.geometry.canonical import CANONICAL_MM, CANONICAL_SHAPE, CanonicalGrid

grids = st.builds(
    CanonicalGrid,
    st.builds(Spacing, st.floats(0.3, 5), st.floats(0.3, 5)),
    st.tuples(st.integers(50, 1200), st.integers(50, 500)),
)


@settings(deadline=None)
@given(grids, st.tuples(st.floats(-50, 900), st.floats(-50, 400)))
def test_places_come_back_exactly(grid, rowcol):
    point = np.array(rowcol)
    np.testing.assert_allclose(grid.canvas.to_pixels(grid.canvas.to_mm(point)), point, atol=1e-9)


@settings(deadline=None)
@given(grids)
def test_the_centres_of_scan_and_canvas_meet(grid):
    centre = grid.canvas.to_pixels(grid.scan.centre_mm)
    np.testing.assert_allclose(centre, [(832 - 1) / 2, (320 - 1) / 2], atol=1e-9)


def test_a_step_of_one_pixel_is_its_size_and_axes_keep_their_order():
    grid = CanonicalGrid(Spacing(2.427, 2.419), (791, 272))
    origin, down, left = grid.canvas.to_mm(np.array([[0.0, 0], [1, 0], [0, 1]]))
    np.testing.assert_allclose(down - origin, [0, CANONICAL_MM])
    np.testing.assert_allclose(left - origin, [CANONICAL_MM, 0])


@pytest.mark.parametrize(
    "spacing", [Spacing(2.4, 2.4), Spacing(2.427, 2.419), Spacing(0.9, 1.3), Spacing(4, 3)]
)
def test_a_ramp_is_resampled_to_where_it_belongs(spacing):
    shape = (round(1900 / spacing.row_mm), round(600 / spacing.col_mm))
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    image = 0.05 * rows * spacing.row_mm + 0.11 * cols * spacing.col_mm
    grid = CanonicalGrid(spacing, shape)
    out = grid.resample(image)
    assert out.shape == CANONICAL_SHAPE
    for place in ([100, 120], [416, 160], [700, 230]):
        x, z = grid.canvas.to_mm(np.array(place, float))
        assert out[place[0], place[1]] == pytest.approx(0.05 * z + 0.11 * x, abs=1e-2)


def test_outside_the_scan_is_zero_and_covered_says_where():
    grid = CanonicalGrid(Spacing(2.427, 2.419), (400, 100))
    out = grid.resample(np.full((400, 100), 7.0))
    rows, cols = grid.covered
    assert np.abs(out[rows, cols] - 7).max() < 1e-5
    outside = np.ones(CANONICAL_SHAPE, bool)
    outside[rows, cols] = False
    assert out[outside].max() == 0
    assert (rows.stop - rows.start) == pytest.approx(400 * 2.427 / 2.4, abs=1)


def test_a_larger_scan_is_cropped_about_its_centre():
    grid = CanonicalGrid(Spacing(2.4, 2.4), (1000, 400))
    image = np.zeros((1000, 400))
    image[500, 150] = 200
    row, col = np.unravel_index(grid.resample(image).argmax(), CANONICAL_SHAPE)
    assert (row, col) == (500 - 84, 150 - 40)
    assert grid.covered == (slice(0, 832), slice(0, 320))


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match="its grid"):
        CanonicalGrid(Spacing(1, 1), (10, 20)).resample(np.zeros((20, 10)))
