import csv
import dataclasses
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from io_cases import visit_zip
from PIL import Image
from predict_cases import SPACING, spine_image, spine_png, spine_scan, write_bundle
from report_cases import needs_pango

from spinelift.bundle import PredictionCard, load_bundle
from spinelift.errors import ConfigError, NoSpineError, OutputError, SpineliftError, WorkerDiedError
from spinelift.inference import batch, load_model, outputs, task
from spinelift.inference.batch import run_batch
from spinelift.inference.outputs import result_folder, write_result
from spinelift.inference.scans import name_scans
from spinelift.inference.tables import COLUMNS, FAILED_COLUMNS, write_tables
from spinelift.inference.task import Job, predict_scan
from spinelift.io import read_dxa
from spinelift.io.dxa.discover import search_scans
from spinelift.report import picture_names


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def model(bundle):
    return load_model(bundle, threads=1)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def run(bundle, out):
    """Run a batch of paths in this process, without pictures by default."""
    ref = load_bundle(PredictionCard, bundle).ref

    def run(*paths, out=out, without_scans=(), workers=0, on_done=lambda _: None, **options):
        options = {"spacing": SPACING, "pictures": False, "threads": 1} | options
        job = Job(out, ref, str(bundle), **options)
        return run_batch(
            job,
            name_scans(map(Path, paths))[0],
            without_scans=without_scans,
            workers=workers,
            on_done=on_done,
        )

    return run


def no_spine_png(path):
    Image.fromarray(np.minimum(spine_image(), 110).astype(np.uint8)).save(path)
    return path


