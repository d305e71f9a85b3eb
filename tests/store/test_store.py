import shutil

import numpy as np
import pytest

from spinelift.errors import ConfigError, DamagedFileError
from spinelift.store.rows import PairStore, ScanStore, load_pairs


def rows(n: int, start: int = 0) -> dict[str, np.ndarray]:
    ids = np.arange(start, start + n)
    image = np.broadcast_to((ids % 251)[:, None, None], (n, 224, 224)).astype(np.uint8)
    curves = np.broadcast_to(ids[:, None, None], (n, 6, 209)).astype(np.float32)
    return {"image": image, "curves": curves, "mm_per_px": 2 + ids.astype(np.float32), "eid": ids}


def test_rows_come_back_over_shards_and_sessions(tmp_path):
    path = tmp_path / "pairs.zarr"
    with PairStore.create(path, about={"seed": 3}) as store:
        store.extend(**rows(300))
        store.append(
            image=np.full((224, 224), 7, np.uint8), curves=np.zeros((6, 209)), mm_per_px=2.5, eid=9_999_999
        )
    with PairStore.open(path, write=True) as store:
        store.extend(**rows(400, start=301))
        assert len(store) == 512
        assert store.pending == 189
    store = PairStore.open(path)
    assert len(store) == 701
    assert store.about == {"seed": 3}
    pairs = store.load()
    assert pairs.eid.tolist() == [*range(300), 9_999_999, *range(301, 701)]
    assert (pairs.image[600] == 600 % 251).all()
    assert pairs.curves[600, 5, 208] == 600
    assert pairs.mm_per_px[300] == np.float32(2.5)
    assert len(store.load(10)) == 10
    assert len(load_pairs([path, path], limit=5)) == 10


def test_rows_of_an_append_that_was_cut_short_do_not_exist(tmp_path):
    path = tmp_path / "pairs.zarr"
    with PairStore.create(path) as store:
        store.extend(**rows(20))
    store = PairStore.open(path, write=True)
    image = store._group["image"]
    image.resize((30, 224, 224))
    image[20:30] = 255
    assert len(PairStore.open(path).load()) == 20
    with PairStore.open(path, write=True) as store:
        store.extend(**rows(15, start=20))
    pairs = PairStore.open(path).load()
    assert pairs.eid.tolist() == list(range(35))
    assert (pairs.image[29] == 29).all()


def test_wrong_rows_are_refused(tmp_path):
    store = PairStore.create(tmp_path / "pairs.zarr")
    good = rows(2)
    with pytest.raises(ValueError, match="image"):
        store.extend(**good | {"image": np.zeros((2, 224, 223), np.uint8)})
    with pytest.raises(ValueError, match="one n for all"):
        store.extend(**good | {"eid": np.arange(3)})
    with pytest.raises(ValueError, match="uint8"):
        store.extend(**good | {"image": np.zeros((2, 224, 224))})
    with pytest.raises(ValueError, match="rows must have image"):
        store.extend(**{k: v for k, v in good.items() if k != "eid"})
    assert store.pending == 0


def test_wrong_places_are_refused(tmp_path):
    PairStore.create(tmp_path / "pairs.zarr")
    with pytest.raises(ConfigError, match="existing"):
        PairStore.create(tmp_path / "pairs.zarr")
    with pytest.raises(ConfigError, match="kind 'pairs'"):
        ScanStore.open(tmp_path / "pairs.zarr")
    with pytest.raises(ConfigError, match="no store"):
        PairStore.open(tmp_path / "nothing.zarr")


def test_scans_come_back(tmp_path):
    ends = np.array([[200.5, 160], [400, 158.25]], np.float32)
    with ScanStore.open_or_create(tmp_path / "s.zarr") as store:
        store.append(
            image=np.ones((832, 320), np.uint8), mask=np.eye(832, 320, dtype=bool), ends=ends, eid=1234567
        )
    scans = ScanStore.open(tmp_path / "s.zarr").load()
    assert len(scans) == 1
    assert scans.mask.sum() == 320
    assert (scans.ends[0] == ends).all()


def test_rows_that_are_known_are_optional(tmp_path):
    row = {
        "image": np.zeros((224, 224), np.uint8),
        "curves": np.zeros((6, 209), np.float32),
        "mm_per_px": 2.0,
    }
    known = np.arange(209) < 100
    with PairStore.create(tmp_path / "masked.zarr", optional=True) as store:
        store.append(**row, eid=1, valid=known)
        store.append(**row, eid=2)
    pairs = PairStore.open(tmp_path / "masked.zarr").load()
    assert np.array_equal(pairs.valid, [known, np.ones(209, bool)])
    assert np.array_equal(pairs.take(np.array([1, 0])).valid[1], known)
    with PairStore.create(tmp_path / "plain.zarr") as store:
        store.append(**row, eid=1, valid=np.ones(209, bool))
        with pytest.raises(ValueError, match="without valid"):
            store.append(**row, eid=2, valid=known)
    assert PairStore.open(tmp_path / "plain.zarr").load().valid.all()
    assert not (tmp_path / "plain.zarr" / "valid").exists()
    shutil.rmtree(tmp_path / "masked.zarr" / "valid")
    with pytest.raises(DamagedFileError):
        PairStore.open(tmp_path / "masked.zarr")
