import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinelift.curves import (
    CORONAL,
    SAGITTAL,
    Curve,
    SpineCurves,
    mm_from_json,
    resample_rows,
    zero_sagittal,
)
from spinelift.geometry import SPINE_CROP_ROWS, Spacing, SpineFrame

FRAME = SpineFrame(Spacing(2.427, 2.419), x0_mm=41.3, z0_mm=322.8, mm_per_px=2.31)


def curves(frame=FRAME):
    t = np.linspace(0, 1, 209)
    centre = 108 + 11 * t + 4 * np.sin(5 * t)
    depth = 8 * np.cos(4 * t) - 3 * t
    px = np.stack([centre + 7 + t, centre, centre - 8, depth - 6, depth, depth + 5 + t])
    return SpineCurves(px, frame)


def test_mm_and_back():
    one = curves()
    again = SpineCurves.from_mm(one.mm, FRAME)
    np.testing.assert_allclose(again.px, one.px, atol=1e-9)
    np.testing.assert_allclose(one.mm[Curve.CENTRE], 41.3 + 2.31 * one.px[Curve.CENTRE])
    np.testing.assert_allclose(one.mm[Curve.SAGITTAL], 2.31 * one.px[Curve.SAGITTAL])
    np.testing.assert_allclose(one.z_mm, 322.8 + 2.31 * SPINE_CROP_ROWS)


def test_centre_line_is_left_posterior_feet():
    one = curves()
    x, y, z = one.centreline_mm.T
    np.testing.assert_array_equal(x, one.mm[Curve.CENTRE])
    np.testing.assert_array_equal(y, one.mm[Curve.SAGITTAL])
    np.testing.assert_array_equal(z, one.z_mm)
    assert (np.diff(z) > 0).all()


def test_sagittal_zero_is_the_mean_of_its_centre():
    px = curves().px + np.array([0, 0, 0, 31, 31, 31])[:, None]
    again = SpineCurves(px, FRAME)
    assert abs(again.px[Curve.SAGITTAL].mean()) < 1e-12
    np.testing.assert_allclose(again.px, curves().px, atol=1e-9)
    np.testing.assert_allclose(zero_sagittal(np.stack([px, px]))[1], again.px, atol=1e-12)
    assert px[Curve.SAGITTAL].mean() > 20  # the argument is left as it was


@pytest.mark.parametrize("bad", [np.zeros((6, 208)), np.zeros((5, 209)), np.full((6, 209), np.nan)])
def test_what_is_no_spine_is_refused(bad):
    with pytest.raises(ValueError, match="curves must be"):
        SpineCurves(bad, FRAME)


def test_json_and_back():
    one = curves()
    z, mm = mm_from_json(json.loads(json.dumps(one.to_json())))
    np.testing.assert_allclose(z, one.z_mm, atol=5.1e-4)
    np.testing.assert_allclose(mm, one.mm, atol=5.1e-4)
    centreline = np.array(one.to_json()["centreline_mm"])
    np.testing.assert_allclose(centreline, one.centreline_mm, atol=5.1e-4)


def test_resample_rows_runs_straight_on_beyond_the_ends():
    one = curves()
    z = np.array([one.z_mm[0] - 5 * 2.31, one.z_mm[0], one.z_mm[-1], one.z_mm[-1] + 3 * 2.31])
    mm = resample_rows(one.z_mm, one.mm, z)
    np.testing.assert_allclose(mm[:, 1], one.mm[:, 0])
    np.testing.assert_allclose(mm[:, 2], one.mm[:, -1])
    np.testing.assert_allclose(mm[:, 0], one.mm[:, 0] - 5 * (one.mm[:, 1] - one.mm[:, 0]))
    np.testing.assert_allclose(mm[:, 3], one.mm[:, -1] + 3 * (one.mm[:, -1] - one.mm[:, -2]))


@given(st.floats(-5, 5), st.floats(-100, 100), st.lists(st.floats(-50, 80), min_size=1, max_size=9))
def test_resample_rows_keeps_straight_lines(slope, offset, z_new):
    z = np.array([0.0, 1.0, 2.5, 7.0, 30.0])
    line = slope * z + offset
    np.testing.assert_allclose(
        resample_rows(z, np.stack([line, -line]), np.array(z_new)),
        np.stack([slope * np.array(z_new) + offset] * 2) * np.array([[1], [-1]]),
        atol=1e-6,
    )


def test_slices_name_the_right_curves():
    names = [c.name for c in Curve]
    assert names[CORONAL] == ["LEFT", "CENTRE", "RIGHT"]
    assert names[SAGITTAL] == ["ANTERIOR", "SAGITTAL", "POSTERIOR"]
