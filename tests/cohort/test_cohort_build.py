import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from cohort_driver import DIGEST, make_folders, make_record, quiet
from hypothesis import given, settings
from hypothesis import strategies as st
from store_cases import write_cohort
from typer.testing import CliRunner

from spinelift.cli.cohort import app as cohort_app
from spinelift.cohort import manifest as manifest_module
from spinelift.cohort.build import Plan, build
from spinelift.cohort.export import export_split
from spinelift.cohort.manifest import (
    MANIFEST,
    PAIRS,
    PARTS,
    compact,
    read_manifest,
    read_splits,
)
from spinelift.cohort.record import FAILED, STAGES, all_parts, failed_record, part_path, read_part, write_part
from spinelift.cohort.splits import FOLDS, SHARES, deal, parse_folds
from spinelift.cohort.stages import Settings, process_visit
from spinelift.errors import ConfigError, NoScansError, WorkerDiedError
from spinelift.io.visits import Visit, find_visits
from spinelift.store.rows import PairStore

DEMO = Path(__file__).parents[2] / "src" / "spinelift" / "demo" / "1900003_20158_2_0.zip"


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_visits_are_paired_by_person_and_visit(tmp_path):
    for name in ("7_20158_2_0", "7_20158_3_0", "7_20158_2_1", "12_20158_2_0", "7_20158_2_0_copy", "notes"):
        touch(tmp_path / "dxa" / "deep" / f"{name}.zip")
    for name in ("7_20201_3_0", "12_20201_2_0", "99_20201_2_0", "7_20158_9_0"):
        touch(tmp_path / "mri" / f"{name}.zip")
    touch(tmp_path / "labels" / "12_2.nii.gz")
    for other in ("12_2_fat.nii.gz", "12_2.nii.gz.json", "12_2.nii.bak", "._12_2.nii.gz"):
        touch(tmp_path / "labels" / other)
    touch(tmp_path / "labels" / "7_2.NII")
    touch(tmp_path / "labels" / "7_20201_3_0_spine.nii.gz")
    found = find_visits(tmp_path / "dxa", tmp_path / "mri", tmp_path / "labels")
    pairs = {v.key: (v.dxa and v.dxa.name, v.mri and v.mri.name) for v in found.visits}
    assert pairs == {
        "7_2": ("7_20158_2_0.zip", None),
        "7_3": ("7_20158_3_0.zip", "7_20201_3_0.zip"),
        "12_2": ("12_20158_2_0.zip", "12_20201_2_0.zip"),
        "99_2": (None, "99_20201_2_0.zip"),
    }
    assert [v.key for v in found.visits] == ["7_2", "7_3", "12_2", "99_2"]
    assert found.ignored == {"with names of another kind": 3, "of a visit that has another archive": 1}
    labels = {v.key: [p.name for p in v.labels] for v in found.visits}
    assert labels == {
        "7_2": ["7_2.NII"],
        "7_3": ["7_20201_3_0_spine.nii.gz"],
        "12_2": ["12_2.nii.gz"],
        "99_2": [],
    }


def test_folders_without_archives_are_refused(tmp_path):
    (tmp_path / "mri").mkdir()
    with pytest.raises(NoScansError, match="no folder"):
        find_visits(tmp_path / "dxa", tmp_path / "mri")
    (tmp_path / "dxa").mkdir()
    with pytest.raises(NoScansError, match="no archive"):
        find_visits(tmp_path / "dxa", tmp_path / "mri")


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.integers(1, 10**7), st.booleans(), min_size=1, max_size=300), st.data())
def test_splits_are_balanced_and_never_change(people, data):
    eids = sorted(people)
    early = data.draw(st.sets(st.sampled_from(eids)))
    first = deal({e: people[e] for e in early})
    both = deal(people, first)
    assert {e: both[e] for e in first} == first
    assert set(both) == set(people)
    for stratum in (True, False):
        places = [p for p in both.values() if p.scoliosis == stratum]
        for split, share in SHARES.items():
            assert abs(sum(p.split == split for p in places) - share * len(places)) <= 1.0
        for split in SHARES:
            folds = [sum(p.fold == f for p in places if p.split == split) for f in range(FOLDS)]
            assert max(folds) - min(folds) <= 1


@given(st.sets(st.integers(1, 10**7), min_size=300, max_size=600))
def test_folds_say_nothing_of_splits(eids):
    places = deal(dict.fromkeys(eids, False)).values()
    for split, share in SHARES.items():
        inside = [p.fold for p in places if p.split == split]
        for fold in range(FOLDS):
            assert abs(inside.count(fold) - share * len(eids) / FOLDS) <= 2


def test_folds_of_the_command_line():
    assert parse_folds("0") == {0}
    assert parse_folds("1-4") == {1, 2, 3, 4}
    assert parse_folds("0,2-3") == {0, 2, 3}
    for wrong in ("", "5", "2-1", "a", "-1"):
        with pytest.raises(ConfigError, match="from 0 to 4"):
            parse_folds(wrong)


