"""A store holds exactly the archives that it is given; people who withdrew leave it."""

import pytest
from cohort_driver import DIGEST, make_folders, make_record, quiet
from hypothesis import given
from hypothesis import strategies as st

from spinelift.cohort import leave
from spinelift.cohort.build import Plan, build
from spinelift.cohort.leave import read_withdrawn
from spinelift.cohort.manifest import MANIFEST, PAIRS, PARTS, TIMES, compact, read_manifest, read_splits
from spinelift.cohort.record import all_parts, write_part
from spinelift.cohort.stages import Settings
from spinelift.errors import ConfigError, NoScansError
from spinelift.io.visits import find_visits
from spinelift.store.rows import PairStore

PEOPLE = 40


@pytest.fixture
def store(tmp_path):
    make_folders(tmp_path / "in", PEOPLE)
    for visit in find_visits(tmp_path / "in" / "dxa", tmp_path / "in" / "mri").visits:
        write_part(tmp_path / "store" / PARTS, make_record(visit))
    compact(tmp_path / "store")
    return tmp_path / "store"


def again(tmp_path, log=print, **options):
    """Build again; every archive that is left is already processed."""
    source = tmp_path / "in"
    plan = Plan(source / "dxa", source / "mri", tmp_path / "store", **options)
    return build(plan, digest=DIGEST, progress=quiet, log=log)


def check_gone(store, eids):
    manifest = read_manifest(store)
    assert not set(manifest["eid"]) & eids
    assert not set(PairStore.open(store / PAIRS).load().eid.tolist()) & eids
    assert not {int(p.stem.split("_")[0]) for p in all_parts(store / PARTS)} & eids
    assert not read_splits(store).keys() & eids
    texts = [p.read_bytes() for p in store.rglob("*") if p.is_file() and p.suffix in (".json", ".html")]
    assert not any(str(e).encode() in text for e in eids for text in texts)
    kept = manifest.filter(manifest["kept"])
    assert PairStore.open(store / PAIRS).load().eid.tolist() == kept["eid"].to_list()


def contents(store):
    files = (p for p in store.rglob("*") if p.is_file() and TIMES not in p.name)
    return {str(p.relative_to(store)): p.read_bytes() for p in files}


def test_withdrawn_people_leave_whatever_the_folders_hold(store, tmp_path):
    eids = {1000, 1001, 1007}
    before, said = read_splits(store), []
    (store / "report.html").write_text("1000")
    (tmp_path / "w1.csv").write_text("1000\n1001\n1007\n9999\n")
    again(tmp_path, said.append, withdrawn=tmp_path / "w1.csv")
    check_gone(store, eids)
    assert read_splits(store) == {e: p for e, p in before.items() if e not in eids}
    assert "4 people withdrew, with 4 visits in the folders" in said
    assert "4 visits left the store, and with them all data of 3 people" in said
    assert not any(str(e) in line for e in eids for line in said)
    once = contents(store)
    again(tmp_path, said.append, withdrawn=tmp_path / "w1.csv")
    assert contents(store) == once
    assert sum("left the store" in line for line in said) == 1


def test_visits_whose_archives_are_gone_leave(store, tmp_path):
    before, said = read_splits(store), []
    for name in ("1003_20158_2_0", "1005_20158_3_0"):
        (tmp_path / "in" / "dxa" / f"{name}.zip").unlink()
        (tmp_path / "in" / "mri" / f"{name.replace('20158', '20201')}.zip").unlink()
    manifest = again(tmp_path, said.append)
    check_gone(store, {1003})
    assert manifest.filter(manifest["eid"] == 1005)["instance"].to_list() == [2]
    assert read_splits(store) == {e: p for e, p in before.items() if e != 1003}
    assert "2 visits left the store, and with them all data of 1 people" in said


def test_everybody_may_leave(store, tmp_path):
    (tmp_path / "w.csv").write_text("\n".join(map(str, range(1000, 1000 + PEOPLE))))
    assert len(again(tmp_path, withdrawn=tmp_path / "w.csv")) == 0
    assert len(PairStore.open(store / PAIRS)) == len(all_parts(store / PARTS)) == 0


def unmount(tmp_path, kind, people):
    for path in sorted((tmp_path / "in" / kind).iterdir())[:people]:
        path.unlink()


