"""A bounded run of the harness: no traceback, abort, hang, waste of memory, or silent wrong result."""

import os
import time
from collections import Counter

import numpy as np
import pytest
from tests.fuzz import runner
from tests.fuzz.__main__ import table, write_report
from tests.fuzz.case import PERSON, Case
from tests.fuzz.kinds import KINDS, keys
from tests.fuzz.runner import FAILURES, Outcome, run, run_one, save

from spinelift.errors import ConfigError

COUNT = 1500


@pytest.mark.slow
def test_hostile_and_damaged_inputs_are_read_right_or_refused(tmp_path):
    outcomes = []
    for outcome in run(keys(1, COUNT, list(KINDS)), tmp_path):
        outcomes.append(outcome)
        if outcome.failed:
            save(outcome, tmp_path)
    failed = [f"{o.kind}:{o.seed}:{o.number} {o.outcome} {o.detail[-300:]}" for o in outcomes if o.failed]
    assert not failed, f"replay with python -m tests.fuzz --replay KIND:SEED:NUMBER\n{chr(10).join(failed)}"
    assert len(outcomes) >= COUNT - len(KINDS)
    assert {o.kind for o in outcomes} == set(KINDS)


def test_same_number_gives_the_same_input(tmp_path):
    def contents(folder):
        found = {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        assert found
        return found

    for kind in ("dicom-bytes", "dxa-zip-members", "picture-damaged", "nifti-fields", "withdrawn"):
        folders = [tmp_path / f"{kind}{k}" for k in range(2)]
        for folder in folders:
            folder.mkdir()
            KINDS[kind](np.random.default_rng([7, 1]), folder)
        assert contents(folders[0]) == contents(folders[1])


@pytest.mark.parametrize(
    ("read", "outcome"),
    [
        (lambda: [][1], "traceback"),
        (lambda: 0, "wrong"),
        (lambda: (_ for _ in ()).throw(ConfigError(found=PERSON, expected="", do="")), "leak"),
        (lambda: (_ for _ in ()).throw(ConfigError(found="", expected="", do="")), "wrong"),
    ],
)
def test_failures_are_noticed(tmp_path, monkeypatch, read, outcome):
    case = Case("x", read, lambda result: "it is 0" if result == 0 else "", must_read=True)
    monkeypatch.setitem(KINDS, "truth", lambda rng, folder: case)
    assert run_one(("truth", 1, 1), tmp_path / "case").outcome == outcome


def _serve_dying(pipe, folder):
    pipe.recv()
    pipe.send("dying")
    os.abort()


def _serve_sleeping(pipe, folder):
    pipe.recv()
    pipe.send("sleeping")
    time.sleep(60)


@pytest.mark.parametrize(("serve", "outcome"), [(_serve_dying, "abort"), (_serve_sleeping, "hang")])
def test_deaths_and_hangs_are_those_of_their_inputs(tmp_path, monkeypatch, serve, outcome):
    monkeypatch.setattr(runner, "_serve", serve)
    monkeypatch.setattr(runner, "HANG_S", 0.5)
    (found,) = run([("truth", 1, 1)], tmp_path, workers=1)
    assert (found.outcome, found.what) == (outcome, serve.__name__.removeprefix("_serve_"))


def test_table_counts_every_outcome(tmp_path):
    outcomes = [Outcome("truth", 1, k, "x", name) for k, name in enumerate(("result", "refused", *FAILURES))]
    last = next(line for line in table(outcomes).splitlines() if line.startswith("| all"))
    assert Counter(last.split("|")[3].split() + last.split("|")[2].split()) == Counter({"1": 1, "9": 1})
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- measured: begin -->\nold\n<!-- measured: end -->\nb\n")
    write_report(page, "new")
    assert page.read_text() == "a\n<!-- measured: begin -->\nnew\n<!-- measured: end -->\nb\n"
