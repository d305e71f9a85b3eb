import random
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinelift.errors import OutputError, QueueFullError
from spinelift.io.dxa.scan import scan_id
from spinelift.io.ukb_names import UkbName
from spinelift.serve.job import JobOptions, Problem, Result, State, clean_name
from spinelift.serve.jobs import TRIES, Jobs
from spinelift.serve.settings import Limits

BAD = Result("scan", problem=Problem("NoSpineError", "a", "b", "c", 19))
GOOD = Result("scan", ("w",), {"measures": {}}, {"a.txt": 3})


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def add(jobs, owner="me", name="scan.zip", count=1, **options):
    with jobs.incoming() as folder:
        scans = []
        for k in range(count):
            (folder / f"{k}").mkdir()
            (folder / f"{k}" / "0000.zip").write_bytes(b"x")
            scans.append((name, folder / f"{k}"))
        return jobs.add(owner, scans, JobOptions(), **options)


@pytest.fixture
def jobs(tmp_path):
    jobs = Jobs(tmp_path, Limits(queued=5, keep_s=100), clock=Clock())
    yield jobs
    jobs.close()


def finish(jobs, job, result=GOOD):
    (jobs.path(job) / "result" / "scan").mkdir(parents=True)
    (jobs.path(job) / "result" / "scan" / "a.txt").write_text("abc")
    (jobs.path(job) / "first").mkdir()
    jobs.finish(job, result)


def test_a_job_from_start_to_end(jobs):
    (job,) = add(jobs)
    assert (job.state, job.parts, jobs.positions()) == (State.QUEUED, 1, {job.id: 1})
    assert [p.name for p in (jobs.path(job) / "input").iterdir()] == ["0000.zip"]
    running = jobs.claim()
    assert (running.id, running.state, running.tries) == (job.id, State.RUNNING, 1)
    assert jobs.positions() == {}
    assert jobs.claim() is None
    finish(jobs, running)
    done = jobs.get(job.id, "me")
    assert (done.state, done.result) == (State.DONE, GOOD)
    assert (jobs.results(done) / "a.txt").read_text() == "abc"
    # The scan, and what was shown first, are kept no longer than they are needed.
    assert [path.name for path in jobs.path(done).iterdir()] == ["result"]


def test_a_failed_job_keeps_its_problem_and_no_file(jobs):
    add(jobs)
    job = jobs.claim()
    finish(jobs, job, BAD)
    failed = jobs.get(job.id, "me")
    assert (failed.state, failed.result) == (State.FAILED, BAD)
    assert not jobs.path(job).exists()


def test_over_the_bound_none_of_a_batch_is_kept(jobs):
    add(jobs, count=4)
    with pytest.raises(QueueFullError, match="4 jobs that wait"):
        add(jobs, count=2)
    assert jobs.counts()[State.QUEUED] == 4
    assert len(list((jobs.folder / "jobs").iterdir())) == 4
    assert not list((jobs.folder / "incoming").iterdir())


