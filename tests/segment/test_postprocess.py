import numpy as np
import pytest

from spinelift.errors import NoSpineError
from spinelift.geometry import Spacing
from spinelift.geometry.canonical import CANONICAL_SHAPE, CanonicalGrid
from spinelift.segment.postprocess import connected_mask, locate_spine, soft_peak

GRID = CanonicalGrid(Spacing(2.427, 2.419), (791, 272))
TOP, BOTTOM = np.array([135.3, 150.7]), np.array([341.6, 163.2])


def gaussian(place, peak=1.0):
    rows, cols = np.mgrid[: CANONICAL_SHAPE[0], : CANONICAL_SHAPE[1]]
    return peak * np.exp(-((rows - place[0]) ** 2 + (cols - place[1]) ** 2) / 8)


def maps(top=TOP, bottom=BOTTOM, peak=1.0, half=8, mask_rows=None):
    rows, cols = np.mgrid[: CANONICAL_SHAPE[0], : CANONICAL_SHAPE[1]]
    first, last = mask_rows or (top[0], bottom[0])
    centre = top[1] + (rows - top[0]) / (bottom[0] - top[0]) * (bottom[1] - top[1])
    mask = (rows >= first) & (rows <= last) & (np.abs(cols - centre) <= half)
    return np.stack([mask * 0.98, gaussian(top, peak), gaussian(bottom, peak)]).astype(np.float32)


def test_ends_are_found_to_a_tenth_of_a_pixel_and_not_swapped_or_mirrored():
    place = locate_spine(maps(), GRID)
    want = GRID.canvas.to_mm(np.stack([TOP, BOTTOM]))
    np.testing.assert_allclose([place.top_xz_mm, place.bottom_xz_mm], want, atol=0.24)
    assert place.warnings == ()
    assert place.confidence > 0.9
    assert place.frame.z_mm[0] == pytest.approx(want[0, 1], abs=0.3)
    assert place.frame.z_mm[-1] == pytest.approx(want[1, 1], abs=0.3)


def test_soft_peak_at_the_border_stays_inside():
    heat = gaussian((0.0, 5.0))
    place, peak = soft_peak(heat)
    assert peak == pytest.approx(1)
    np.testing.assert_allclose(place, [0, 5], atol=0.05)


def test_a_lone_pixel_is_its_own_peak_and_flat_zero_does_not_fail():
    heat = np.zeros((20, 30))
    heat[7, 11] = 0.4
    np.testing.assert_allclose(soft_peak(heat)[0], [7, 11])
    assert soft_peak(np.zeros((20, 30)))[1] == 0


def test_a_second_piece_is_dropped_and_told():
    m = maps()
    m[0, 500:620, 60:75] = 0.9
    place = locate_spine(m, GRID)
    assert place.mask[500:620].max() == 0
    assert any("other pieces" in w for w in place.warnings)


def test_a_faint_vertebra_does_not_cut_the_mask():
    p = maps()[0]
    p[200:206] *= 0.4
    mask, share = connected_mask(p)
    assert share == 1
    assert mask[150].any()
    assert mask[330].any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"peak": 0.1}, "upper end of T1"),
        ({"half": 0}, "no spine"),
        ({"bottom": np.array([220.0, 160])}, "203 mm"),
        ({"bottom": np.array([470.0, 160])}, "803 mm"),
        ({"mask_rows": (250, 341)}, "broken spine"),
    ],
)
def test_what_is_no_spine_is_refused(change, words):
    with pytest.raises(NoSpineError) as error:
        locate_spine(maps(**change), GRID)
    assert words in error.value.found
    assert error.value.do
    assert error.value.exit_code == 19


def test_an_upside_down_scan_is_refused():
    with pytest.raises(NoSpineError, match="upside down"):
        locate_spine(maps()[[0, 2, 1]], GRID)


def test_a_spine_that_the_image_cuts_is_refused():
    low = CanonicalGrid(GRID.spacing, (300, 272))
    first = low.covered[0].start
    top = np.array([first - 30.0, 150])
    with pytest.raises(NoSpineError, match="upper edge of the image cuts"):
        locate_spine(maps(top=top, bottom=top + np.array([200, 0]), mask_rows=(first, first + 170)), low)
    last = low.covered[0].stop - 1
    with pytest.raises(NoSpineError, match="lower edge of the image cuts"):
        locate_spine(maps(top=np.array([last - 180.0, 150]), bottom=np.array([last, 150.0])), low)


def test_ends_that_disagree_with_the_mask_are_told():
    place = locate_spine(maps(mask_rows=(145, 341)), GRID)
    assert any("upper end" in w for w in place.warnings)


def test_a_side_that_is_cut_is_told():
    narrow = CanonicalGrid(GRID.spacing, (791, 30))
    col = narrow.covered[1].start + 3
    place = locate_spine(maps(top=np.array([135.0, col]), bottom=np.array([341.0, col])), narrow)
    assert any("side of the image" in w for w in place.warnings)


def test_a_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="maps must be"):
        locate_spine(np.zeros((3, 10, 10)), GRID)