def test_splits_do_not_depend_on_the_order_of_people():
    people = {e: e % 4 == 0 for e in range(200)}
    backwards = dict(reversed(people.items()))
    assert deal(people) == deal(backwards)


def visits(folder):
    return find_visits(folder / "dxa", folder / "mri").visits


@pytest.fixture
def store(tmp_path):
    make_folders(tmp_path / "in", 40)
    for visit in visits(tmp_path / "in"):
        write_part(tmp_path / "store" / PARTS, make_record(visit))
    compact(tmp_path / "store")
    return tmp_path / "store"


def test_a_part_comes_back_as_it_was(tmp_path):
    make_folders(tmp_path, 1)
    record = make_record(visits(tmp_path)[0])
    write_part(tmp_path / "parts", record)
    back = read_part(part_path(tmp_path / "parts", record.key))
    assert back.values == record.values
    assert back.seconds == record.seconds
    for name in ("image", "curves", "outlines"):
        a, b = getattr(back, name), getattr(record, name)
        assert (a is None) == (b is None)
        assert a is None or np.array_equal(a, b)
    assert not list((tmp_path / "parts").rglob(".*"))


def test_the_manifest_and_the_store_agree(store):
    manifest = read_manifest(store)
    assert len(manifest) == 48
    pairs = PairStore.open(store / PAIRS).load()
    kept = manifest.filter(pl.col("kept"))
    assert len(pairs) == len(kept) > 20
    assert kept["row"].to_list() == list(range(len(kept)))
    assert pairs.eid.tolist() == kept["eid"].to_list()
    for row in kept.iter_rows(named=True):
        record = read_part(part_path(store / PARTS, f"{row['eid']}_{row['instance']}"))
        assert np.array_equal(pairs.image[row["row"]], record.image)
        assert row["scoliosis"] == (record.values["ferguson_deg"] >= 10)
    assert manifest.filter(~pl.col("kept"))["split"].is_null().all()
    twice = kept.group_by("eid").agg(pl.col("split").n_unique(), pl.col("fold").n_unique(), pl.len())
    assert (twice["len"] == 2).any()
    assert (twice["split"] == 1).all()
    assert (twice["fold"] == 1).all()


def test_each_stage_says_how_far_a_visit_came(store):
    failed = read_manifest(store).filter(pl.col("status") == FAILED).row(0, named=True)
    assert [failed[f"stage_{s}"] for s in STAGES[:5]] == ["done", "done", "done", "failed", ""]
    assert failed["error"] == "TruncatedZipError"


def test_more_people_keep_the_places_of_the_first(store, tmp_path):
    before = read_splits(store)
    make_folders(tmp_path / "in", 80)
    for visit in visits(tmp_path / "in"):
        write_part(store / PARTS, make_record(visit))
    compact(store)
    after = read_splits(store)
    assert {e: after[e] for e in before} == before
    assert len(after) > len(before)