def test_a_full_disk_changes_nothing_and_what_follows_works(jobs):
    (pages,) = jobs._database.rows("PRAGMA page_count")[0]
    jobs._database.rows(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        add(jobs, count=2, name="x" * 10_000)
    assert not jobs.of("me")
    assert not [*(jobs.folder / "jobs").iterdir(), *(jobs.folder / "incoming").iterdir()]
    jobs._database.rows("PRAGMA max_page_count = 10000")
    add(jobs, name="x" * 10_000)
    assert jobs.claim()


def test_a_transaction_that_cannot_be_committed_is_undone(jobs):
    jobs._database.rows("PRAGMA foreign_keys = ON")
    jobs._database.rows("CREATE TABLE t (id REFERENCES jobs (id) DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(sqlite3.IntegrityError), jobs._database.transaction() as db:
        db.execute("INSERT INTO t VALUES ('none')")
    (job,) = add(jobs)
    assert jobs.claim().id == job.id


def test_owners_see_their_own_jobs_alone(jobs):
    (mine,) = add(jobs)
    (theirs,) = add(jobs, owner="you")
    assert [job.id for job in jobs.of("me")] == [mine.id]
    assert jobs.get(theirs.id, "me") is None


def test_an_owner_of_many_jobs_does_not_keep_others_waiting(jobs):
    add(jobs, owner="many", count=4)
    (one,) = add(jobs, owner="one")
    assert jobs.claim().owner == "many"
    assert jobs.claim().id == one.id


@pytest.mark.parametrize("claimed", [False, True])
def test_a_cancelled_job_stays_cancelled_and_leaves_no_file(jobs, claimed):
    (job,) = add(jobs)
    if claimed:
        jobs.claim()
    assert jobs.cancel(job)
    assert not jobs.cancel(job)
    if claimed:
        finish(jobs, job)
    assert jobs.get(job.id, "me").state is State.CANCELLED
    assert jobs.get(job.id, "me").result == Result()
    assert not jobs.path(job).exists()
    jobs.remove(job)
    assert jobs.get(job.id, "me") is None


def test_a_job_that_is_removed_while_it_runs_leaves_no_file(jobs):
    add(jobs)
    job = jobs.claim()
    jobs.remove(job)
    finish(jobs, job)
    assert not list((jobs.folder / "jobs").iterdir())


def test_what_ended_expires_and_what_waits_does_not(jobs):
    for _ in range(2):
        add(jobs)
    job = jobs.claim()
    jobs._clock.now += 90
    finish(jobs, job)
    jobs._clock.now += 90
    assert jobs.expire() == 0
    jobs._clock.now += 20
    assert jobs.expire() == 1
    assert jobs.get(job.id, "me") is None
    assert len(list((jobs.folder / "jobs").iterdir())) == 1


def test_a_killed_server_loses_nothing_that_it_accepted(jobs):
    add(jobs, count=3)
    done, interrupted = jobs.claim(), jobs.claim()
    finish(jobs, done)
    (jobs.path(done) / "input").mkdir()  # it was killed before it had removed the scan
    (jobs.folder / "incoming" / "cut").mkdir()
    (jobs.folder / "jobs" / "0" / "input").mkdir(parents=True)
    later = Jobs(jobs.folder, jobs.limits, clock=jobs._clock)  # the other one was not closed
    later.recover()
    assert [job.state for job in later.of("me")] == [State.QUEUED, State.QUEUED, State.DONE]
    assert later.claim().id == interrupted.id
    assert [path.name for path in jobs.path(done).iterdir()] == ["result"]
    assert len(list((jobs.folder / "jobs").iterdir())) == 3
    assert not list((jobs.folder / "incoming").iterdir())
    later.close()


def test_a_job_that_ends_the_server_each_time_fails_in_the_end(jobs):
    (job,) = add(jobs)
    for number in range(TRIES):
        assert jobs.claim().tries == number + 1
        jobs.recover()
    assert jobs.claim() is None
    failed = jobs.get(job.id, "me")
    assert (failed.state, failed.result.problem.error) == (State.FAILED, "WorkerDiedError")


def test_a_server_that_stops_in_order_does_not_count_as_a_try(jobs):
    add(jobs)
    for _ in range(TRIES + 1):
        job = jobs.claim()
        jobs.release(job)
    assert jobs.claim().tries == 1


@pytest.mark.parametrize("seed", range(2))
def test_any_order_of_events_keeps_files_and_table_together(tmp_path, seed):
    rng, limits = random.Random(seed), Limits(queued=6, keep_s=30)
    clock = Clock()
    jobs = Jobs(tmp_path, limits, clock=clock)
    accepted, removed, running = set(), set(), []
    for _ in range(120):
        clock.now += rng.choice([0, 1, 20])
        known = jobs.of("me")
        match rng.choice(["add", "claim", "claim", "finish", "cancel", "remove", "expire", "kill"]):
            case "add":
                try:
                    accepted |= {job.id for job in add(jobs, count=rng.randint(1, 3))}
                    assert jobs.counts()[State.QUEUED] <= limits.queued
                except QueueFullError:
                    assert jobs.counts()[State.QUEUED] > 3
            case "claim":
                running += [job] if (job := jobs.claim()) else []
            case "finish" if running:
                finish(jobs, running.pop(0), rng.choice([GOOD, BAD]))
            case "cancel" if known:
                jobs.cancel(rng.choice(known))
            case "remove" if known:
                job = rng.choice(known)
                jobs.remove(job)
                removed.add(job.id)
            case "expire":
                ended = {job.id for job in known if job.state.is_final and job.expires < clock.now}
                assert jobs.expire() == len(ended)
                removed |= ended
            case "kill":
                jobs.close()
                running = []
                jobs = Jobs(tmp_path, limits, clock=clock)
                jobs.recover()
        kept = jobs.of("me")
        assert {job.id for job in kept} == accepted - removed
        busy = {job.id for job in running}
        needed = {job.id for job in kept if job.state in (State.QUEUED, State.RUNNING, State.DONE)}
        assert needed <= {folder.name for folder in (tmp_path / "jobs").iterdir()} <= needed | busy
        assert {job.id for job in kept if job.state is State.RUNNING} <= busy
    jobs.close()


def test_a_table_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "jobs.sqlite3").write_bytes(b"no table" * 1000)
    with pytest.raises(OutputError, match=r"jobs\.sqlite3"):
        Jobs(tmp_path)


def test_names_are_in_no_file_once_a_job_is_removed(jobs):
    (job,) = add(jobs, name="Zzyzx.zip")
    jobs.remove(job)
    jobs.close()
    assert b"Zzyzx" not in (jobs.folder / "jobs.sqlite3").read_bytes()
    with sqlite3.connect(jobs.folder / "jobs.sqlite3") as db:
        assert db.execute("SELECT count(*) FROM jobs").fetchone() == (0,)
    db.close()


NAMES = st.one_of(
    st.text(max_size=60),
    st.from_regex(r"[1-9][0-9]{0,8}_20158_[0-9]{1,2}_[0-9](\.zip|\.ZIP|\.dcm|)", fullmatch=True),
    st.sampled_from(["..", ".", "", "a/", "/", "~", ".zip", "con", "1.2.840.10008", "é\u202e.png"]),
)


@given(NAMES)
def test_a_name_gives_the_same_scan_as_on_the_command_line(name):
    cleaned = clean_name(name)
    assert not {"/", "\\", "\0"} & set(cleaned)
    assert cleaned not in (".", "..")
    assert len(cleaned) <= 220
    if {"/", "\\", "\0"} & set(name) or name in ("", ".", ".."):
        return
    name = name.encode("utf-8", "replace").decode()
    by_command = Path("scans") / name
    assert scan_id(Path(cleaned), lambda: "0" * 64) == scan_id(by_command, lambda: "0" * 64)
    assert UkbName.parse(cleaned) == UkbName.parse(name)


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\scans\\1234567_20158_2_0.zip", "1234567_20158_2_0.zip"),
        ("a\0b.zip", "ab.zip"),
        ("x" * 300 + ".zip", "x" * 200 + ".zip"),
        ("folder/", "folder"),
        ("..", ""),
    ],
)
def test_names_are_cleaned(name, cleaned):
    assert clean_name(name) == cleaned
