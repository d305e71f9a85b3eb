from pathlib import Path

import numpy as np
import pytest

from spinelift.curves import Curve
from spinelift.evaluate.bootstrap import mean_estimate, pearson_estimate, resample_counts
from spinelift.evaluate.metrics import ANGLES, CURVE_KEYS, METRICS, CropScale, curve_metrics, score, unit_of
from spinelift.evaluate.table import columns, table_rows, to_markdown

Z = np.linspace(300.0, 716.0, 209)


def tube() -> np.ndarray:
    """Straight elliptical tube: half axes 20 and 15 mm, centred on x = 300."""
    values = np.array([320.0, 300.0, 280.0, -15.0, 0.0, 15.0])
    return np.repeat(values[:, None], 209, 1)


def test_a_perfect_prediction():
    got = score(Z, tube(), Z, tube(), crop=CropScale(76.0, 2.0), half_width_mm=np.full((6, 209), 0.1))
    assert (
        got["mae_mm"]
        == got["deviation3d_mm"]
        == got["ferguson_error_deg"]
        == got["coronal_relative_error_percent"]
        == 0
    )
    assert got["iou3d"] == 1
    assert got["coronal_coverage90_percent"] == got["sagittal_coverage90_percent"] == 100
    angles = {f"{which}{name}_deg" for which in ("", "true_") for name in ANGLES}
    assert set(got) - angles == {key for key in METRICS if not key.endswith("pearson_r")}
    assert angles <= set(got)


def test_a_known_offset():
    pred = tube()
    pred[:3] += 3.0
    sway = 8.0 * np.sign(np.arange(209) - 104)
    pred[3:] += sway
    got = score(Z, pred, Z, tube(), crop=CropScale(76.0, 2.0), half_width_mm=np.full((6, 209), 5.0))
    assert got["coronal_mae_mm"] == pytest.approx(3)
    assert got["sagittal_mae_mm"] == pytest.approx(8 * 208 / 209)
    assert got["coronal_left_mae_mm"] == pytest.approx(3)
    assert got["deviation3d_mm"] == pytest.approx((208 * np.hypot(3, 8) + 3) / 209)
    assert got["coronal_relative_error_percent"] == pytest.approx(
        100 * np.mean(3 / (np.array([320, 300, 280]) - 76))
    )
    edges = 224.0 + np.array([-15, 0, 15])
    assert got["sagittal_relative_error_percent"] == pytest.approx(100 * np.mean(8 / edges) * 208 / 209)
    assert got["coronal_coverage90_percent"] == 100
    assert got["sagittal_coverage90_percent"] == pytest.approx(100 / 209)


def test_depth_as_a_whole_does_not_count():
    pred = tube()
    pred[3:] += 40.0
    got = score(Z, pred, Z, tube())
    assert got["sagittal_mae_mm"] == pytest.approx(0, abs=1e-9)
    assert got["iou3d"] == pytest.approx(1)


def test_a_prediction_at_other_heights_is_read_at_the_truths():
    slope = np.zeros((6, 209))
    slope[:3] = 0.1 * (Z - Z[0])
    slope[3:] = 0.2 * (Z - Z[0])
    true = tube() + slope
    other = np.linspace(310.0, 700.0, 209)
    pred = np.stack([np.interp(other, Z, row) for row in true])
    got = score(other, pred, Z, true, iou_step_mm=None)
    assert got["mae_mm"] == pytest.approx(0, abs=1e-9)
    assert "iou3d" not in got


def test_iou_of_two_shifted_ellipses():
    """Two equal ellipses shifted by d along an axis of half length a share a lens (closed form)."""
    pred = tube()
    pred[:3] += 20.0
    half = 20.0 / (2 * 20.0)
    lens = 2 * np.arccos(half) - 2 * half * np.sqrt(1 - half**2)
    expected = lens / (2 * np.pi - lens)
    assert score(Z, pred, Z, tube(), iou_step_mm=0.5)["iou3d"] == pytest.approx(expected, abs=0.01)


