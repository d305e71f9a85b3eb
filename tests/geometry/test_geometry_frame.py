import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinelift.geometry import (
    CROP_SIZE,
    FIRST_SPINE_ROW,
    SPINE_CROP_ROWS,
    SPINE_ROWS,
    PixelGrid,
    Spacing,
    SpineFrame,
    Vertebra,
)

sizes = st.floats(0.2, 10)
places = st.floats(-2000, 2000)
frames = st.builds(SpineFrame, st.builds(Spacing, sizes, sizes), places, places, sizes)
points = st.lists(st.tuples(places, places), min_size=1, max_size=5).map(np.array)


@given(frames, points)
def test_every_change_of_place_has_its_inverse(frame, rowcol):
    np.testing.assert_allclose(frame.grid.to_pixels(frame.grid.to_mm(rowcol)), rowcol, atol=1e-6)
    np.testing.assert_allclose(frame.grid.to_mm(frame.grid.to_pixels(rowcol)), rowcol, atol=1e-6)


@given(places, places, places, st.floats(50, 900), sizes, sizes)
def test_ends_lie_on_the_first_and_last_spine_row(x0, x1, z0, height, row_mm, col_mm):
    top, bottom = (x0, z0), (x1, z0 + height)
    frame = SpineFrame.from_ends(Spacing(row_mm, col_mm), top_xz_mm=top, bottom_xz_mm=bottom)
    crop = frame.grid.to_pixels([top, bottom])
    np.testing.assert_allclose(crop[:, 0], [7.5, 215.5], atol=1e-6)
    np.testing.assert_allclose(crop[:, 1].mean(), (CROP_SIZE - 1) / 2, atol=1e-6)
    np.testing.assert_allclose(frame.z_mm[[0, -1]], [z0, z0 + height], atol=1e-6)


def test_constants_of_the_crop():
    assert FIRST_SPINE_ROW == 7.5
    assert len(SPINE_CROP_ROWS) == SPINE_ROWS == 209
    assert SPINE_CROP_ROWS[-1] + FIRST_SPINE_ROW == CROP_SIZE - 1
    assert [v.name for v in Vertebra][:: len(Vertebra) - 1] == ["T1", "L5"]
    assert len(Vertebra) == 17


def test_upright_and_upside_down():
    with pytest.raises(ValueError, match="below"):
        SpineFrame.from_ends(Spacing(2, 2), top_xz_mm=(0, 100), bottom_xz_mm=(0, 100))
    with pytest.raises(ValueError, match="below"):
        SpineFrame.from_ends(Spacing(2, 2), top_xz_mm=(0, 500), bottom_xz_mm=(0, 100))


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_absurd_sizes_are_refused(bad):
    with pytest.raises(ValueError, match="positive"):
        Spacing(bad, 1.0)
    with pytest.raises(ValueError, match="positive"):
        Spacing(1.0, bad)
    with pytest.raises(ValueError, match="positive"):
        SpineFrame(Spacing(1, 1), 0, 0, bad)


def scan_to_crop(frame, rowcol):
    return frame.grid.to_pixels(PixelGrid.of_scan(frame.spacing, (1, 1)).to_mm(rowcol))


def centroid(image):
    rows, cols = np.indices(image.shape)
    return np.array([(image * rows).sum(), (image * cols).sum()]) / image.sum()


@pytest.mark.parametrize("spot", [(210, 100), (300, 140), (330, 61)])
@pytest.mark.parametrize("mm_per_px", [2.0, 2.427, 2.9])
def test_a_single_bright_pixel_lands_where_the_formula_says(spot, mm_per_px):
    """Non-square pixels; neither the spot nor the scan is symmetric in any way."""
    spacing = Spacing(2.427, 2.1)
    image = np.zeros((791, 272), np.uint8)
    image[spot] = 250
    frame = SpineFrame(spacing, x0_mm=-37.3, z0_mm=401.7, mm_per_px=mm_per_px)
    expected = scan_to_crop(frame, spot)
    crop = frame.crop(image)
    assert crop.shape == (224, 224)
    np.testing.assert_allclose(centroid(crop), expected, atol=0.5)
    mass = crop.sum() * mm_per_px**2
    assert mass == pytest.approx(250 * spacing.row_mm * spacing.col_mm, rel=0.35)


def test_a_smooth_spot_lands_there_to_a_hundredth_of_a_pixel():
    spacing = Spacing(2.427, 2.1)
    rows, cols = np.indices((791, 272)).astype(float)
    place = np.array([303.4, 97.2])
    image = 200 * np.exp(-0.5 * (((rows - place[0]) / 3) ** 2 + ((cols - place[1]) / 4) ** 2))
    frame = SpineFrame(spacing, x0_mm=-37.3, z0_mm=501.7, mm_per_px=2.7)
    np.testing.assert_allclose(centroid(frame.crop(image)), scan_to_crop(frame, place), atol=0.01)


def test_the_same_grid_is_copied_exactly_half_a_pixel_is_the_mean():
    image = np.random.default_rng(0).uniform(0, 255, (300, 260)).astype(np.float32)
    same = SpineFrame(Spacing(2, 2), x0_mm=10.0, z0_mm=20.0, mm_per_px=2.0)
    np.testing.assert_allclose(same.crop(image), image[10:234, 5:229], atol=1e-3)
    half = SpineFrame(Spacing(2, 2), x0_mm=11.0, z0_mm=20.0, mm_per_px=2.0)
    np.testing.assert_allclose(half.crop(image), (image[10:234, 5:229] + image[10:234, 6:230]) / 2, atol=1e-3)


def test_left_stays_left_and_head_stays_up():
    image = np.zeros((400, 400), np.float32)
    image[:, 250:] = 10  # the patient's left
    image[:150] += 100  # the head
    crop = SpineFrame(Spacing(1, 1), 90, 60, 1.0).crop(image)
    assert crop[:80, 170:].min() == pytest.approx(110)
    assert crop[:80, :150].max() == pytest.approx(100)
    assert crop[100:, 170:].max() == pytest.approx(10)
    assert crop[100:, :150].max() == 0


def test_outside_the_scan_is_air():
    crop = SpineFrame(Spacing(1, 1), -100, -50, 1.0).crop(np.full((300, 300), 9, np.uint8))
    assert crop[:50].max() == crop[:, :100].max() == 0
    assert crop[50:, 100:].min() == 9