def rows(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def contents(folder):
    """Every file below a folder by its path; of run.json what holds no times."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        if path.name == "run.json":
            data = {k: v for k, v in json.loads(data).items() if k not in ("finished_utc", "timings_ms")}
        found[str(path.relative_to(folder))] = data
    return found


def ids(outcomes):
    return [outcome.scan.scan_id for outcome in outcomes]


def test_failures_are_rows_and_the_rest_go_on(run, out, tmp_path):
    scans = [
        no_spine_png(tmp_path / "a.png"),
        spine_png(tmp_path / "b.png"),
        tmp_path / "empty.png",
        spine_png(tmp_path / "d.png", bottom=(330.0, 800.0)),
    ]
    scans[2].touch()
    seen = []
    report = run(*scans, on_done=seen.append)
    assert ids(seen) == ["a", "b", "empty", "d"]
    assert ids(report.new) == ["b", "d"]
    assert report.exit_code == 3
    failed = rows(out / "failed.csv")
    assert tuple(failed[0]) == FAILED_COLUMNS
    assert [(r["file"], r["error"], r["exit_code"], r["stage"]) for r in failed] == [
        ("a.png", "NoSpineError", "19", "predict"),
        ("empty.png", "EmptyFileError", "10", "read"),
    ]
    assert all(r["message"].startswith("Found ") and str(tmp_path) not in r["message"] for r in failed)
    summary = rows(out / "summary.csv")
    assert [(r["scan_id"], r["input"], r["status"]) for r in summary] == [
        ("b", str(scans[1]), "done"),
        ("d", str(scans[3]), "done"),
    ]
    assert float(summary[1]["height_mm"]) == pytest.approx(470, abs=5)
    for name in ("b", "d"):
        assert {p.name for p in (out / name).iterdir()} == {"curves.json", "curves.csv", "run.json"}


def test_the_parquet_is_the_csv(run, out, tmp_path):
    run(spine_png(tmp_path / "b.png"), spine_png(tmp_path / "7654321_20158_3_1.png", bottom=(330.0, 800.0)))
    frame = pl.read_parquet(out / "summary.parquet")
    table = rows(out / "summary.csv")
    assert frame.columns == list(table[0])
    assert set(COLUMNS) < set(frame.columns)
    assert frame["scan_id"].to_list() == [row["scan_id"] for row in table] == ["7654321_3_1", "b"]
    assert frame.select("eid", "instance", "array").rows() == [(7654321, 3, 1), (None, None, None)]
    assert frame["height_mm"].to_list() == [float(row["height_mm"]) for row in table]


odd_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)


@pytest.fixture(scope="module")
def record(model, tmp_path_factory):
    """Content of a run.json."""
    return json.loads(
        (model.predict(spine_scan()).save(tmp_path_factory.mktemp("one")) / "run.json").read_text()
    )


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_no_run_json_spoils_the_tables(record, tmp_path_factory, data):
    """Results that another program changed, or another version made, are left out."""
    out = tmp_path_factory.mktemp("out")
    changed = json.loads(json.dumps(record))
    place = data.draw(st.sampled_from([changed, changed["bundle"], changed["measures"], changed["spine"]]))
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(odd_values)
    for name, content in (("a", record), ("b", changed)):
        (out / name).mkdir()
        (out / name / "run.json").write_text(json.dumps({**content, "scan_id": name}))
    assert write_tables(out, [], []) in (1, 2)
    table = rows(out / "summary.csv")
    assert table[0]["scan_id"] == "a"
    assert pl.read_parquet(out / "summary.parquet")["scan_id"].to_list() == [row["scan_id"] for row in table]


def test_without_polars_there_is_no_parquet_of_an_earlier_run(run, out, tmp_path, monkeypatch):
    scan = spine_png(tmp_path / "b.png")
    run(scan)
    monkeypatch.setattr("spinelift.inference.tables.find_spec", lambda _: None)
    run(scan)
    assert not (out / "summary.parquet").exists()
    assert len(rows(out / "summary.csv")) == 1


def test_exit_codes(run, tmp_path):
    good, bad = spine_png(tmp_path / "b.png"), no_spine_png(tmp_path / "a.png")
    worse, empty = no_spine_png(tmp_path / "c.png"), tmp_path / "e.png"
    empty.touch()
    for scans, code in (([good], 0), ([bad], 19), ([bad, worse], 19), ([bad, empty], 3), ([bad, good], 3)):
        assert run(*scans).exit_code == code


# Resume


def test_what_is_whole_is_not_predicted_again(run, out, tmp_path, monkeypatch):
    scans = [spine_png(tmp_path / "b.png"), no_spine_png(tmp_path / "a.png")]
    run(*scans)
    before = {path: path.stat().st_mtime_ns for path in (out / "b").iterdir()}
    monkeypatch.setattr(task, "load", lambda *_: pytest.fail("the model was loaded"))
    report = run(scans[0])
    assert (ids(report.new), ids(report.kept), report.results) == ([], ["b"], 1)
    assert {path: path.stat().st_mtime_ns for path in (out / "b").iterdir()} == before


@pytest.mark.parametrize(
    "change",
    [
        {"overwrite": True}, {"area": "total-body"}, {"mask": True}, {"pictures": True},
        {"spacing": dataclasses.replace(SPACING, row_mm=2.4)},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_other_options_predict_again(run, tmp_path, change):
    scan = spine_png(tmp_path / "b.png")
    run(scan)
    assert ids(run(scan, **change).new) == ["b"]
    again = run(scan, **{**change, "overwrite": False})
    assert ids(again.kept) == ["b"]


def test_files_that_are_there_beyond_the_wanted_ones_do_no_harm(run, tmp_path):
    scan = spine_png(tmp_path / "b.png")
    run(scan, pictures=True)
    assert ids(run(scan).kept) == ["b"]


def damage(folder, name):
    path = folder / name
    if name == "run.json":
        path.write_text("{")
    elif name == "curves.csv":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.unlink()


@pytest.mark.parametrize("name", ["run.json", "curves.csv", "curves.json"])
def test_a_result_that_is_not_whole_is_made_again(run, out, tmp_path, name):
    scan = spine_png(tmp_path / "b.png")
    run(scan)
    want = contents(out)
    damage(out / "b", name)
    assert ids(run(scan).new) == ["b"]
    assert contents(out) == want


def test_another_bundle_version_or_content_is_predicted_again(run, bundle, out, tmp_path, monkeypatch):
    scan = spine_png(tmp_path / "b.png")
    run(scan)
    spine_png(scan, bottom=(330.0, 800.0))
    assert ids(run(scan).new) == ["b"]
    assert [p.name for p in out.iterdir() if p.is_dir()] == ["b"]
    monkeypatch.setattr(task, "__version__", "0.0.0")
    assert ids(run(scan).new) == ["b"]
    monkeypatch.undo()
    other = write_bundle(tmp_path / "other", scale=1.7)
    job = Job(out, load_bundle(PredictionCard, other).ref, str(other), SPACING, pictures=False, threads=1)
    task.load.cache_clear()
    assert ids(run_batch(job, name_scans([scan])[0]).new) == ["b"]
    task.load.cache_clear()


def test_a_file_that_moved_keeps_its_result_and_gets_its_new_path(run, out, tmp_path):
    scan = spine_png(tmp_path / "b.png")
    run(scan)
    (tmp_path / "new").mkdir()
    moved = scan.rename(tmp_path / "new" / "b.png")
    assert ids(run(moved).kept) == ["b"]
    assert rows(out / "summary.csv")[0]["input"] == str(moved)
    run(moved, paths=False)
    assert rows(out / "summary.csv")[0]["input"] == ""
    assert str(tmp_path) not in (out / "b" / "run.json").read_text()
    assert rows(out / "summary.csv")[0]["file"] == "b.png"


# Tables of the whole folder


def test_tables_hold_results_and_failures_of_earlier_runs(run, out, tmp_path):
    good, bad = spine_png(tmp_path / "b.png"), no_spine_png(tmp_path / "a.png")
    worse = no_spine_png(tmp_path / "c.png")
    run(good, bad, worse)
    more = spine_png(tmp_path / "d.png", bottom=(330.0, 800.0))
    assert run(more).results == 2
    assert [row["scan_id"] for row in rows(out / "summary.csv")] == ["b", "d"]
    assert [row["file"] for row in rows(out / "failed.csv")] == ["a.png", "c.png"]
    spine_png(bad)
    run(bad)
    assert [row["file"] for row in rows(out / "failed.csv")] == ["c.png"]
    assert [row["scan_id"] for row in rows(out / "summary.csv")] == ["a", "b", "d"]
    spine_png(worse)
    run(worse)
    assert not (out / "failed.csv").exists()


def test_a_scan_that_fails_now_loses_its_old_result(run, out, tmp_path):
    scan = spine_png(tmp_path / "b.png")
    run(scan, pictures=True)
    (out / "b" / "mine.txt").write_text("keep")
    no_spine_png(scan)
    report = run(scan)
    assert report.removed == ["b"]
    assert [p.name for p in (out / "b").iterdir()] == ["mine.txt"]
    assert rows(out / "summary.csv") == []
    assert rows(out / "failed.csv")[0]["scan_id"] == "b"


def test_a_file_that_is_missing_now_keeps_its_result(run, out, tmp_path):
    scan = spine_png(tmp_path / "b.png")
    run(scan)
    scan.unlink()
    report = run(scan)
    assert report.removed == []
    assert rows(out / "failed.csv")[0]["error"] == "NoScansError"
    assert len(rows(out / "summary.csv")) == 1


def test_two_runs_at_once_make_whole_tables(bundle, out, tmp_path):
    for folder, bottoms in (("x", (830, 822, 815)), ("y", (808, 801, 794))):
        (tmp_path / folder).mkdir()
        for bottom in bottoms:
            spine_png(tmp_path / folder / f"{folder}{bottom}.png", bottom=(335.0, float(bottom)))
    runs = [start(tmp_path / folder, out, bundle, 0) for folder in ("x", "y", "y")]
    for process in runs:
        text = process.communicate(timeout=180)[0]
        assert text.rstrip().endswith("whole"), text
    assert [row["scan_id"] for row in rows(out / "summary.csv")] == [
        *("x815", "x822", "x830"), *("y794", "y801", "y808"),
    ]  # fmt: skip
    assert not list(out.rglob("*.part"))


# Names


def test_names_of_scans(tmp_path):
    (tmp_path / "sub").mkdir()
    first, copy = spine_png(tmp_path / "s.png"), spine_png(tmp_path / "sub" / "s.png")
    scans, copies = name_scans([first, copy])
    assert (ids_of(scans), copies) == (["s"], 1)
    spine_png(copy, bottom=(330.0, 800.0))
    scans, copies = name_scans([first, copy])
    assert copies == 0
    assert all(scan.scan_id.startswith("s-") for scan in scans)
    assert len({*ids_of(scans)}) == 2
    assert set(ids_of(scans)) == set(ids_of(name_scans([copy, first])[0]))
    zips = [tmp_path / f"1234567_20158_{k}.zip" for k in ("2_0", "2_1", "3_0")]
    assert ids_of(name_scans(zips)[0]) == ["1234567_2_0", "1234567_2_1", "1234567_3_0"]
    same = name_scans([tmp_path / "no" / "S.png", tmp_path / "s.png"])[0]
    assert len({scan.scan_id.casefold() for scan in same}) == 2


def ids_of(scans):
    return [scan.scan_id for scan in scans]


def test_ids_do_not_depend_on_the_other_scans_of_a_run(run, out, tmp_path):
    """A folder that grows, and a part of it that is given again, make no second result of a scan."""
    first, second, third = (tmp_path / folder / "腰.png" for folder in "xyz")
    for k, path in enumerate((first, second, third)):
        path.parent.mkdir()
        spine_png(path, bottom=(330.0, 800.0 + 10 * k))
    (name,) = ids(run(first).new)
    grown = run(first, second)
    assert ids(grown.kept) == [name]
    both = sorted([name, *ids(grown.new)])
    assert ids(run(second).kept) == ids(grown.new)
    assert sorted(ids(run(second, third, first).kept)) == both
    assert ids(run(os.path.relpath(first)).kept) == [name]
    assert len(rows(out / "summary.csv")) == 3
    assert len({row["input_sha256"] for row in rows(out / "summary.csv")}) == 3


@pytest.mark.parametrize("name", ["a.png", "腰椎.png", "1234567_20158_2_1.png"])
def test_the_batch_names_a_scan_as_the_api_does(tmp_path, name):
    path = spine_png(tmp_path / name)
    assert ids_of(name_scans([path])[0]) == [read_dxa(path, spacing=SPACING).scan_id]


def test_files_of_one_stem_keep_their_results_apart(run, out, tmp_path):
    folders = [tmp_path / "x", tmp_path / "y"]
    for folder in folders:
        folder.mkdir()
    first = spine_png(folders[0] / "s.png")
    second = spine_png(folders[1] / "s.png", bottom=(330.0, 800.0))
    run(first)
    (name,) = ids(run(second).new)
    assert name.startswith("s-")
    assert ids(run(second).kept) == [name]
    assert ids(run(first).kept) == ["s"]
    no_spine_png(second)
    report = run(second)
    assert report.removed == []
    assert [row["scan_id"] for row in rows(out / "summary.csv")] == sorted(["s", name])


NAMES = {
    "bytes": (b"caf\xe9 1.png", "caf_1", "caf\\xe9 1.png"),
    "control": (b"a\x1b[31m\nb.png", "a_31m_b", "a\\x1b[31m\\nb.png"),
    "order": ("a\u202eb.png".encode(), "a_b", "a\\u202eb.png"),
}


@pytest.mark.parametrize(("name", "scan_id", "shown"), NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("kind", ["good", "empty", "missing", "no match"])
def test_names_of_every_kind_reach_the_tables(run, out, tmp_path, name, scan_id, shown, kind):
    text = os.fsdecode(os.fsencode(tmp_path) + b"/" + name)
    try:
        spine_png(Path(text))
    except OSError:
        pytest.skip("the file system refuses such names")
    if kind == "empty":
        Path(text).write_bytes(b"")
    elif kind != "good":
        Path(text).unlink()
        text = text.replace(".png", "*.png") if kind == "no match" else text
        shown = shown.replace(".png", "*.png") if kind == "no match" else shown
    found = search_scans([text])
    run(*found.scans, without_scans=found.failed)
    table = "summary.csv" if kind == "good" else "failed.csv"
    (row,) = rows(out / table)
    assert (row["scan_id"].rstrip("_"), row["file"]) == (scan_id, shown)
    if kind != "good":
        assert f" {shown}" in row["message"]
    assert len((out / table).read_text(encoding="utf-8").splitlines()) == 2


@pytest.mark.parametrize("name", ["summary.csv", "failed.csv", "summary.parquet"])
def test_no_scan_has_the_name_of_a_table(run, out, tmp_path, name):
    spine_png(tmp_path / f"{name}.png")
    report = run(tmp_path / f"{name}.png")
    assert report.exit_code == 0
    assert (out / "summary.csv").is_file()


def test_an_odd_scan_id_makes_no_folder(tmp_path):
    for name in ("../x", "", "a/b", ".hidden"):
        with pytest.raises(ConfigError):
            result_folder(tmp_path, name)
    assert result_folder(tmp_path, "1234567_2_0") == tmp_path / "1234567_2_0"


# Failures of every kind


@pytest.mark.parametrize(
    "error",
    [ValueError("/home/someone/x.zip"), MemoryError(), OSError(28, "No space left on device", "/x/y")],
)
def test_any_exception_of_one_scan_is_its_row(run, out, tmp_path, monkeypatch, error):
    original = task.read_dxa

    def odd(path, **options):
        if path.name == "a.png":
            raise error
        return original(path, **options)

    monkeypatch.setattr(task, "read_dxa", odd)
    report = run(spine_png(tmp_path / "a.png"), spine_png(tmp_path / "b.png", bottom=(330.0, 800.0)))
    assert (ids(report.new), report.exit_code) == (["b"], 3)
    (row,) = rows(out / "failed.csv")
    assert (row["error"], row["exit_code"], row["stage"]) == (type(error).__name__, "1", "read")
    assert type(error).__name__ in row["message"]
    assert "/" not in row["message"]
    assert "Traceback" in report.failed[0].failure.details


def test_a_full_disk_for_one_scan_and_for_the_tables(run, out, tmp_path, monkeypatch):
    scans = [spine_png(tmp_path / "a.png"), spine_png(tmp_path / "b.png", bottom=(330.0, 800.0))]
    out.mkdir()
    (out / "a").write_text("in the way")
    report = run(*scans)
    assert (ids(report.new), report.exit_code) == (["b"], 3)
    assert rows(out / "failed.csv")[0]["error"] == "OutputError"
    with pytest.raises(OutputError):
        run(scans[0], out=out / "a")

    def full(*_):
        raise OutputError(found="no room", expected="room", do="Free some.")

    monkeypatch.setattr("spinelift.inference.tables.write_csv", full)
    with pytest.raises(OutputError, match="no room"):
        run(*scans)


@pytest.mark.parametrize("name", ["curves.json", "overlay.png", "run.json"])
def test_a_result_stays_if_the_new_one_cannot_be_written(run, out, tmp_path, monkeypatch, name):
    scan = spine_png(tmp_path / "a.png")
    run(scan, pictures=True)
    before = contents(out / "a")
    original = outputs.whole_file

    @contextmanager
    def full(path):
        with original(path) as file:
            if path.name == name:
                raise OSError(28, "No space left on device")
            yield file

    monkeypatch.setattr(outputs, "whole_file", full)
    report = run(scan, pictures=True, overwrite=True)
    assert report.removed == []
    assert contents(out / "a") == before
    assert [row["scan_id"] for row in rows(out / "summary.csv")] == ["a"]
    assert rows(out / "failed.csv")[0]["error"] == "OutputError"
    monkeypatch.undo()
    run(scan, pictures=True)
    assert not (out / "failed.csv").exists()


@pytest.fixture
def deadly(monkeypatch):
    """Results as of an engine whose processes die on a.png."""

    def engine(work, scans, **_):
        for scan in scans:
            error = WorkerDiedError(found="a death", expected="none", do="Look.")
            yield scan, error if scan.path.name == "a.png" else work(scan)

    monkeypatch.setattr(batch.engine, "run", engine)


def test_a_process_that_dies_costs_its_scan(run, out, tmp_path, deadly):
    scans = [spine_png(tmp_path / "a.png"), spine_png(tmp_path / "b.png", bottom=(330.0, 800.0))]
    report = run(*scans)
    assert (ids(report.new), report.exit_code) == (["b"], 3)
    assert rows(out / "failed.csv")[0]["error"] == "WorkerDiedError"


def test_an_interrupted_run_keeps_its_tables(run, out, tmp_path):
    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(spine_png(tmp_path / "b.png"), tmp_path / "never.png", on_done=stop)
    assert len(rows(out / "summary.csv")) == 1


# Many processes


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    """A folder with eight scans, one of them without a spine."""
    folder = tmp_path_factory.mktemp("scans")
    for k in range(7):
        spine_png(folder / f"s{k}.png", bottom=(338.0, 830.0 - 8 * k))
    no_spine_png(folder / "s7.png")
    return folder


@pytest.fixture(scope="module")
def calm(eight, bundle, tmp_path_factory):
    """Results of an undisturbed run in one process."""
    out = tmp_path_factory.mktemp("calm")
    finish(eight, out, bundle, 0)
    return contents(out)


def start(source, out, bundle, workers):
    driver = Path(__file__).parents[1] / "cases" / "batch_driver.py"
    command = [sys.executable, str(driver), str(source), str(out), str(bundle), str(workers)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(source, out, bundle, workers):
    text = start(source, out, bundle, workers).communicate(timeout=180)[0]
    assert text.rstrip().endswith("whole"), text


def test_results_do_not_depend_on_the_number_of_processes(eight, calm, bundle, tmp_path):
    finish(eight, tmp_path, bundle, 3)
    assert contents(tmp_path) == calm


def test_killed_at_random_moments_and_resumed_it_ends_with_the_same_bytes(eight, calm, bundle, tmp_path):
    rng = np.random.default_rng(3)
    out = tmp_path / "out"
    for round_ in range(10):
        before = len(list(out.glob("*/*"))) if out.exists() else 0
        process = start(eight, out, bundle, workers=2 * (round_ % 2))
        while process.poll() is None and len(list(out.glob("*/*"))) <= before:
            time.sleep(0.01)
        try:
            process.wait(timeout=float(rng.uniform(0, 0.15)))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.communicate()
        if round_ == 5:
            shutil.rmtree(next(out.glob("s*")))
    finish(eight, out, bundle, 2)
    assert contents(out) == calm


# Files of a result


def test_running_again_overwrites_what_it_wrote_and_nothing_else(run, out, tmp_path):
    scan = spine_png(tmp_path / "b.png")
    run(scan, pictures=True, mask=True)
    folder = out / "b"
    before = (folder / "curves.json").read_bytes()
    assert {*picture_names(), "mask.png", "mask.nii.gz"} < {p.name for p in folder.iterdir()}
    (folder / "mine.txt").write_text("keep")
    run(scan, overwrite=True)
    assert {p.name for p in folder.iterdir()} == {"curves.json", "curves.csv", "run.json", "mine.txt"}
    assert (folder / "curves.json").read_bytes() == before


@needs_pango
def test_the_page_is_written_if_wanted_and_removed_if_not(run, out, tmp_path):
    scan, page = spine_png(tmp_path / "b.png"), {"report.html", "report.pdf"}
    run(scan)
    assert len(run(scan, report=True).new) == 1, "a result without the page is not whole"
    assert page < {p.name for p in (out / "b").iterdir()}
    assert len(run(scan, report=True).kept) == 1
    run(scan, overwrite=True)
    assert not page & {p.name for p in (out / "b").iterdir()}


def test_run_json_says_what_was_done_and_nothing_personal(model, tmp_path):
    prediction = model.predict(spine_scan())
    folder = write_result(
        prediction, tmp_path, extra={"overlay.png": b"1"}, threads=1, timings_ms={"pictures": 3.0}
    )
    assert folder == tmp_path / "1234567_2"
    record = json.loads((folder / "run.json").read_text())
    assert record["format"] == 2
    assert record["scan_id"] == "1234567_2"
    assert record["input_sha256"] == "ab" * 32
    assert record["bundle"]["sha256"] == model.bundle.ref.sha256
    assert list(record["files"]) == ["curves.csv", "curves.json", "overlay.png"]
    assert record["files"]["overlay.png"] == 1
    assert record["timings_ms"]["segment"] > 0
    assert record["timings_ms"]["pictures"] == 3.0
    assert record["versions"]["onnxruntime"]
    assert str(tmp_path) not in json.dumps(record)
    assert "shift_score" in prediction.run_record()


def test_the_record_names_the_visit_of_a_ukb_file(bundle, out, tmp_path):
    path = visit_zip(tmp_path)
    job = Job(out, load_bundle(PredictionCard, bundle).ref, str(bundle), pictures=False, threads=1)
    about = job.about(name_scans([path])[0][0])
    assert (about["eid"], about["instance"], about["array"]) == (1234567, 2, 0)
    assert about["input"] == str(path)
    outcome = predict_scan(name_scans([path])[0][0], job)
    assert outcome.failure.stage == "predict"  # the phantom of the readers' tests has no spine


def test_errors_come_through_pickling():
    error = pickle.loads(pickle.dumps(NoSpineError(found="a", expected="b", do="c")))
    assert (error.found, error.expected, error.do) == ("a", "b", "c")
    plain = pickle.loads(pickle.dumps(SpineliftError(found="a", expected="b", do="c")))
    assert plain.exit_code == 1
