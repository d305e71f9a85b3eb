"""Scores and baselines of spines of which only some rows are known."""

from dataclasses import replace

import numpy as np
import pytest
from store_cases import make_pairs

from spinelift.curves import Curve
from spinelift.evaluate.bootstrap import pearson_estimate, people_counts
from spinelift.evaluate.known_rows import fill_rows, level_difference
from spinelift.evaluate.pairs import baseline_curves, score_pairs
from spinelift.evaluate.table import columns, table_rows
from spinelift.store.rows import PairStore


@pytest.fixture
def pairs(tmp_path):
    return PairStore.open(make_pairs(tmp_path / "p.zarr", 40, 1)).load()


@pytest.fixture
def parts(pairs):
    """The same people, of every second of whom 100 rows are known; the others are nonsense."""
    valid = np.ones_like(pairs.valid)
    valid[::4, 100:] = False
    valid[2::4, :109] = False
    curves = np.where(valid[:, None], pairs.curves, 999.0).astype(np.float32)
    curves[::2, 3:] += np.linspace(-30, 30, len(curves[::2]), dtype=np.float32)[:, None, None]
    return replace(pairs, curves=curves, valid=valid)


def test_errors_are_of_known_rows_from_their_own_zero(pairs, parts):
    predicted = pairs.curves.astype(np.float64) + 0.0
    predicted[:, :3] += 1.0
    scores = score_pairs(predicted, parts, iou_step_mm=None)
    assert [s["coronal_mae_px"] for s in scores] == pytest.approx([1.0] * 40, abs=1e-4)
    assert [s["sagittal_mae_px"] for s in scores] == pytest.approx([0.0] * 40, abs=1e-4)
    assert "kyphosis_error_deg" not in scores[0]
    assert "kyphosis_error_deg" in scores[1]
    rows = {row.name: row for row in table_rows(columns(scores), {}, pairs.eid)}
    assert rows["kyphosis_error_deg"].people == 20
    assert rows["coronal_mae_px"].people == 40


def test_unknown_rows_are_filled_from_the_others(pairs, parts):
    filled = fill_rows(parts.curves, parts.valid)
    assert np.abs(filled[:, :3].mean(0) - pairs.curves[:, :3].mean(0)).max() < 3
    away = (filled - pairs.curves)[:, Curve.SAGITTAL]
    assert np.abs(away).mean() < np.abs(pairs.curves - pairs.curves.mean(0))[:, Curve.SAGITTAL].mean()
    known = level_difference(filled - pairs.curves, parts.valid) * parts.valid[:, None]
    assert np.abs(known).max() < 1e-3
    assert fill_rows(pairs.curves, pairs.valid) is pairs.curves
    for curves in baseline_curves(parts, parts, pairs.curves).values():
        assert np.abs(curves).max() < 300


def test_correlation_at_a_point_is_of_the_people_who_are_known_there():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(30, 4))
    pred = true + rng.normal(size=true.shape)
    known = np.ones(true.shape, bool)
    known[20:, 2:] = False
    counts = people_counts(np.arange(30), rounds=20)
    got = pearson_estimate(np.where(known, pred, 9.0), np.where(known, true, -9.0), counts, known=known)
    want = [np.corrcoef(pred[known[:, k], k], true[known[:, k], k])[0, 1] for k in range(4)]
    assert got.value == pytest.approx(np.mean(want), abs=1e-6)
