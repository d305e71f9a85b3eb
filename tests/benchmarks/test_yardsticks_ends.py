"""The ends of the spine, and the marked endplates of the CT."""

import numpy as np
import pytest
from benchmarks.yardsticks.diffdrr_marks import EndplateMarks, tilt_deg
from benchmarks.yardsticks.ends import EndCase, ends_table, measure_ends, projected
from benchmarks.yardsticks.forward import sample_tilt
from benchmarks.yardsticks.real_scan import Marks

from spinelift.geometry import Spacing, Vertebra
from spinelift.segment.postprocess import BOTTOM, MASK, TOP
from spinelift.simulate.body.prior import N_LEVELS, ShapePrior
from spinelift.simulate.body.spine import FORWARD_DEG, PosedSpine, along_line, frames_along, frames_of
from spinelift.simulate.ct.volume import CtVolume


def brightest(images):
    """A segmenter that takes the brightest pixel for both ends."""
    maps = np.zeros((len(images), 3, *images.shape[2:]), np.float32)
    for image, out in zip(images[:, 0], maps, strict=True):
        out[(slice(None), *np.unravel_index(image.argmax(), image.shape))] = image.max() / 255
    maps[:, MASK] = 0
    return maps


def test_error_is_positive_to_the_feet_and_an_interval_bounds_it():
    image = np.zeros((791, 272), np.uint8)
    image[140, 136] = 255
    known = EndCase("a/0", image, Spacing(2.4, 2.4), {TOP: (130 * 2.4, 130 * 2.4)})
    between = EndCase("b/0", image, Spacing(2.4, 2.4), {BOTTOM: (138 * 2.4, 152 * 2.4)})
    exact, loose = measure_ends([known, between], brightest)
    assert exact.mean_mm == pytest.approx(24.0, abs=1.3)
    assert (loose.mean_mm, loose.low_mm, loose.high_mm) == pytest.approx((-12.0, -28.8, 4.8), abs=1.3)
    assert "(-" in ends_table([loose])
    assert "(" not in ends_table([exact]).splitlines()[-1]


def test_ends_that_are_not_found_have_no_error():
    dark = np.zeros((791, 272), np.uint8)
    (error,) = measure_ends([EndCase("a/0", dark, Spacing(2.4, 2.4), {TOP: (0.0, 0.0)})], brightest)
    assert error.found == 0
    assert np.isnan(error.mean_mm)


def test_a_projected_end_lies_where_the_volume_has_it():
    density = np.zeros((3, 60, 20, 60), np.float32)
    density[1, 5:55, 2:18, 2:58] = 1.0
    density[0, 30, 9:12, 30] = 1.9
    volume = CtVolume(
        density, np.zeros((60, 20, 60), np.int8), (3.0, 6.0, 3.0), np.zeros((60, 20, 60), np.uint16)
    )
    for case in projected(volume, "v", TOP, np.array([90.0, 60.0, 90.0]), 3):
        low, high = case.truth[TOP]
        row = int(case.image.max(1).argmax())
        assert low == high
        assert row * case.spacing.row_mm == pytest.approx(low, abs=6)


def test_marks_of_the_scan_lie_in_their_intervals():
    marks = Marks.load()
    assert marks.top_rows[0] <= marks.top[0] <= marks.top_rows[1]
    assert marks.bottom_rows[0] <= marks.bottom[0] <= marks.bottom_rows[1]


def test_endplates_were_marked_twice_and_repeat_within_a_few_degrees():
    marks = EndplateMarks.load()
    whole = slice(0, Vertebra.L3)
    assert marks.line.shape == (15, 2, 2, 2, 3)
    assert np.isfinite(marks.line[whole]).all()
    for rim in (False, True):
        body = tilt_deg(marks.normals(rim=rim))[whole].mean(1)
        assert np.sqrt(((body[:, 1] - body[:, 0]) ** 2).mean() / 2) < 2.5
    height = marks.line.mean((2, 3))[whole, :, 2]
    assert (np.diff(height.ravel()) > 0).all()  # each endplate is below the one before
    assert (marks.line[whole, ..., 1, 1] > marks.line[whole, ..., 0, 1]).all()  # back is behind front
    assert (marks.across[whole, ..., 1, 0] > marks.across[whole, ..., 0, 0]).all()  # left is left


def test_frames_turn_to_axes_and_back_to_the_line():
    prior = ShapePrior.load()
    centres = prior.centres(prior.mean)
    straight = frames_along(centres, np.full(N_LEVELS, 12.0))
    inclined = frames_along(centres, np.full(N_LEVELS, 12.0), sample_tilt(np.random.default_rng(1)))
    tilted = PosedSpine(centres, inclined, np.ones((N_LEVELS, 3)))
    np.testing.assert_allclose(along_line(tilted)[:, :, 2], straight[:, :, 2], atol=1e-9)
    turned = frames_of(straight[:, :, 0], inclined[:, :, 2])
    np.testing.assert_allclose(turned[:, :, 2], inclined[:, :, 2], atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(turned), 1.0)
    forward = [
        tilt_deg(frames_along(centres, np.zeros(N_LEVELS), sample_tilt(np.random.default_rng(k)))[:, :, 2])
        - tilt_deg(straight[:, :, 2])
        for k in range(200)
    ]
    np.testing.assert_allclose(np.mean(forward, 0), FORWARD_DEG, atol=0.6)
