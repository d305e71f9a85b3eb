"""kill -9 of the driver and of workers: the resumed build ends with the store of an undisturbed one."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
from cohort_driver import make_folders

from spinelift.cohort.manifest import MANIFEST, PAIRS, SPLITS
from spinelift.cohort.record import all_parts
from spinelift.store.rows import PairStore

DRIVER = Path(__file__).parents[1] / "cases" / "cohort_driver.py"
PEOPLE, ROUNDS = 60, 10
PATIENCE = 180
"""Seconds for what takes three on an idle machine."""


def start(folder, out, seconds):
    """A driver in a session of its own; what it prints goes to ``folder/log``."""
    with (folder / "log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, str(DRIVER), str(folder), str(out), str(seconds)],
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


def finish(run, folder):
    run.wait(timeout=PATIENCE)
    text = (folder / "log").read_text()
    assert text.rstrip().endswith("whole"), text


def wait_for_parts(run, out, more_than):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and run.poll() is None:
        if len(all_parts(out / "parts")) > more_than:
            return
        time.sleep(0.02)


def workers_of(pid):
    """Processes below the driver that run Python code of their own."""
    out = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                line = (entry / "cmdline").read_bytes()
            except (OSError, IndexError):
                continue
            if parent == pid and b"serve()" in line:
                out.append(int(entry.name))
    return out


def same(first, second):
    a, b = pl.read_parquet(first / MANIFEST), pl.read_parquet(second / MANIFEST)
    assert a.equals(b)
    assert (first / SPLITS).read_bytes() == (second / SPLITS).read_bytes()
    x, y = PairStore.open(first / PAIRS).load(), PairStore.open(second / PAIRS).load()
    for name in ("image", "curves", "mm_per_px", "eid"):
        np.testing.assert_array_equal(getattr(x, name), getattr(y, name))


def test_killed_at_random_moments_it_ends_with_the_same_store(tmp_path):
    """Ten times a worker is killed and, a moment later, the driver with all that is left."""
    folder, out = tmp_path / "in", tmp_path / "disturbed"
    make_folders(folder, PEOPLE)
    rng = random.Random(7)
    workers_killed = 0
    for _ in range(ROUNDS):
        run = start(folder, out, 0.25)
        wait_for_parts(run, out, len(all_parts(out / "parts")))
        time.sleep(rng.uniform(0.0, 0.3))
        if workers := workers_of(run.pid):
            os.kill(rng.choice(workers), signal.SIGKILL)
            workers_killed += 1
        time.sleep(rng.uniform(0.0, 0.5))
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    assert 0 < len(all_parts(out / "parts")) < PEOPLE * 1.2
    assert workers_killed >= ROUNDS // 2
    finish(start(folder, out, 0.0), folder)
    finish(start(folder, tmp_path / "calm", 0.0), folder)
    same(out, tmp_path / "calm")


def test_a_worker_killed_in_the_middle_costs_nothing(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    make_folders(folder, 12)
    run = start(folder, out, 0.4)
    wait_for_parts(run, out, 0)
    workers = workers_of(run.pid)
    assert workers, "no worker processes were found"
    os.kill(workers[0], signal.SIGKILL)
    finish(run, folder)
    manifest = pl.read_parquet(out / MANIFEST)
    assert len(manifest) == 15
    assert not (manifest["error"] == "WorkerDiedError").any()
