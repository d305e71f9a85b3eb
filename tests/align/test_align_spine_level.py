"""Stage 2 on columns whose movement is known."""

import numpy as np
import pytest
from align_cases import column, column_pair, truth_of

from spinelift.align import MIN_OVERLAP
from spinelift.align.keypoints import PER_SIDE, contour_keypoints
from spinelift.align.plane import PlaneMask
from spinelift.align.spine_level import fit_spine, overlap, robust_fit
from spinelift.errors import NoSpineError
from spinelift.geometry import PixelGrid, RigidTransform2D, Spacing

PLACES = np.array([[120.0, 90.0], [120.0, 310.0], [120.0, 530.0]])


def worst_mm(found, truth):
    return np.linalg.norm(found.apply(PLACES) - truth.apply(PLACES), axis=1).max()


@pytest.mark.parametrize(
    ("rotation", "x", "z"),
    [(0, 0, 0), (0.05, 0.3, -0.4), (-0.05, -0.3, 0.4), (4, 60, -55), (-4, -60, 55), (2, 300, 840)],
)
def test_known_movements_come_back(rotation, x, z):
    truth = truth_of(rotation, x, z)
    found = fit_spine(*column_pair(truth))
    assert found.transform.rotation_deg == pytest.approx(rotation, abs=0.1)
    assert worst_mm(found.transform, truth) < 0.5
    assert found.iou > 0.97


def test_masks_of_zeros_and_ones_are_as_good_as_their_pixels():
    truth = truth_of(-1.7, 21.0, 13.0)
    hard = [PlaneMask((m.values >= 0.5).astype(np.float32), m.grid) for m in column_pair(truth)]
    found = fit_spine(*hard)
    assert found.transform.rotation_deg == pytest.approx(-1.7, abs=0.1)
    assert worst_mm(found.transform, truth) < 1.1  # half a pixel: a flat end lies anywhere in its last row


def test_a_start_changes_nothing_and_stray_pieces_are_left_out():
    truth = truth_of(2.5, -30.0, 44.0)
    dxa, mri = column_pair(truth)
    alone = fit_spine(dxa, mri)
    started = fit_spine(dxa, mri, start=truth_of(1.5, -24.0, 50.0))
    assert worst_mm(started.transform, alone.transform) < 0.1
    values = mri.values.copy()
    values[280:290, 2:9] = 1.0
    stray = fit_spine(dxa, PlaneMask(values, mri.grid))
    assert worst_mm(stray.transform, truth) < 0.5


def test_bent_pairs_are_rejected_and_slightly_bent_ones_kept():
    truth = truth_of(1.0, 10.0, -20.0)
    assert fit_spine(*column_pair(truth, bend_mm=60.0)).iou < MIN_OVERLAP
    assert fit_spine(*column_pair(truth, bend_mm=6.0)).iou > MIN_OVERLAP


def test_overlap_of_a_mask_with_itself_and_with_nothing():
    dxa, _ = column_pair(truth_of())
    still = RigidTransform2D.identity("mri", "dxa")
    assert overlap(dxa, dxa, still) == 1.0
    assert overlap(dxa, dxa, RigidTransform2D(0.0, (200.0, 0.0), "mri", "dxa")) == 0.0


def test_keypoints_are_the_contour():
    grid = PixelGrid((50.0, -20.0), Spacing(2.0, 2.0), (260, 100))
    points = contour_keypoints(column(grid, RigidTransform2D(0.0, (150.0, 10.0), "own", "dxa")))
    t = (points[:PER_SIDE, 1] - 10.0) / 440.0
    left = 150 + 14 * np.sin(2.2 * np.pi * t) + 10 * t + 13 + 9 * t
    np.testing.assert_allclose(points[:PER_SIDE, 0], left, atol=0.3)
    assert (points[:PER_SIDE, 0] > points[PER_SIDE : 2 * PER_SIDE, 0]).all()
    np.testing.assert_allclose(points[-2:, 1], [10.0, 450.0], atol=0.3)


def test_the_fit_is_exact_and_the_robust_one_ignores_outliers():
    rng = np.random.default_rng(3)
    source = rng.normal(0, 100, (60, 2))
    truth = RigidTransform2D(3.1, (12.0, -400.0), "mri", "dxa")
    target = truth.apply(source)
    found = RigidTransform2D.fit(source, target, source="mri", target="dxa")
    assert found.rotation_deg == pytest.approx(3.1, abs=1e-9)
    np.testing.assert_allclose(found.shift_mm, truth.shift_mm, atol=1e-9)
    target[:6] += [40.0, 0.0]
    assert RigidTransform2D.fit(source, target, source="mri", target="dxa").shift_mm[0] - 12 > 0.5
    weight = np.where(np.arange(60) < 6, 0.0, 1.0)
    weighted = RigidTransform2D.fit(source, target, weight, source="mri", target="dxa")
    assert weighted.rotation_deg == pytest.approx(3.1, abs=1e-9)
    assert abs(robust_fit(source, target).rotation_deg - 3.1) < 0.15
    assert abs(robust_fit(source, target).shift_mm[0] - 12.0) < 0.5


def test_no_spine_is_an_error():
    dxa, mri = column_pair(truth_of())
    with pytest.raises(NoSpineError):
        fit_spine(dxa, PlaneMask(0 * mri.values, mri.grid))
    short = mri.values.copy()
    short[100:] = 0
    with pytest.raises(NoSpineError, match="mm high"):
        fit_spine(dxa, PlaneMask(short, mri.grid))
