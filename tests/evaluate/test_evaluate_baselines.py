import numpy as np
import pytest
from store_cases import make_pairs

from spinelift.evaluate.baselines import conditioned_shape, mean_curve, ridge_on_image
from spinelift.evaluate.pairs import evaluate_pairs
from spinelift.store.rows import PairStore


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    train = PairStore.open(make_pairs(folder / "train.zarr", 150, 1)).load()
    return train, PairStore.open(make_pairs(folder / "test.zarr", 30, 2)).load()


def test_mean_curve(people):
    train, test = people
    predicted = mean_curve(train.curves, len(test))
    assert predicted.shape == test.curves.shape
    np.testing.assert_allclose(predicted[3], train.curves.mean(0, dtype=float))


def test_conditioned_shape_recovers_what_depends_on_the_coronal_curve():
    rng = np.random.default_rng(0)
    t = np.linspace(0, 1, 209)
    bend = rng.normal(size=(200, 1)) * np.sin(np.pi * t)
    other = rng.normal(size=(200, 1)) * np.cos(5 * t)
    coronal = np.repeat(bend[:, None], 3, 1)
    curves = np.concatenate([coronal, 2 * coronal + 0.5 * other[:, None]], 1)
    predicted = conditioned_shape(curves[:150], curves[150:])
    np.testing.assert_array_equal(predicted[:, :3], curves[150:, :3])
    left = np.abs(predicted[:, 3:] - 2 * coronal[150:]).mean()
    assert left < 0.25 * np.abs(curves[150:, 3:]).mean()


def test_ridge_reads_the_painted_depth(people):
    train, test = people
    ridge = ridge_on_image(train.image, train.curves, test.image)
    mean = mean_curve(train.curves, len(test))
    error, reference = (np.abs(p - test.curves)[:, 3:].mean() for p in (ridge, mean))
    assert error < 0.6 * reference


def test_a_perfect_regressor_beats_every_baseline(people):
    train, test = people

    def oracle(image):
        index = [int(np.flatnonzero((test.image == i[0]).all((1, 2)))[0]) for i in image]
        return test.curves[index], np.ones((len(index), 6, 209), np.float32), np.zeros((len(index), 4))

    rows = evaluate_pairs(oracle, test, train, factors=np.full((6, 209), 0.5), iou_step_mm=None)
    by_name = {row.name: row for row in rows}
    assert by_name["mae_mm"].model.value == pytest.approx(0, abs=1e-6)
    assert by_name["sagittal_coverage90_percent"].model.value == 100
    assert by_name["sagittal_pearson_r"].model.value == pytest.approx(1)
    assert by_name["sagittal_pearson_r"].baselines["mean curve"].value == 0
    baselines = by_name["sagittal_mae_mm"].baselines
    shape = {f"shape model, {which} coronal curve" for which in ("true", "predicted")}
    assert set(baselines) == {"mean curve", "ridge on image"} | shape
    values = [baselines[name].value for name in shape]
    assert values[0] == pytest.approx(values[1])  # this model knows the coronal curve
    assert baselines["ridge on image"].value < baselines["mean curve"].value
    assert by_name["coronal_mae_mm"].baselines["shape model, true coronal curve"].value == pytest.approx(
        0, abs=1e-6
    )
