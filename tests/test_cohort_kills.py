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
from spinelift.cohort.store import PairStore

DRIVER = Path(__file__).with_name("cohort_driver.py")
PEOPLE, KILLS = 60, 20


def start(folder, out, seconds):
    return subprocess.Popen(
        [sys.executable, str(DRIVER), str(folder), str(out), str(seconds)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, text=True,
    )  # fmt: skip


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
            if parent == pid and b"spawn_main" in line:
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
    make_folders(tmp_path / "in", PEOPLE)
    rng = random.Random(7)
    killed = {"driver": 0, "worker": 0}
    out = tmp_path / "disturbed"
    for k in range(KILLS):
        run = start(tmp_path / "in", out, 0.25)
        before = len(all_parts(out / "parts"))
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and len(all_parts(out / "parts")) == before and run.poll() is None:
            time.sleep(0.02)
        time.sleep(rng.uniform(0.0, 0.3))
        workers = workers_of(run.pid)
        if k % 2 and workers:
            os.kill(rng.choice(workers), signal.SIGKILL)
            killed["worker"] += 1
            time.sleep(rng.uniform(0.0, 0.5))
        else:
            killed["driver"] += 1
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    done = len(all_parts(out / "parts"))
    assert 0 < done < PEOPLE * 1.2 + 1
    assert killed["worker"] >= 5
    last = start(tmp_path / "in", out, 0.0)
    text, _ = last.communicate(timeout=60)
    assert "whole" in text, text
    calm = start(tmp_path / "in", tmp_path / "calm", 0.0)
    text, _ = calm.communicate(timeout=60)
    assert "whole" in text, text
    same(out, tmp_path / "calm")


def test_a_worker_killed_in_the_middle_costs_nothing(tmp_path):
    make_folders(tmp_path / "in", 12)
    run = start(tmp_path / "in", tmp_path / "out", 0.4)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not all_parts(tmp_path / "out" / "parts"):
        time.sleep(0.05)
    workers = workers_of(run.pid)
    assert workers, "no worker processes were found"
    os.kill(workers[0], signal.SIGKILL)
    text, _ = run.communicate(timeout=90)
    assert "whole" in text, text
    manifest = pl.read_parquet(tmp_path / "out" / MANIFEST)
    assert len(manifest) == 15
    assert not (manifest["error"] == "WorkerDied").any()