def test_angle_errors_are_differences_of_angles():
    bent = tube()
    bent[:3] += 10 * np.sin(np.pi * np.linspace(0, 1, 209))
    got = score(Z, tube(), Z, bent, iou_step_mm=None)
    assert got["ferguson_error_deg"] == pytest.approx(2 * np.degrees(np.arctan(10 / 208)), rel=0.02)
    assert got["kyphosis_error_deg"] == pytest.approx(0, abs=1e-6)


def test_bootstrap_of_a_mean_matches_its_standard_error():
    values = np.random.default_rng(1).normal(5, 2, 400)
    got = mean_estimate(values, resample_counts(400))
    error = values.std() / 20
    assert got.value == pytest.approx(values.mean())
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
    worse = [score(Z, tube() + 2 * k + 1, Z, tube(), iou_step_mm=None) for k in range(3)]
    rows = {row.name: row for row in table_rows(columns(scores), {"mean curve": columns(worse)})}
    text = to_markdown(list(rows.values())).splitlines()
    assert text[0] == "| metric | unit | people | model | mean curve | ratio to mean curve |"
    assert text[2].startswith("| mae_mm | mm | 3 | 0.500 (0.000 to 1.000) | 1.50 (")
    row = rows["coronal_mae_mm"]
    assert row.ratios["mean curve"].value == pytest.approx(1 / 3)  # 0, 1, 2 mm against 1, 3, 5 mm
    assert row.to_json()["model"] == {"value": 1.0, "interval95": [row.model.low, row.model.high]}
    metric = row.to_card("some people")
    assert (metric.name, metric.unit, metric.value, metric.spines) == ("coronal_mae_mm", "mm", 1.0, 3)
    assert metric.baselines == {"mean curve": 3.0}


def test_each_key_has_one_definition():
    """Errors of 1, 2, ... mm that differ on every curve, worked out by hand."""
    true = np.zeros((6, 4))
    pred = np.array([[1.0], [2.0], [4.0], [0.0], [0.0], [0.0]]) * np.ones(4)
    pred[3:] = [[8, 8, 8, 8], [16, 16, -16, -16], [32, 32, 32, 32]]  # the centre one has mean 0
    half = np.full((6, 4), 5.0)
    half[Curve.ANTERIOR] = 9.0
    got = curve_metrics(pred, true, half_width_mm=half)
    assert got == pytest.approx(
        {
            "coronal_left_mae_mm": 1,
            "coronal_centre_mae_mm": 2,
            "coronal_right_mae_mm": 4,
            "sagittal_anterior_mae_mm": 8,
            "sagittal_centre_mae_mm": 16,
            "sagittal_posterior_mae_mm": 32,
            "coronal_mae_mm": 7 / 3,
            "sagittal_mae_mm": 56 / 3,
            "mae_mm": 63 / 6,
            "deviation3d_mm": np.hypot(2, 16),
            "coronal_coverage90_percent": 100,
            "sagittal_coverage90_percent": 100 / 3,
            "coronal_interval90_mm": 10,
            "sagittal_interval90_mm": 2 * 19 / 3,
        }
    )


def test_metrics_of_curves_without_a_truth_are_left_out():
    pred, true = np.arange(6.0)[:, None] * np.ones(3), np.zeros((6, 3))
    known = np.array([False, True, False, False, False, True])
    got = curve_metrics(pred, true, known=known)
    assert got == pytest.approx(
        {
            "coronal_centre_mae_mm": 1,
            "sagittal_posterior_mae_mm": 1,
            "coronal_mae_mm": 1,
            "sagittal_mae_mm": 1,
            "mae_mm": 1,
        }
    )


def test_keys_are_unique_end_in_their_unit_and_are_documented():
    assert len(set(METRICS.values())) == len(METRICS)
    assert {f"{CURVE_KEYS[c]}_mae_mm" for c in Curve} <= set(METRICS)
    units = {"mae_mm": "mm", "ferguson_error_deg": "°", "coronal_coverage90_percent": "%", "iou3d": ""}
    assert {key: unit_of(key) for key in units} == units
    table = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    for key, definition in METRICS.items():
        assert f"| `{key}` | {definition} |" in table
