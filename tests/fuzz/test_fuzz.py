"""A bounded run of the harness: no traceback, abort, hang, waste of memory, or silent wrong result."""

from collections import Counter

import numpy as np
import pytest
from tests.fuzz.__main__ import table, write_report
from tests.fuzz.kinds import KINDS, keys
from tests.fuzz.runner import FAILURES, Outcome, run, run_one, save

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


def _raise(rng, folder):
    from tests.fuzz.case import Case

    return Case("raise", lambda: [][1], str)


def _wrong(rng, folder):
    from tests.fuzz.case import Case

    return Case("wrong", int, lambda result: "a number that is 0")


@pytest.mark.parametrize(("maker", "outcome"), [(_raise, "traceback"), (_wrong, "wrong")])
def test_failures_are_noticed(tmp_path, monkeypatch, maker, outcome):
    monkeypatch.setitem(KINDS, "withdrawn", maker)
    found = run_one(("withdrawn", 1, 1), tmp_path / "case")
    assert found.outcome == outcome
    assert found.failed


def test_table_counts_every_outcome(tmp_path):
    outcomes = [Outcome("truth", 1, k, "x", name) for k, name in enumerate(("result", "refused", *FAILURES))]
    last = next(line for line in table(outcomes).splitlines() if line.startswith("| all"))
    assert Counter(last.split("|")[3].split() + last.split("|")[2].split()) == Counter({"1": 1, "9": 1})
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- measured: begin -->\nold\n<!-- measured: end -->\nb\n")
    write_report(page, "new")
    assert page.read_text() == "a\n<!-- measured: begin -->\nnew\n<!-- measured: end -->\nb\n"
