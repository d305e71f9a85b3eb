import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import engine_cases as cases
import pytest

from spinelift import engine
from spinelift.errors import ConfigError, WorkerDiedError

TASKS = [1, cases.ABORT, 2, cases.RAISE, cases.KILL, "x", cases.END_OF_FILE, cases.UNPICKLABLE, 3]


@pytest.fixture
def processes_and_results():
    """Process ids of a run that still goes on, and the iterator of its results."""
    results = engine.run(cases.process_of, range(1000), workers=2)
    pids = {next(results)[1] for _ in range(30)}
    yield pids, results
    results.close()


def is_running(pid):
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (OSError, ValueError):
        return False


def wait_until(condition):
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


@pytest.mark.parametrize("ordered", [True, False])
def test_a_dead_process_costs_its_task_alone(ordered):
    results = dict(engine.run(cases.work, TASKS, workers=2, ordered=ordered))
    kinds = {task: type(result).__name__ for task, result in results.items()}
    died = dict.fromkeys((cases.ABORT, cases.KILL), "WorkerDiedError")
    raised = {cases.RAISE: "ValueError", cases.END_OF_FILE: "EOFError", cases.UNPICKLABLE: "TypeError"}
    assert kinds == {1: "int", 2: "int", 3: "int", "x": "str"} | died | raised
    assert [results[task] for task in (1, 2, 3, "x")] == [2, 4, 6, "xx"]
    assert isinstance(results[cases.KILL], WorkerDiedError)
    assert "SIGKILL" in str(results[cases.KILL])
    if ordered:
        assert list(results) == TASKS


def test_without_processes_the_results_are_the_same():
    tasks = [1, cases.RAISE, "x"]
    here, there = (list(engine.run(cases.work, tasks, workers=n, ordered=True)) for n in (0, 2))
    assert [repr(result) for _, result in here] == [repr(result) for _, result in there]


def test_tasks_are_taken_little_by_little():
    taken = []
    results = engine.run(cases.work, (taken.append(k) or k for k in range(100)), workers=2)
    next(results)
    results.close()
    assert len(taken) <= 6


def test_what_cannot_be_sent_is_done_here(tmp_path):
    with (tmp_path / "a").open("w") as file:
        ((_, name),) = engine.run(cases.name_of_file, [file], workers=1)
    assert name == str(tmp_path / "a")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_nobody_can_reach_the_processes(processes_and_results):
    """They hold no socket at all: nothing listens, and no other client can connect and run code."""
    pids, _ = processes_and_results
    assert len(pids) == 2
    for pid in pids:
        links = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]  # noqa: PTH115
        assert any(link.startswith("pipe:") for link in links)
        assert not [link for link in links if link.startswith("socket:")]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_closing_ends_the_processes(processes_and_results):
    pids, results = processes_and_results
    assert all(map(is_running, pids))
    results.close()
    wait_until(lambda: not any(map(is_running, pids)))


def test_a_process_that_holds_too_much_is_ended():
    if not Path("/proc/self/statm").exists():
        pytest.skip("the memory of a process is counted on Linux alone")
    held = b"x" * (300 << 20)  # a driver that holds more itself
    results = dict(engine.run(cases.hold, [0, 400], workers=1, memory=200 << 20))
    del held
    assert results[0] == 0
    assert isinstance(results[400], WorkerDiedError)
    assert "more memory" in results[400].found


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_processes_end_with_their_driver(number):
    """At once, and not when their tasks are done."""
    code = "from spinelift import engine; import time; next(engine.run(time.sleep, [60, 60], workers=2))"
    driver = subprocess.Popen([sys.executable, "-c", code])
    threads = Path(f"/proc/{driver.pid}/task")

    def pids():
        return [int(pid) for file in threads.glob("*/children") for pid in file.read_text().split()]

    wait_until(lambda: len(pids()) == 2)
    workers = pids()
    time.sleep(0.5)  # until they have their tasks
    driver.send_signal(number)
    assert driver.wait() == -number
    wait_until(lambda: not any(map(is_running, workers)))


def test_a_dask_cluster_does_the_same():
    distributed = pytest.importorskip("distributed")
    local = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": "127.0.0.1:0"}
    with distributed.LocalCluster(processes=False, protocol="inproc://", **local) as cluster:
        address = cluster.scheduler_address
        results = dict(engine.run(cases.work, [1, cases.RAISE, "x"], scheduler=address))
    assert isinstance(results.pop(cases.RAISE), ValueError)
    assert results == {1: 2, "x": "xx"}


def test_a_pool_ends_a_task_that_takes_too_long_and_goes_on():
    with engine.pool(time.sleep, workers=1, seconds=0.3) as submit:
        late, good = submit(30), submit(0)
        assert engine.outcome(good) is None
        assert "more time" in str(engine.outcome(late))


def test_a_pool_without_processes_is_a_thread():
    with engine.pool(cases.work, workers=0) as submit:
        assert engine.outcome(submit(1)) == 2
        assert isinstance(engine.outcome(submit(cases.RAISE)), ValueError)


def test_closing_a_run_on_a_cluster_does_not_wait_for_its_tasks():
    distributed = pytest.importorskip("distributed")
    local = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    with distributed.LocalCluster(processes=False, protocol="inproc://", **local) as cluster:
        results = engine.run(time.sleep, [0.01, *[0.5] * 40], scheduler=cluster.scheduler_address)
        next(results)
        began = time.monotonic()
        results.close()
        assert time.monotonic() - began < 5


def test_a_cluster_that_ends_stops_the_run(monkeypatch):
    """Its tasks did not fail: they are done when the run is started again."""
    distributed = pytest.importorskip("distributed")
    local = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    monkeypatch.setitem(distributed.config["distributed"]["comm"]["timeouts"], "connect", "1s")
    with distributed.LocalCluster(processes=False, protocol="inproc://", **local) as cluster:
        results = engine.run(time.sleep, [0.01, *[0.2] * 40], scheduler=cluster.scheduler_address)
        next(results)
        cluster.close()
        with pytest.raises(WorkerDiedError, match="cluster ended"):
            list(results)


def test_processes_import_nothing_from_the_folder_that_they_run_in(tmp_path, monkeypatch):
    """It may be a folder of data; a script's own folder is on the path that they get."""
    (tmp_path / "queue.py").write_text("raise RuntimeError")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [part for part in sys.path if part])
    assert dict(engine.run(cases.work, [1], workers=1)) == {1: 2}


def test_a_scheduler_that_is_not_there():
    pytest.importorskip("distributed")
    with pytest.raises(ConfigError, match="no Dask scheduler"):
        next(engine.run(cases.work, [1], scheduler="nonsense://nowhere"))
