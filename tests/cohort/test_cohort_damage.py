"""Files of a build that were cut or changed: made again, or an error that names the file."""

import shutil

import pytest
from cohort_driver import DIGEST, make_folders, make_record, quiet
from damage import DAMAGE
from hypothesis import given, settings
from hypothesis import strategies as st

from spinelift.cohort.aggregates import aggregates
from spinelift.cohort.build import Plan, build
from spinelift.cohort.export import export_split
from spinelift.cohort.manifest import (
    MANIFEST,
    PAIRS,
    PARTS,
    SPLITS,
    TIMES,
    compact,
    read_manifest,
    read_splits,
    read_table,
)
from spinelift.cohort.record import all_parts, read_part, write_part
from spinelift.cohort.status import RUNNING, read_state
from spinelift.errors import DamagedFileError, SpineliftError
from spinelift.io.visits import find_visits
from spinelift.store.rows import PairStore

PEOPLE = 15


def again(folder, log=print, **options):
    """Build in this process; every part is made by ``make_record``."""
    plan = Plan(folder / "in" / "dxa", folder / "in" / "mri", folder / "store", **{"workers": 0} | options)
    return build(plan, digest=DIGEST, progress=quiet, log=log, work=make_record)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    make_folders(folder / "in", PEOPLE)
    again(folder)
    return folder


@pytest.fixture
def copy(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_bad_part_is_made_again_and_said(copy, whole):
    bad, said = all_parts(copy / "store" / PARTS)[3:6], []
    for (_, damage), path in zip(DAMAGE.items(), bad, strict=False):
        path.write_bytes(damage(path.read_bytes(), 0.5))
        with pytest.raises(DamagedFileError, match=path.name):
            read_part(path)
    (bad[0].parent / "notes.npz").write_bytes(b"x")
    manifest = again(copy, said.append)
    assert manifest.equals(read_manifest(whole / "store"))
    assert "3 parts are damaged or of another version, and are made again" in said
    assert f"{len(manifest)} visits, {len(manifest) - 3} of them already done" in said


def test_a_part_of_another_visit_or_version_is_made_again(copy):
    first, second = all_parts(copy / "store" / PARTS)[:2]
    shutil.copyfile(first, second)
    with pytest.raises(DamagedFileError, match="another visit"):
        read_part(second)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spinelift.cohort.record.FORMAT", 2)
        write_part(copy / "store" / PARTS, read_part_of(copy))
    with pytest.raises(DamagedFileError, match="format 2"):
        read_part(first)
    said = []
    again(copy, said.append)
    assert said[0].startswith("2 parts")


def read_part_of(copy):
    visit = find_visits(copy / "in" / "dxa", copy / "in" / "mri").visits[0]
    return make_record(visit)


@pytest.mark.parametrize("name", [MANIFEST, TIMES, f"{PAIRS}/zarr.json", f"{PAIRS}/image/c/0/0/0"])
@pytest.mark.parametrize("kind", DAMAGE)
def test_what_is_made_from_parts_is_made_again(copy, whole, name, kind):
    path = copy / "store" / name
    path.write_bytes(DAMAGE[kind](path.read_bytes(), 0.4))
    assert again(copy).equals(read_manifest(whole / "store"))
    assert read_manifest(copy / "store").equals(read_manifest(whole / "store"))
    aggregates(read_manifest(copy / "store"), copy / "store")


def test_splits_are_never_dealt_again_unasked(copy, whole):
    path = copy / "store" / SPLITS
    path.write_bytes(path.read_bytes().replace(b"train", b"test_", 1))
    make_folders(copy / "in", PEOPLE + 2)
    with pytest.raises(DamagedFileError, match=r"splits\.json .*copy"):
        again(copy)
    assert len(all_parts(copy / "store" / PARTS)) == len(all_parts(whole / "store" / PARTS))
    shutil.copyfile(whole / "store" / SPLITS, path)
    again(copy)
    assert read_splits(copy / "store").items() >= read_splits(whole / "store").items()


def test_the_manifest_and_pairs_of_two_builds_are_told_apart(copy):
    old = (copy / "store" / MANIFEST).read_bytes()
    make_folders(copy / "in", PEOPLE + 2)
    again(copy)
    (copy / "store" / MANIFEST).write_bytes(old)
    with pytest.raises(DamagedFileError, match="of another build"):
        read_manifest(copy / "store")
    again(copy)
    (copy / "store" / PAIRS / "zarr.json").unlink()
    with pytest.raises(SpineliftError, match=r"pairs\.zarr"):
        read_manifest(copy / "store")


def results(store, out):
    """What status, report and export read."""
    manifest = read_manifest(store)
    numbers = aggregates(manifest, store)
    export_split(store, "train", out)
    pairs = PairStore.open(out).load()
    parts = [read_part(path) for path in all_parts(store / PARTS)]
    state = read_state(store)
    return [manifest.to_dicts(), read_table(store / TIMES).to_dicts(), numbers, read_splits(store), state,
            [v.tobytes() for v in vars(pairs).values()], str(parts)]  # fmt: skip


@settings(max_examples=40)
@given(data=st.data())
def test_no_damage_changes_a_number(whole, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("copy")
    store = folder / "store"
    shutil.copytree(whole / "store", store)
    names = sorted(p.relative_to(store) for p in store.rglob("*") if p.is_file())
    tables = [n for n in names if n.parts[0] in (MANIFEST, TIMES, SPLITS)]
    path = store / data.draw(st.sampled_from(tables) | st.sampled_from(names))
    damage = data.draw(st.sampled_from([*DAMAGE.values()]))
    path.write_bytes(damage(path.read_bytes(), data.draw(st.floats(0, 1))))
    found, message = None, ""
    try:
        found = results(store, folder / "out.zarr")
    except SpineliftError as error:
        message = str(error)
    if found is None:
        assert path.relative_to(store).parts[0] in message or path.name in message
        assert str(folder) not in message
    else:
        assert found == results(whole / "store", folder / "right.zarr")
    shutil.rmtree(folder)


def test_a_damaged_plan_of_a_build_is_named_and_replaced(copy):
    (copy / "store" / RUNNING).write_bytes(b"{}")
    with pytest.raises(DamagedFileError, match=RUNNING):
        read_state(copy / "store")
    again(copy)
    assert read_state(copy / "store") is None


def test_compact_writes_the_same_bytes(copy):
    before = {p: p.read_bytes() for p in (copy / "store").rglob("*") if p.is_file()}
    compact(copy / "store")
    assert {p: p.read_bytes() for p in (copy / "store").rglob("*") if p.is_file()} == before
