from functools import partial

import numpy as np
import pytest

from spinelift.curves import Curve
from spinelift.simulate.body.body import sample_body, sample_other_body
from spinelift.simulate.stores import fill_pairs, fill_scans, make_pair, make_scan
from spinelift.store.rows import PairStore, ScanStore

SEED = 21
FIELDS = ("image", "curves", "mm_per_px", "eid")


def nothing(_):
    """No progress bar."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = PairStore.create(tmp_path_factory.mktemp("stores") / "one.zarr")
    fill_pairs(made, people=3, seed=SEED, workers=1, advance=nothing)
    return made


def rows(store):
    return [store.read(name) for name in FIELDS]


def same(one, other):
    for a, b in zip(rows(one), rows(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_row_is_a_function_of_seed_and_number(store):
    image, curves, mm_per_px = make_pair(SEED, 2)
    np.testing.assert_array_equal(store.read("image")[2], image)
    np.testing.assert_array_equal(store.read("curves")[2], curves)
    assert store.read("mm_per_px")[2] == np.float32(mm_per_px)
    assert (np.diff(store.read("eid")) == 1).all()
    assert (make_pair(SEED + 1, 2)[0] != image).any()
    assert (make_pair(SEED, 2, other=True)[0] != image).any()  # another kind of people and scanner


def test_two_workers_make_the_same_store(store, tmp_path):
    other = PairStore.create(tmp_path / "two.zarr")
    fill_pairs(other, people=3, seed=SEED, workers=2, advance=nothing)
    same(store, other)


def test_a_store_cut_short_goes_on_to_the_same_rows(store, tmp_path):
    path = tmp_path / "cut.zarr"
    counts = []

    def stop_after_one(count):
        counts.append(count)
        if len(counts) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill_pairs(PairStore.create(path), people=3, seed=SEED, workers=1, advance=stop_after_one)
    again = PairStore.open(path, write=True)
    assert len(again) == 1
    fill_pairs(again, people=3, seed=SEED, workers=1, advance=counts.append)
    same(store, PairStore.open(path))
    fill_pairs(again, people=3, seed=SEED, workers=1, advance=counts.append)
    assert len(again) == 3
    assert len(counts) == 3


def test_curves_of_a_row_are_a_spine_in_the_crop(store):
    for curves, mm, image in zip(
        store.read("curves"), store.read("mm_per_px"), store.read("image"), strict=True
    ):
        assert (curves[Curve.LEFT] > curves[Curve.CENTRE]).all()
        assert (curves[Curve.CENTRE] > curves[Curve.RIGHT]).all()
        assert (curves[Curve.ANTERIOR] < curves[Curve.SAGITTAL]).all()
        assert (curves[Curve.SAGITTAL] < curves[Curve.POSTERIOR]).all()
        assert curves[Curve.CENTRE, [0, -1]].mean() == pytest.approx(111.5, abs=1e-3)
        assert 1.6 < mm < 3.0
        assert image.std() > 10


def test_whole_bodies_have_their_mask_between_their_ends(tmp_path):
    with ScanStore.create(tmp_path / "scans.zarr") as store:
        fill_scans(store, people=1, seed=SEED, workers=1, advance=nothing)
    image, mask, ends = (store.read(name)[0] for name in ("image", "mask", "ends"))
    inside = np.flatnonzero(mask.any(1))
    assert inside[0] == pytest.approx(ends[0, 0], abs=1)
    assert inside[-1] == pytest.approx(ends[1, 0], abs=1)
    assert mask[round(float(ends[0, 0])) + 2, round(float(ends[0, 1]))] == 1
    assert image[mask == 1].mean() > 1.1 * image[image > 0].mean()
    np.testing.assert_array_equal(make_scan(SEED, 0)[1], mask)


def test_the_body_of_people_to_calibrate_on_shows_another_spine(prior):
    """Ribs follow the curve of the vertebrae in people of training, and not in people to calibrate on."""
    slopes = {}
    samples = (sample_body, sample_other_body, partial(sample_body, foreign=1.0))
    for sample in samples:
        bodies = [sample(prior, np.random.default_rng([SEED, n]), whole=False) for n in range(12)]
        slopes[sample] = np.array([[slope(b, "vertebra_"), slope(b, "rib_")] for b in bodies])
    own, *others = (np.corrcoef(slopes[s].T)[0, 1] for s in samples)
    assert own > 0.8
    assert np.abs(others).max() < 0.6


def slope(body, name):
    """Sagittal inclination of the solids whose name begins with ``name``."""
    middles = np.array([s.points.mean(0) for s in body.solids if s.name.startswith(name)])
    return np.polyfit(middles[:, 2], middles[:, 1], 1)[0]
