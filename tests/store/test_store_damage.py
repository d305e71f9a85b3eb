"""A store whose files were changed is an error that names it, or reads as before."""

import shutil

import numpy as np
import pytest
from damage import DAMAGE
from hypothesis import given, settings
from hypothesis import strategies as st
from store_cases import make_pairs

from spinelift.errors import ConfigError, DamagedFileError, SpineliftError
from spinelift.store.rows import PairStore, ScanStore

ROWS = 20


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return make_pairs(tmp_path_factory.mktemp("whole") / "pairs.zarr", ROWS, 3)


@pytest.fixture
def store(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "pairs.zarr")
    return tmp_path / "pairs.zarr"


def files(path):
    return sorted(p.relative_to(path) for p in path.rglob("*") if p.is_file())


@settings(max_examples=80)
@given(data=st.data())
def test_every_damage_is_found(whole, tmp_path_factory, data):
    copy = tmp_path_factory.mktemp("copy") / "pairs.zarr"
    shutil.copytree(whole, copy)
    path = copy / data.draw(st.sampled_from(files(whole)))
    kind, at = data.draw(st.sampled_from([*DAMAGE, "missing"])), data.draw(st.floats(0, 1))
    if kind == "missing":
        path.unlink()
    else:
        path.write_bytes(DAMAGE[kind](path.read_bytes(), at))
    pairs, message = None, ""
    try:
        pairs = PairStore.open(copy).load()
    except SpineliftError as error:
        message = str(error)
    if pairs is None:
        assert "pairs.zarr" in message
        assert str(copy) not in message
    else:
        for name, array in vars(PairStore.open(whole).load()).items():
            np.testing.assert_array_equal(vars(pairs)[name], array)
    shutil.rmtree(copy.parent)


@pytest.mark.parametrize("empty", [True, False])
def test_a_shard_that_is_gone_is_named_and_never_filled(tmp_path, monkeypatch, empty):
    monkeypatch.setattr(PairStore, "CHUNK", 4)
    monkeypatch.setattr(PairStore, "SHARD", 8)
    path = make_pairs(tmp_path / "pairs.zarr", ROWS, 3)
    shard = path / "image" / "c" / "1" / "0" / "0"
    if empty:
        shard.write_bytes(b"")
    else:
        shard.unlink()
    with pytest.raises(DamagedFileError, match=r"pairs\.zarr: rows 8 to 15 of image are missing") as caught:
        PairStore.open(path).load()
    assert "build again" in str(caught.value)
    assert len(PairStore.open(path).load(8)) == 8
    (path / "eid" / "c" / "2").unlink()
    broken = PairStore.open(path, write=True)
    broken.append(image=np.zeros((224, 224), np.uint8), curves=np.zeros((6, 209)), mm_per_px=2, eid=1)
    with pytest.raises(DamagedFileError, match="rows 16 to 19 of eid"):
        broken.flush()


def test_chunks_of_zeros_are_written(tmp_path):
    path = tmp_path / "scans.zarr"
    with ScanStore.create(path) as store:
        zeros = np.zeros((832, 320), np.uint8)
        store.append(image=zeros, mask=zeros, ends=np.zeros((2, 2)), eid=1)
    assert not ScanStore.open(path).load().image.any()


def test_rows_that_were_edited_by_hand_are_found(store):
    text = (store / "zarr.json").read_text()
    (store / "zarr.json").write_text(text.replace('"rows": 20', '"rows": 10'))
    with pytest.raises(DamagedFileError, match="checksum"):
        PairStore.open(store)
    (store / "zarr.json").write_text(text.replace('"version": 2', '"version": 1'))
    with pytest.raises(ConfigError, match="version 1"):
        PairStore.open(store)


def test_another_array_in_its_place_is_found(store):
    text = (store / "eid" / "zarr.json").read_text()
    (store / "eid" / "zarr.json").write_text(text.replace("int64", "uint64"))
    with pytest.raises(DamagedFileError, match="eid"):
        PairStore.open(store)
