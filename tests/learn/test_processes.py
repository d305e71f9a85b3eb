"""Runs in several processes, and runs that are killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import ddp_run
import numpy as np
import pytest
from store_cases import make_pairs

from spinelift.errors import ConfigError, WorkerDiedError
from spinelift.learn.loop.checkpoint import CHECKPOINT, read_rows
from spinelift.learn.regressor.config import RegressorConfig, SimulatedConfig
from spinelift.learn.regressor.train import train_regressor
from spinelift.simulate.identity import stream
from spinelift.simulate.stores import make_pair

DDP_RUN = Path(ddp_run.__file__)
SECONDS = 240
"""Longest wait for another process."""


def test_two_processes_learn_as_one_with_the_same_total_batch(tmp_path):
    make_pairs(tmp_path / "pairs.zarr", 12, 1)
    make_pairs(tmp_path / "val.zarr", 4, 2, first_eid=2_000_000)
    ddp_run.main(tmp_path, 1)
    words = [sys.executable, str(DDP_RUN), str(tmp_path), "2"]
    subprocess.run(words, check=True, timeout=SECONDS)
    curves = []
    for processes in (1, 2):
        record = json.loads((tmp_path / str(processes) / "run.json").read_text())
        assert record["device"]["processes"] == processes
        rows = read_rows(tmp_path / str(processes) / "log.csv")
        names = ("loss", "coronal_mae_mm", "sagittal_mae_mm")
        curves.append([float(row["value"]) for row in rows if row["name"] in names])
    assert len(curves[0]) == 7  # five steps, and two metrics of the validation
    np.testing.assert_allclose(*curves, rtol=1e-4)
    assert curves[0][0] != curves[0][4]


SIMULATED = """
base: smoke.yaml
loop: {steps: 12, batch: 4, checkpoint_seconds: 0.0, log_every: 2, validate_every: 100, validate_limit: 4}
simulated: {seed: 5, buffer: 6, images_per_person: 8, workers: 1}
"""


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    (folder / "config.yaml").write_text(SIMULATED)
    return folder, make_pairs(folder / "val.zarr", 4, 2)


def children(process: int) -> set[int]:
    """Processes that descend from one."""
    parent = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # ended meanwhile
            continue
    found, last = {process}, 0
    while len(found) != last:
        last = len(found)
        found |= {child for child, above in parent.items() if above in found}
    return found - {process}


def wait_for(condition, what):
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="lists processes as Linux does")
def test_a_killed_run_leaves_no_workers_and_resumes_to_the_same_validation(setting, tmp_path):
    folder, val = setting
    config = RegressorConfig.load(folder / "config.yaml")
    whole = train_regressor(config, data=[], validation=val, out=tmp_path / "whole")
    words = [sys.executable, "-m", "spinelift", "train", "regressor", "--val", str(val)]
    words += ["--config", str(folder / "config.yaml"), "--out", str(tmp_path / "cut")]
    run = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    wait_for(lambda: (tmp_path / "cut" / CHECKPOINT).exists() or run.poll() is not None, "no checkpoint")
    workers = children(run.pid)
    assert workers
    os.kill(run.pid, signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "workers live on")
    cut = train_regressor(config, data=[], validation=val, out=tmp_path / "cut", resume=True)
    assert whole.steps == cut.steps == 12
    assert cut.validation == pytest.approx(whole.validation, abs=1e-6)
    record = json.loads((tmp_path / "cut" / "run.json").read_text())
    assert record["data"] == ["simulated people of seed 5"]
    assert record["people"] == 6 + 11 * 4 // 8


def test_people_enter_in_order_whatever_the_workers_do(setting):
    from spinelift.learn.regressor.people import SimulatedPeople

    config = SimulatedConfig(seed=5, buffer=3, images_per_person=4, workers=2)
    with SimulatedPeople(config) as people:
        mean = people.first_curves().mean(0)
        for images in range(0, 20, 2):
            people.advance(images)
        held = people.people
        images, curves, *_ = (t.numpy() for t in people._arrays)
    assert held == 3 + 18 // 4
    numbers = [6, 4, 5]  # 0 1 2, then 3 4 5 6 in their places
    for row, number in enumerate(numbers):
        image, true, _ = make_pair(5, number)
        np.testing.assert_array_equal(images[row], image)
        np.testing.assert_array_equal(curves[row], true)
    first = np.mean([make_pair(5, number)[1] for number in range(3)], axis=0)
    np.testing.assert_allclose(mean, first, rtol=1e-5, atol=1e-4)


def dies_at_two(number: int) -> int:
    if number == 2:
        os._exit(1)
    return number


def test_a_worker_that_dies_ends_the_run_with_an_error():
    numbers = stream(dies_at_two, 0, 1)
    with pytest.raises(WorkerDiedError, match="died"):
        list(numbers)


def test_simulated_people_are_of_one_process(setting, tmp_path):
    folder, val = setting
    config = RegressorConfig.load(folder / "config.yaml").override({"device.devices": 2})
    with pytest.raises(ConfigError, match="one process"):
        train_regressor(config, data=[], validation=val, out=tmp_path / "run")
