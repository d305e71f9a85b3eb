"""Heights from images where an end of a mask is wrong."""

from dataclasses import replace

import numpy as np
import pytest
from align_cases import body_pair, column_pair, truth_of

from spinelift.align.gradients import GradientFeatures
from spinelift.align.height import weigh_heights
from spinelift.align.plane import PlaneMask
from spinelift.align.spine_level import SpineMatch, fit_spine, overlap

MIDDLE = np.array([8.0, 48.0])
TRUTH = truth_of(1.2, 215.0, 350.0, about=(8.0, 48.0))


def z_error(match):
    return abs((match.transform.apply(MIDDLE) - TRUTH.apply(MIDDLE))[1])


def without_first(mask, rows):
    """The mask without its first rows, as if T2 had been taken for T1."""
    values = mask.values.copy()
    first = int(np.flatnonzero(values.max(1) >= 0.5)[0])
    values[: first + rows] = 0
    return PlaneMask(values, mask.grid)


@pytest.mark.parametrize("rows", [10, 14, 26])
def test_a_wrong_end_moves_the_spine_less_when_images_are_heard(rows):
    images, (dxa, mri) = body_pair(TRUTH), column_pair(TRUTH)
    cut = without_first(mri, rows)
    alone = fit_spine(dxa, cut, start=TRUTH)
    assert alone.height_gap_mm == pytest.approx(-2.0 * rows, abs=1.5)
    assert z_error(alone) > 0.7 * rows
    both = weigh_heights(alone, GradientFeatures(), images, (dxa, cut))
    assert z_error(both) < 2.5
    assert both.transform.rotation_deg == alone.transform.rotation_deg
    assert both.transform.shift_mm[0] == alone.transform.shift_mm[0]


def test_right_ends_are_hardly_moved():
    images, masks = body_pair(TRUTH), column_pair(TRUTH)
    alone = fit_spine(*masks, start=TRUTH)
    both = weigh_heights(alone, GradientFeatures(), images, masks)
    assert z_error(both) < 0.6
    assert both.iou > 0.97


def test_images_of_a_bent_spine_are_hardly_heard():
    low = truth_of(1.2, 215.0, 362.0, about=(8.0, 48.0))  # the body lies 12 mm lower than the spine says
    masks = column_pair(TRUTH)
    straight = fit_spine(*masks, start=TRUTH)
    assert straight.bend_mm < 0.5
    assert z_error(weigh_heights(straight, GradientFeatures(), body_pair(low), masks)) < 4.0
    wrong_end = replace(straight, height_gap_mm=14.0)
    heard = weigh_heights(wrong_end, GradientFeatures(), body_pair(low), masks)
    assert z_error(heard) > 9.0
    bent = replace(wrong_end, bend_mm=8.0)
    assert z_error(weigh_heights(bent, GradientFeatures(), body_pair(low), masks)) < 2.5


def test_the_numbers_are_those_of_the_new_transform():
    """Not those of stage 2: moving the height leaves its own distance between the keypoints."""
    images, (dxa, mri) = body_pair(TRUTH), column_pair(TRUTH)
    cut = without_first(mri, 14)
    alone = fit_spine(dxa, cut, start=TRUTH)
    both = weigh_heights(alone, GradientFeatures(), images, (dxa, cut))
    moved = abs(both.transform.shift_mm[1] - alone.transform.shift_mm[1])
    assert moved > 5.0
    assert both.residual_mm**2 == pytest.approx(alone.residual_mm**2 + moved**2, rel=0.1)
    assert both == SpineMatch.of(dxa, cut, both.transform)
    assert both.iou == overlap(dxa, cut, both.transform)


@pytest.mark.parametrize("bend_mm", [0.0, 12.0])
def test_a_bend_is_measured_whatever_the_ends(bend_mm):
    dxa, mri = column_pair(TRUTH, bend_mm=bend_mm)
    alone = fit_spine(dxa, mri, start=TRUTH)
    assert alone.bend_mm == pytest.approx(0.31 * bend_mm, abs=0.7)
    assert fit_spine(dxa, without_first(mri, 8), start=TRUTH).bend_mm == pytest.approx(alone.bend_mm, abs=1.4)


def test_images_that_say_nothing_change_nothing():
    dxa, mri = body_pair(TRUTH)
    masks = column_pair(TRUTH)
    alone = fit_spine(*masks, start=TRUTH)
    for image in (dxa, mri):
        image.pixels[:] = 1.0
    assert weigh_heights(alone, GradientFeatures(), (dxa, mri), masks) == alone
