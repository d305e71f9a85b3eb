"""The one resampling: places, borders and aliasing, through every function that uses it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from spinelift.align.plane import DXA, MRI, PlaneMask, dxa_plane
from spinelift.geometry import PixelGrid, RigidTransform2D, Spacing, SpineFrame
from spinelift.geometry.canonical import CanonicalGrid
from spinelift.geometry.resample import _along_axes, resample

SPACING = Spacing(1.3, 0.9)
SHAPE = (640, 500)
SPOT_MM = np.array([231.7, 402.9])
FRAME = SpineFrame(SPACING, x0_mm=40.4, z0_mm=170.2, mm_per_px=2.1)
CANVAS = CanonicalGrid(SPACING, SHAPE)
USERS = {
    "crop": (FRAME.crop, FRAME.grid),
    "canvas": (CANVAS.resample, CANVAS.canvas),
    "mask": (
        lambda image: PlaneMask(image, CANVAS.scan).resample_to(FRAME.grid).values,
        FRAME.grid,
    ),
    "image": (lambda image: dxa_plane(image, SPACING).resample_to(FRAME.grid).pixels[0], FRAME.grid),
}


def spot(grid, place_mm, sd_mm=5.0):
    """A Gaussian spot, wider along z than along x."""
    x, z = grid.x_mm - place_mm[0], grid.z_mm - place_mm[1]
    image = np.exp(-0.5 * (x[None] / sd_mm) ** 2 - 0.5 * (z[:, None] / (1.6 * sd_mm)) ** 2)
    return image.astype(np.float32)


def centroid_mm(image, grid):
    return np.array([(image.sum(0) @ grid.x_mm), (image.sum(1) @ grid.z_mm)]) / image.sum()


@pytest.mark.parametrize("user", USERS)
def test_a_spot_lands_at_its_millimetres(user):
    function, grid = USERS[user]
    np.testing.assert_allclose(centroid_mm(function(spot(CANVAS.scan, SPOT_MM)), grid), SPOT_MM, atol=0.02)


@pytest.mark.parametrize("user", USERS)
def test_a_constant_image_keeps_its_value_up_to_its_edges(user):
    function, grid = USERS[user]
    out = function(np.full(SHAPE, 7.0, np.float32))
    x0, x1, z0, z1 = CANVAS.scan.extent_mm
    inside = ((grid.z_mm > z0) & (grid.z_mm < z1))[:, None] & ((grid.x_mm > x0) & (grid.x_mm < x1))[None]
    np.testing.assert_allclose(out[inside], 7.0, rtol=1e-6)
    if user != "image":  # whose border goes on, where it is not valid
        assert not out[~inside].any()


@settings(deadline=None, max_examples=40)
@given(
    st.builds(Spacing, st.floats(0.3, 6), st.floats(0.3, 6)),
    st.floats(0.5, 6),
    st.floats(-180, 180),
    st.tuples(st.floats(-20, 20), st.floats(-20, 20)),
)
def test_a_constant_image_stays_constant_under_any_transform(spacing, pixel_mm, angle, shift):
    source = PixelGrid((3.0, -8.0), spacing, (31, 23))
    move = RigidTransform2D.about(source.centre_mm, angle, np.array(shift), source=MRI, target=DXA)
    target = PixelGrid.covering(move.apply(source.corners_mm), pixel_mm, margin_mm=10)
    out = resample(np.full(source.shape, 7.0), source, target, move)
    centres = np.stack(np.meshgrid(target.x_mm, target.z_mm), -1)
    place = source.to_pixels(move.inverse().apply(centres))
    beyond = np.maximum(-0.5 - place, place - (np.array(source.shape) - 0.5)).max(-1)
    np.testing.assert_allclose(out[beyond < -1e-5], 7.0, rtol=1e-5)
    assert not out[beyond > 1e-5].any()


def test_half_a_pixel_is_the_mean_and_the_same_grid_a_copy():
    image = np.random.default_rng(0).uniform(0, 255, (40, 30)).astype(np.float32)
    grid = PixelGrid((5.0, 9.0), Spacing(2.0, 2.0), (40, 30))
    np.testing.assert_array_equal(resample(image, grid, grid), image)
    right = PixelGrid((6.0, 9.0), grid.spacing, (40, 29))
    np.testing.assert_allclose(resample(image, grid, right), (image[:, :-1] + image[:, 1:]) / 2, atol=1e-3)


def test_a_scan_of_half_the_pixel_size_gives_the_crop_of_its_block_means():
    rng = np.random.default_rng(1)
    coarse_grid = PixelGrid.of_scan(Spacing(2.0, 2.0), (260, 250))
    fine_grid = PixelGrid((-0.5, -0.5), Spacing(1.0, 1.0), (520, 500))
    waves = sum(
        np.sin(rng.uniform(20, 60) + fine_grid.x_mm / rng.uniform(8, 20))[None]
        * np.cos(rng.uniform(20, 60) + fine_grid.z_mm / rng.uniform(8, 20))[:, None]
        for _ in range(5)
    )
    fine = (128 + 20 * waves).astype(np.float32)
    coarse = fine.reshape(260, 2, 250, 2).mean((1, 3))
    target = PixelGrid((1.3, 0.4), Spacing(2.1, 2.1), (246, 236))
    a, b = resample(fine, fine_grid, target), resample(coarse, coarse_grid, target)
    assert np.abs(a - b).max() < 4.0  # of 255, at the border as inside
    assert abs(float((a - b)[:, :2].mean())) < 0.5


def test_stripes_finer_than_the_target_do_not_alias():
    grid = PixelGrid.of_scan(Spacing(0.5, 0.5), (400, 400))
    stripes = np.tile(np.array([0.0, 200.0]), (400, 200))
    out = resample(stripes, grid, PixelGrid((0.25, 0.25), Spacing(2.3, 2.3), (80, 80)))
    assert np.abs(out[:, 2:-2] - 100).max() < 1


def test_antialiasing_does_not_depend_on_the_rotation():
    grid = PixelGrid.square((0.0, 0.0), 1.0, (101, 101))
    image = np.zeros(grid.shape)
    image[50, 50] = 1.0
    target = PixelGrid.square((0.0, 0.0), 4.0, (25, 25))
    turned = [
        resample(image, grid, target, RigidTransform2D(a, (0.0, 0.0), MRI, DXA)).max() for a in (0, 45, 90)
    ]
    assert turned[1:] == pytest.approx([turned[0]] * 2, rel=1e-3)


def test_an_image_of_another_shape_is_refused():
    grid = PixelGrid.of_scan(SPACING, SHAPE)
    with pytest.raises(ValueError, match="its grid"):
        resample(np.zeros(SHAPE[::-1]), grid, grid)


@pytest.mark.parametrize("seed", range(8))
def test_the_fast_way_of_grids_with_common_axes_is_the_general_one(seed):
    """Mirrored, one pixel wide, beyond the image: to the last bit or nearly, so that results do not move."""
    rng = np.random.default_rng(seed)
    data = (rng.random((1 if seed == 0 else int(rng.integers(2, 90)), 40)) * 255).astype(np.float32)
    step, offset = rng.uniform(-2, 2, 2), rng.uniform(-20, 100, 2)
    wanted = ndimage.affine_transform(data, np.diag(step), offset, (70, 60), order=1, mode="nearest")
    got = _along_axes(data, step, offset, (70, 60))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, wanted, rtol=2e-7)
