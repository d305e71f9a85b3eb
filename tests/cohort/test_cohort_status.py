"""``cohort status`` of a build that starts, runs, was stopped, or has ended."""

import os

import pytest
from cohort_driver import DIGEST, make_folders, make_record, quiet
from typer.testing import CliRunner

from spinelift.cli.cohort import app
from spinelift.cohort import build as build_module
from spinelift.cohort.build import Plan, build
from spinelift.cohort.manifest import PARTS
from spinelift.cohort.record import all_parts
from spinelift.cohort.status import RUNNING, read_state
from spinelift.errors import NoScansError, OutputError
from spinelift.files import locked

PEOPLE = 10


def status(store):
    return CliRunner().invoke(app, ["status", str(store)], catch_exceptions=False).output


def build_until(tmp_path, monkeypatch, count):
    """A build that stops after ``count`` visits, one every 3 s."""
    make_folders(tmp_path / "in", PEOPLE)

    def run(work, visits, **_):
        store = tmp_path / "store"
        began = (store / RUNNING).stat().st_mtime
        for k, visit in enumerate(visits[:count], 1):
            record = make_record(visit)
            yield visit, record
            (path,) = (p for p in all_parts(store / PARTS) if p.stem == record.key)
            os.utime(path, (began + 3 * k, began + 3 * k))
        if count < len(visits):
            raise KeyboardInterrupt

    monkeypatch.setattr(build_module.engine, "run", run)
    plan = Plan(tmp_path / "in" / "dxa", tmp_path / "in" / "mri", tmp_path / "store")
    return build(plan, digest=DIGEST, progress=quiet, log=print)


def test_before_anything_is_finished(tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        build_until(tmp_path, monkeypatch, 0)
    assert "build: 0 %, 0/12 visits processed, of 12 in the folders" in status(tmp_path / "store")


def test_while_networks_are_loaded(tmp_path, monkeypatch):
    make_folders(tmp_path / "in", PEOPLE)
    plan = Plan(tmp_path / "in" / "dxa", tmp_path / "in" / "mri", tmp_path / "store")

    def load(_):
        assert "build: starting, 12 visits in the folders" in status(tmp_path / "store")
        raise KeyboardInterrupt

    monkeypatch.setattr("spinelift.cohort.stages.Settings.load_and_hash", load)
    with pytest.raises(KeyboardInterrupt):
        build(plan, progress=quiet, log=print)


def test_counts_rate_and_time_left_of_a_first_and_of_a_resumed_build(tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        build_until(tmp_path, monkeypatch, 6)
    text = " ".join(status(tmp_path / "store").split())
    assert "50 %, 6/12 visits processed, of 12 in the folders, 1.2e+03 an hour, 0:00:18 left" in text
    state = read_state(tmp_path / "store")
    assert (state.done, state.todo, sum(state.statuses.values())) == (6, 12, 6)
    for path in all_parts(tmp_path / "store" / PARTS):  # made an hour ago
        os.utime(path, (path.stat().st_mtime - 3600,) * 2)
    with pytest.raises(KeyboardInterrupt):
        build_until(tmp_path, monkeypatch, 2)
    state = read_state(tmp_path / "store")
    assert (state.done, state.todo, sum(state.statuses.values())) == (2, 6, 8)


def test_after_the_end(tmp_path, monkeypatch):
    manifest = build_until(tmp_path, monkeypatch, 12)
    assert read_state(tmp_path / "store") is None
    text = status(tmp_path / "store")
    assert text.startswith(f"{len(manifest)} visits of {PEOPLE} people:")


def test_two_builds_of_one_store(tmp_path, monkeypatch):
    """The second one would remove what the first one is writing."""
    build_until(tmp_path, monkeypatch, 12)
    with locked(tmp_path / "store", wait=False) as alone:
        if not alone:
            pytest.skip("no such locks here")
        with pytest.raises(OutputError, match="another run that writes to store"):
            build_until(tmp_path, monkeypatch, 12)
    build_until(tmp_path, monkeypatch, 12)


def test_where_nothing_was_built(tmp_path):
    with pytest.raises(NoScansError):
        CliRunner().invoke(app, ["status", str(tmp_path)], catch_exceptions=False)