def test_compaction_that_was_cut_short_is_made_again(store, monkeypatch):
    whole = read_manifest(store)

    def dies(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(manifest_module, "write_whole", dies)
        with pytest.raises(KeyboardInterrupt):
            compact(store)
    assert compact(store).equals(whole)
    assert len(PairStore.open(store / PAIRS)) == whole["kept"].sum()


def test_what_a_killed_build_left_is_not_read_and_is_removed(tmp_path):
    make_folders(tmp_path / "in", 12)
    dxa, mri, out = tmp_path / "in" / "dxa", tmp_path / "in" / "mri", tmp_path / "out"
    visits = find_visits(dxa, mri).visits
    for visit in visits:
        write_part(out / PARTS, make_record(visit))
    part = part_path(out / PARTS, visits[0].key)
    stale = [part.with_name(f".{part.name}.{'0' * 16}.part"), out / f".{MANIFEST}.{'1' * 16}.part"]
    stale.append(dxa / f".{visits[0].dxa.name}.{'2' * 16}.part")
    for path in stale:
        path.write_bytes(b"half")
    (out / f".{PAIRS}.{'3' * 16}.part").mkdir()
    assert find_visits(dxa, mri).visits == visits
    assert len(all_parts(out / PARTS)) == len(visits)
    manifest = build(Plan(dxa, mri, out), digest=DIGEST, progress=quiet, log=print)
    assert len(manifest) == len(visits)
    assert not list(out.rglob(".*"))
    assert stale[-1].exists()  # the archives are not ours


def test_a_split_can_be_exported_as_a_store(store, tmp_path):
    count = export_split(store, "val", tmp_path / "val.zarr")
    manifest = read_manifest(store)
    wanted = manifest.filter(pl.col("split") == "val")["eid"].to_list()
    assert PairStore.open(tmp_path / "val.zarr").load().eid.tolist() == wanted
    assert count == len(wanted)


def test_folds_of_a_split_are_exported_across_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(PairStore, "SHARD", 32)
    monkeypatch.setattr(PairStore, "CHUNK", 8)
    rng = np.random.default_rng(0)
    n = 2 * PairStore.SHARD + 7
    rows = {"image": rng.integers(0, 255, (n, 224, 224), dtype=np.uint8), "eid": np.arange(n)}
    rows |= {"curves": rng.random((n, 6, 209), np.float32), "mm_per_px": rng.random(n, np.float32)}
    split = pl.Series(["train", "val"] * (n // 2) + ["train"])
    frame = pl.DataFrame({"eid": np.arange(n), "split": split, "fold": np.arange(n) % 5, "row": np.arange(n)})
    write_cohort(tmp_path, frame, **{name: values for name, values in rows.items() if name != "eid"})
    count = export_split(tmp_path, "train", tmp_path / "out.zarr", {1, 3})
    wanted = frame.filter((pl.col("split") == "train") & pl.col("fold").is_in([1, 3]))["row"].to_numpy()
    got = PairStore.open(tmp_path / "out.zarr").load()
    assert count == len(wanted) == len(got)
    for name, values in rows.items():
        assert np.array_equal(vars(got)[name], values[wanted])
    with pytest.raises(NoScansError, match="no pairs of the split test"):
        export_split(tmp_path, "test", tmp_path / "none.zarr")
    assert not (tmp_path / "none.zarr").exists()


def test_a_fold_is_exported_by_the_command(store, tmp_path):
    def export(*words):
        return CliRunner().invoke(
            cohort_app, ["export", str(store), "-o", str(tmp_path / "out.zarr"), *words]
        )

    assert "folds without one" in str(export("--folds", "1", "--aggregates-only").exception)
    assert "from 0 to 4" in str(export("--split", "train", "--folds", "5").exception)
    done = export("--split", "train", "--folds", "0,2-3")
    assert done.exit_code == 0, done.output
    wanted = read_manifest(store).filter((pl.col("split") == "train") & pl.col("fold").is_in([0, 2, 3]))
    assert PairStore.open(tmp_path / "out.zarr").load().eid.tolist() == wanted["eid"].to_list()


def test_a_visit_whose_worker_died_and_whose_archive_is_gone_becomes_a_row(tmp_path):
    error = WorkerDiedError(found="a process that died (SIGKILL)", expected="it to finish", do="Try again.")
    record = failed_record(Visit(1, 2, tmp_path / "1_20158_2_0.zip", None), error, "test")
    assert (record.status, record.error, record.fingerprint) == (FAILED, "WorkerDiedError", "")
    assert "SIGKILL" in record.message
    record = failed_record(Visit(1, 2, None, None), ValueError("/home/someone/file"), "test")
    assert (record.error, record.message) == ("ValueError", "unexpected error")


def broken(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    return path


BROKEN = {
    "empty": b"",
    "no zip": b"hello",
    "truncated": b"PK\x03\x04" + bytes(60),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("which", ["dxa", "mri"])
def test_broken_archives_become_rows(tmp_path, no_networks, kind, which):
    dxa = broken(tmp_path, "1_20158_2_0.zip", BROKEN[kind]) if which == "dxa" else DEMO
    mri = broken(tmp_path, "1_20201_2_0.zip", BROKEN[kind])
    record = process_visit(Visit(1, 2, dxa, mri), Settings(), "test")
    assert record.status == FAILED
    assert record.stage == which
    assert record.error.endswith("Error")
    assert "Expected" in record.message
    assert record.values.get("ferguson_deg") == (3.0 if which == "mri" else None)


def test_a_visit_without_its_mri_and_an_error_nobody_thought_of_become_rows(tmp_path, monkeypatch):
    alone = process_visit(Visit(1, 2, touch(tmp_path / "1_20158_2_0.zip"), None), Settings(), "test")
    assert (alone.status, alone.stage, alone.error) == (FAILED, "pair", "NoScansError")
    assert "no MRI" in alone.message

    def explodes(*_):
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr("spinelift.cohort.stages._networks", explodes)
    both = Visit(1, 2, tmp_path / "1_20158_2_0.zip", touch(tmp_path / "1_20201_2_0.zip"))
    record = process_visit(both, Settings(), "test")
    assert (record.status, record.error) == (FAILED, "ZeroDivisionError")
    assert re.fullmatch(r"unexpected error, in line \d+ of test_cohort_build.py", record.message)


def test_parts_come_in_numerical_order(tmp_path):
    make_folders(tmp_path, 3)
    for visit in reversed(visits(tmp_path)):
        write_part(tmp_path / "parts", make_record(visit))
    names = [p.stem for p in all_parts(tmp_path / "parts")]
    assert names == ["1000_2", "1000_3", "1001_2", "1002_2"]
