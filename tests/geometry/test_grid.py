"""The one rule for pixels: an integer index is the centre of its pixel."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spinelift.geometry import PixelGrid, Spacing

GRID = PixelGrid((10.0, -5.0), Spacing(2.2, 1.7), (60, 50))
sizes, places = st.floats(0.2, 10), st.floats(-2000, 2000)
grids = st.builds(
    PixelGrid,
    st.tuples(places, places),
    st.builds(Spacing, sizes, sizes),
    st.tuples(st.integers(1, 900), st.integers(1, 900)),
)


def test_corners_centre_axes_and_extent():
    np.testing.assert_allclose(GRID.corners_mm[[0, -1]], [[10, -5], [10 + 49 * 1.7, -5 + 59 * 2.2]])
    np.testing.assert_allclose(GRID.centre_mm, GRID.corners_mm.mean(0))
    np.testing.assert_allclose(GRID.extent_mm, [10 - 0.85, 10 + 49.5 * 1.7, -5 - 1.1, -5 + 59.5 * 2.2])
    np.testing.assert_allclose(GRID.x_mm[[0, 1, -1]], [10.0, 11.7, 10 + 49 * 1.7])
    np.testing.assert_allclose(GRID.z_mm[[0, 1, -1]], [-5.0, -2.8, -5 + 59 * 2.2])


@given(grids, st.tuples(places, places))
def test_there_and_back(grid, place):
    np.testing.assert_allclose(grid.to_pixels(grid.to_mm(place)), place, atol=1e-8)
    np.testing.assert_allclose(grid.to_mm([0, 0]), grid.origin_mm)
    np.testing.assert_allclose(
        grid.to_mm([[2, 3]])[0],
        [grid.x_mm[0] + 3 * grid.spacing.col_mm, grid.z_mm[0] + 2 * grid.spacing.row_mm],
    )


@given(st.tuples(places, places), st.floats(0.5, 5), st.tuples(st.integers(1, 300), st.integers(1, 300)))
def test_a_square_grid_has_its_centre(centre, pixel, shape):
    grid = PixelGrid.square(centre, pixel, shape)
    np.testing.assert_allclose(grid.centre_mm, centre, atol=1e-8)
    assert (grid.shape, grid.spacing) == (shape, Spacing(pixel, pixel))


@given(st.lists(st.tuples(places, places), min_size=1, max_size=6), st.floats(0.5, 20), st.floats(0, 30))
def test_a_covering_grid_covers_and_no_more(points, pixel, margin):
    xz = np.array(points)
    grid = PixelGrid.covering(xz, pixel, margin_mm=margin)
    low, high = grid.corners_mm[0], grid.corners_mm[-1]
    assert (low <= xz.min(0) - margin + 1e-5).all()
    assert (high >= xz.max(0) + margin - 1e-5).all()
    assert (high - low < np.ptp(xz, axis=0) + 2 * margin + pixel + 1e-5).all()
    np.testing.assert_allclose(grid.centre_mm, (xz.min(0) + xz.max(0)) / 2, atol=1e-6)
