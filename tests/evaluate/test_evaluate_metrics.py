import numpy as np
import pytest

from spinelift.curves import Curve
from spinelift.evaluate.bootstrap import mean_estimate, pearson_estimate, resample_counts
from spinelift.evaluate.metrics import UNITS, CropScale, score
from spinelift.evaluate.table import table_rows, to_json, to_markdown

Z = np.linspace(300.0, 716.0, 209)


def tube() -> np.ndarray:
    """Straight elliptical tube: half axes 20 and 15 mm, centred on x = 300."""
    values = np.array([320.0, 300.0, 280.0, -15.0, 0.0, 15.0])
    return np.repeat(values[:, None], 209, 1)


def test_a_perfect_prediction():
    got = score(Z, tube(), Z, tube(), crop=CropScale(76.0, 2.0), half_width_mm=np.full((6, 209), 0.1))
    assert got["mae"] == got["deviation_3d"] == got["ferguson_error"] == got["coronal_re"] == 0
    assert got["iou_3d"] == 1
    assert got["coverage90_coronal"] == got["coverage90_sagittal"] == 100
    assert set(got) == set(UNITS)


def test_a_known_offset():
    pred = tube()
    pred[:3] += 3.0
    sway = 8.0 * np.sign(np.arange(209) - 104)
    pred[3:] += sway
    got = score(Z, pred, Z, tube(), crop=CropScale(76.0, 2.0), half_width_mm=np.full((6, 209), 5.0))
    assert got["coronal_mae"] == pytest.approx(3)
    assert got["sagittal_mae"] == pytest.approx(8 * 208 / 209)
    assert got["left_mae"] == pytest.approx(3)
    assert got["deviation_3d"] == pytest.approx((208 * np.hypot(3, 8) + 3) / 209)
    assert got["coronal_re"] == pytest.approx(100 * np.mean(3 / (np.array([320, 300, 280]) - 76)))
    edges = 224.0 + np.array([-15, 0, 15])
    assert got["sagittal_re"] == pytest.approx(100 * np.mean(8 / edges) * 208 / 209)
    assert got["coverage90_coronal"] == 100
    assert got["coverage90_sagittal"] == pytest.approx(100 / 209)


def test_depth_as_a_whole_does_not_count():
    pred = tube()
    pred[3:] += 40.0
    got = score(Z, pred, Z, tube())
    assert got["sagittal_mae"] == pytest.approx(0, abs=1e-9)
    assert got["iou_3d"] == pytest.approx(1)


def test_a_prediction_at_other_heights_is_read_at_the_truths():
    slope = np.zeros((6, 209))
    slope[:3] = 0.1 * (Z - Z[0])
    slope[3:] = 0.2 * (Z - Z[0])
    true = tube() + slope
    other = np.linspace(310.0, 700.0, 209)
    pred = np.stack([np.interp(other, Z, row) for row in true])
    got = score(other, pred, Z, true, iou_step_mm=None)
    assert got["mae"] == pytest.approx(0, abs=1e-9)
    assert "iou_3d" not in got


def test_iou_of_two_shifted_ellipses():
    """Two equal ellipses shifted by d along an axis of half length a share a lens (closed form)."""
    pred = tube()
    pred[:3] += 20.0
    half = 20.0 / (2 * 20.0)
    lens = 2 * np.arccos(half) - 2 * half * np.sqrt(1 - half**2)
    expected = lens / (2 * np.pi - lens)
    assert score(Z, pred, Z, tube(), iou_step_mm=0.5)["iou_3d"] == pytest.approx(expected, abs=0.01)


def test_angle_errors_are_differences_of_angles():
    bent = tube()
    bent[:3] += 10 * np.sin(np.pi * np.linspace(0, 1, 209))
    got = score(Z, tube(), Z, bent, iou_step_mm=None)
    assert got["ferguson_error"] == pytest.approx(2 * np.degrees(np.arctan(10 / 208)), rel=0.02)
    assert got["kyphosis_error"] == pytest.approx(0, abs=1e-6)


def test_bootstrap_of_a_mean_matches_its_standard_error():
    values = np.random.default_rng(1).normal(5, 2, 400)
    got = mean_estimate(values, resample_counts(400))
    error = values.std() / 20
    assert got.value == values.mean()
    assert got.low == pytest.approx(values.mean() - 1.96 * error, abs=0.03)
    assert got.high == pytest.approx(values.mean() + 1.96 * error, abs=0.03)


def test_pearson_counts_people_not_points():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(300, 5)) + np.arange(5) * 100
    noisy = true + rng.normal(size=true.shape)
    mean = np.broadcast_to(true.mean(0), true.shape)
    counts = resample_counts(300, rounds=50)
    assert pearson_estimate(true, true, counts).low == pytest.approx(1)
    assert pearson_estimate(noisy, true, counts).value == pytest.approx(np.sqrt(0.5), abs=0.05)
    assert pearson_estimate(mean, true, counts).value == 0


def test_table_names_every_baseline():
    scores = [score(Z, tube() + k, Z, tube(), iou_step_mm=None) for k in range(3)]
    rows = table_rows(scores, {"mean curve": scores})
    text = to_markdown(rows)
    assert text.splitlines()[0] == "| figure | unit | model | mean curve |"
    assert "3 spines" in text
    assert to_json(rows)[0]["name"] == "mae"
    assert len({row.name for row in rows}) == len(rows)


def test_curve_errors_are_named_after_the_curves():
    assert {f"{c.name.lower()}_mae" for c in Curve} <= set(UNITS)