@pytest.mark.parametrize("kinds", [("dxa", "mri"), ("mri",)])
def test_a_folder_that_is_half_mounted_removes_nobody(store, tmp_path, kinds):
    before = contents(store)
    for kind in kinds:
        unmount(tmp_path, kind, 20)
    with pytest.raises(ConfigError, match=r"20 of the store's 48 visits .* --remove-missing"):
        again(tmp_path)
    assert contents(store) == before
    if len(kinds) == 2:
        assert len(again(tmp_path, remove_missing=True)) == 28


def test_few_missing_visits_leave_unasked(store, tmp_path):
    for kind in ("dxa", "mri"):
        unmount(tmp_path, kind, 9)
    assert len(again(tmp_path)) == 48 - 9


@pytest.mark.parametrize("kind", ["empty", "missing"])
def test_withdrawn_people_leave_though_a_folder_is_wrong(store, tmp_path, kind):
    (tmp_path / "w.csv").write_text("1000\n1001\n")
    for name in ("dxa", "mri"):
        (tmp_path / "in" / name).rename(tmp_path / name)
        if kind == "empty":
            (tmp_path / "in" / name).mkdir()
    with pytest.raises(NoScansError):
        again(tmp_path, withdrawn=tmp_path / "w.csv")
    check_gone(store, {1000, 1001})
    assert len(read_manifest(store)) == 48 - 3


def test_folders_are_looked_at_before_networks_are_loaded(tmp_path, monkeypatch):
    def load(_):
        raise AssertionError

    monkeypatch.setattr(Settings, "load_and_hash", load)
    plan = Plan(tmp_path / "dxa", tmp_path / "mri", tmp_path / "store")
    with pytest.raises(NoScansError, match="no folder"):
        build(plan, progress=quiet, log=print)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("at", ["remove_files", "compact"])
def test_a_removal_that_was_cut_short_is_finished(store, tmp_path, monkeypatch, at):
    (tmp_path / "w.csv").write_text("1000\n1001\n")
    real = getattr(leave, at)

    def dies(argument):
        if at == "remove_files":
            real([next(iter(argument))])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(leave, at, dies)
        with pytest.raises(KeyboardInterrupt):
            again(tmp_path, withdrawn=tmp_path / "w.csv")
    again(tmp_path, withdrawn=tmp_path / "w.csv")
    check_gone(store, {1000, 1001})


def test_they_are_gone_before_anything_else_is_done(store, tmp_path, monkeypatch):
    def dies(*args, **kwargs):
        raise KeyboardInterrupt

    make_folders(tmp_path / "in", PEOPLE + 5)
    (tmp_path / "w.csv").write_text("1000\n1001\n")
    monkeypatch.setattr("spinelift.engine.run", dies)
    with pytest.raises(KeyboardInterrupt):
        again(tmp_path, withdrawn=tmp_path / "w.csv")
    check_gone(store, {1000, 1001})
    assert (store / MANIFEST).is_file()


@pytest.mark.parametrize(
    "text",
    [
        "1000\n1001\n",
        "\ufeff1000\r\n1001\r\n\r\n",
        "eid\n1000\n1001",
        '"eid"\n"1000"\n"1001"\n',
        "Participant ID,date\n1000,2023-04-25\n1001,2023-04-25\n",
        "date;n_eid\n2023-04-25;1000\n2023-04-25;1001\n",
        "1000.0\t2\n1001.0\t3\n1000\t4",
        " 1000 \n1001",
    ],
)
def test_lists_of_every_form(tmp_path, text):
    path = tmp_path / "w.csv"
    path.write_bytes(text.encode())
    assert read_withdrawn(path) == {1000, 1001}


@pytest.mark.parametrize(
    "data", [b"", b"\n\n", b"eid\n", b"1234567\nhello\n", b"\xff\xfe1\x000\x00", b"a,eid\n1\n"]
)
def test_what_is_no_list_is_refused_without_its_content(tmp_path, data):
    path = tmp_path / "w.csv"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match="withdrawal list") as caught:
        read_withdrawn(path)
    assert "1234567" not in str(caught.value)
    assert "hello" not in str(caught.value)
    with pytest.raises(ConfigError):
        read_withdrawn(tmp_path / "none.csv")


@given(st.lists(st.integers(1, 10**18 - 1), min_size=1, max_size=50))
def test_every_number_is_found(tmp_path_factory, people):
    path = tmp_path_factory.mktemp("w") / "w.csv"
    path.write_text("\n".join(map(str, people)))
    assert read_withdrawn(path) == set(people)
