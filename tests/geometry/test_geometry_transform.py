"""Rigid movements of the plane: signs, zero, tiny angles, inverse, composition, pixels."""

import numpy as np
import pytest
from scipy import ndimage

from spinelift.geometry import PixelGrid, RigidTransform2D, Spacing

POINTS = np.array([[0.0, 0.0], [120.0, -40.0], [-35.0, 410.0]])
DXA_GRID = PixelGrid((10.0, -5.0), Spacing(2.2, 1.7), (60, 50))
MRI_GRID = PixelGrid((-30.0, 12.0), Spacing(2.0, 2.0), (64, 56))


def test_positive_turns_the_feet_to_the_left_and_shift_follows():
    turned = RigidTransform2D(90.0, (0.0, 0.0), "mri", "dxa").apply(np.array([[0.0, 1.0], [1.0, 0.0]]))
    np.testing.assert_allclose(turned, [[1, 0], [0, -1]], atol=1e-15)
    shifted = RigidTransform2D(0.0, (3.0, -7.0), "mri", "dxa").apply(POINTS)
    np.testing.assert_array_equal(shifted, POINTS + np.array([3.0, -7.0]))


@pytest.mark.parametrize("angle", [0.0, 1e-12, -1e-7, 0.22, -4.0, 179.0])
def test_inverse_and_composition(angle):
    one = RigidTransform2D(angle, (31.5, -812.25), "mri", "dxa")
    back = one.inverse()
    assert (back.source, back.target) == ("dxa", "mri")
    np.testing.assert_allclose(back.apply(one.apply(POINTS)), POINTS, atol=1e-10)
    again = one.then(back)
    assert again.rotation_deg == 0.0
    np.testing.assert_allclose(again.shift_mm, 0.0, atol=1e-10)
    two = RigidTransform2D(2.5, (-4.0, 9.0), "dxa", "crop")
    np.testing.assert_allclose(one.then(two).apply(POINTS), two.apply(one.apply(POINTS)), atol=1e-10)


def test_zero_is_exact_and_names_must_join():
    same = RigidTransform2D.identity("mri", "dxa")
    np.testing.assert_array_equal(same.apply(POINTS), POINTS)
    assert same.inverse().inverse() == same
    with pytest.raises(ValueError, match="do not join"):
        same.then(same)
    with pytest.raises(ValueError, match="finite"):
        RigidTransform2D(float("nan"), (0.0, 0.0), "mri", "dxa")


def test_about_keeps_the_centre():
    centre = np.array([40.0, -20.0])
    moved = RigidTransform2D.about(centre, 3.0, np.array([1.0, 2.0]), source="a", target="b")
    np.testing.assert_allclose(moved.apply(centre), centre + np.array([1.0, 2.0]), atol=1e-12)


@pytest.mark.parametrize("angle", [0.0, 0.01, -2.0])
def test_a_map_of_pixels_is_the_transform_between_two_grids(angle):
    transform = RigidTransform2D(angle, (45.0, -12.0), "mri", "dxa")
    matrix, offset = transform.to_pixels(MRI_GRID, DXA_GRID)
    rowcol = np.array([[0.0, 0.0], [10.0, 3.5], [63.0, 55.0]])
    wanted = DXA_GRID.to_pixels(transform.apply(MRI_GRID.to_mm(rowcol)))
    np.testing.assert_allclose(rowcol @ matrix.T + offset, wanted, atol=1e-10)


def test_a_spot_lands_where_it_should():
    spot = np.zeros(MRI_GRID.shape)
    spot[20, 41] = 1.0
    transform = RigidTransform2D(4.0, (10.0, -8.0), "mri", "dxa")
    matrix, offset = transform.inverse().to_pixels(DXA_GRID, MRI_GRID)
    moved = ndimage.affine_transform(ndimage.gaussian_filter(spot, 2.0), matrix, offset, DXA_GRID.shape)
    place = np.array(ndimage.center_of_mass(moved))
    wanted = DXA_GRID.to_pixels(transform.apply(MRI_GRID.to_mm(np.array([20.0, 41.0]))))
    np.testing.assert_allclose(place, wanted, atol=0.05)
