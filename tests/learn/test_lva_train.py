"""The LVA network: stores of lateral views, and a run that ends in a network with its card."""

import numpy as np
import pytest

from spinelift.bundle import LvaCard, load_bundle
from spinelift.geometry.canonical import LATERAL_MM, LATERAL_SHAPE
from spinelift.learn.lva.train import compare, train_lva
from spinelift.learn.segmenter.config import SegmenterConfig
from spinelift.segment.lateral import LateralSpine
from spinelift.simulate.stores import fill_laterals, make_lateral
from spinelift.store.rows import LateralStore, load_laterals


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    for name, people, seed in (("train", 3, 31), ("val", 2, 32)):
        with LateralStore.create(folder / f"{name}.zarr") as store:
            fill_laterals(store, people=people, seed=seed, workers=1, advance=lambda _: None)
    return folder


def test_rows_are_people_of_the_seed_and_agree_with_themselves(stores):
    views = load_laterals([stores / "train.zarr"])
    image, mask, ends, line = make_lateral(31, 1)
    np.testing.assert_array_equal(views.image[1], image)
    np.testing.assert_array_equal(views.line[1], line)
    seen = np.isfinite(line)
    assert 200 < seen.sum() <= LATERAL_SHAPE[0]
    np.testing.assert_array_equal(mask.any(1), seen)
    columns = np.arange(LATERAL_SHAPE[1])
    middle = (mask[seen] * columns).sum(1) / mask[seen].sum(1)
    np.testing.assert_allclose(middle, line[seen], atol=0.6)
    assert ends[0, 0] < ends[1, 0]
    rows = np.flatnonzero(seen)
    assert ends[1, 0] == pytest.approx(rows[-1], abs=1.5) or rows[-1] * LATERAL_MM > 450


def test_a_run_ends_in_a_network_with_figures(stores, tmp_path):
    config = SegmenterConfig.load("segmenter_smoke.yaml")
    outcome = train_lva(
        config, data=[stores / "train.zarr"], validation=stores / "val.zarr", out=tmp_path / "run"
    )
    assert outcome.steps == config.loop.steps
    assert 0 <= outcome.validation["found"] <= 1
    card = load_bundle(LvaCard, tmp_path / "run").card
    assert card.metrics[0].name == "not_found"
    assert card.metrics[0].spines == 2
    assert card.training.people == 3


def test_errors_are_measured_against_the_true_line(stores):
    views = load_laterals([stores / "val.zarr"])
    seen = np.isfinite(views.line[0])
    z = np.flatnonzero(seen) * LATERAL_MM
    y = views.line[0][seen].astype(float) * LATERAL_MM
    top, bottom = views.ends[0, :, 0].astype(float) * LATERAL_MM
    found = LateralSpine(np.stack([y + 2.0, z], 1), top + 3.0, bottom - 4.0, 1.0)
    error = compare(found, views, 0)
    assert error[:2] == pytest.approx((2.0, 3.0), abs=1e-3)
    assert np.isnan(error[2]) or error[2] == pytest.approx(4.0, abs=1e-3)
