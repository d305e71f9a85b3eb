"""The jobs of a server: a table in SQLite and one folder a job, which outlive the process.

``jobs.sqlite3``, ``incoming/`` (uploads that are not complete) and ``jobs/<id>/`` with ``input/``, ``first/``
and ``result/<scan id>/``. Files of an upload are called ``0000``, ``0001``, …, with a suffix of
``SUFFIXES``; the client's name is in the table alone.
"""

import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from spinelift.errors import QueueFullError, SpineliftError
from spinelift.files import make_folder, synchronise
from spinelift.io.inputs import FileKind
from spinelift.serve.database import Database
from spinelift.serve.job import Job, JobOptions, Problem, Result, State, to_text
from spinelift.serve.settings import Limits

SUFFIXES = frozenset(suffix for kind in FileKind for suffix in kind.value)
"""Suffixes that a reader looks at where the content does not show the kind."""
FIRST = "first"
"""Folder of what is shown before a job is done."""
TRIES = 3
"""How often a job is started, if the server ends while it runs."""
_TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, batch TEXT NOT NULL,
  name TEXT NOT NULL, parts INTEGER NOT NULL, options TEXT NOT NULL, state TEXT NOT NULL,
  created REAL NOT NULL, expires REAL NOT NULL, started REAL, finished REAL, tries INTEGER NOT NULL DEFAULT 0,
  result TEXT);
CREATE INDEX IF NOT EXISTS jobs_owner ON jobs (owner, number);
CREATE INDEX IF NOT EXISTS jobs_state ON jobs (state, number);
CREATE INDEX IF NOT EXISTS jobs_batch ON jobs (batch, number);
"""
_CLAIM = """
UPDATE jobs SET state = 'running', started = ?, tries = tries + 1 WHERE number = (
  SELECT number FROM jobs AS waiting WHERE state = 'queued' ORDER BY (
    SELECT count(*) FROM jobs AS running WHERE running.state = 'running' AND running.owner = waiting.owner
  ), number LIMIT 1) RETURNING *
"""
"""The oldest job of an owner who has the fewest running."""


class Jobs:
    """Jobs of all owners. Its methods can be called from any thread."""

    def __init__(
        self, folder: Path, limits: Limits | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.folder, self.limits, self._clock = folder, limits or Limits(), clock
        self.on_added: Callable[[], None] = lambda: None
        make_folder(folder / "jobs")
        shutil.rmtree(folder / "incoming", ignore_errors=True)
        make_folder(folder / "incoming")
        self._database = Database(folder, _TABLE)

    def close(self) -> None:
        """Close the table."""
        self._database.close()

    @staticmethod
    def new_id() -> str:
        """An id of a job or a batch, which nobody can guess."""
        return secrets.token_hex(16)

    def now(self) -> float:
        """Seconds since 1970."""
        return self._clock()

    def path(self, job: Job) -> Path:
        """Folder of a job."""
        return self.folder / "jobs" / job.id

    def results(self, job: Job) -> Path:
        """Folder that holds the files of a job's result."""
        return self.path(job) / "result" / job.result.scan_id

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """A new folder for the files of uploads, with one sub-folder a scan, which ``add`` takes over."""
        folder = self.folder / "incoming" / self.new_id()
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def add(
        self, owner: str, scans: Sequence[tuple[str, Path]], options: JobOptions, *, batch: str = ""
    ) -> list[Job]:
        """Accept scans, each of a client's name and a folder of its files, all or none.

        They are kept when this returns: also a server that is killed then does them when it starts again.
        Raises QueueFullError if too many jobs wait.
        """
        expires = (now := self._clock()) + self.limits.keep_s
        taken = [(self.new_id(), name, files) for name, files in scans]
        folders = [self.folder / "jobs" / job_id for job_id, *_ in taken]
        try:
            rows = []
            for folder, (job_id, name, files) in zip(folders, taken, strict=True):
                folder.mkdir(mode=0o700)
                parts = len(list(files.iterdir()))
                files.rename(folder / "input")
                synchronise(folder / "input")
                synchronise(folder)
                rows.append((job_id, owner, batch, name, parts, to_text(options), now, expires))
            synchronise(self.folder / "jobs")
            self._insert(rows)
        except BaseException:
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        self.on_added()
        return [self._one("id = ?", job_id) for job_id, *_ in taken]

    def get(self, job_id: str, owner: str) -> Job | None:
        """A job of an owner."""
        return next(iter(self._select("id = ? AND owner = ?", job_id, owner)), None)

    def of(self, owner: str, batch: str = "") -> list[Job]:
        """Jobs of an owner, or those of one of its batches, newest first."""
        where, values = ("AND batch = ?", (batch,)) if batch else ("", ())
        return self._select(f"owner = ? {where} ORDER BY number DESC", owner, *values)

    def positions(self) -> dict[str, int]:
        """Place in the queue, from 1, of each job that waits, by its id."""
        rows = self._database.rows("SELECT id FROM jobs WHERE state = 'queued' ORDER BY number")
        return {row["id"]: place for place, row in enumerate(rows, start=1)}

    def counts(self) -> dict[State, int]:
        """Number of jobs in each state."""
        rows = self._database.rows("SELECT state, count(*) FROM jobs GROUP BY state")
        return dict.fromkeys(State, 0) | {State(state): count for state, count in rows}

    def claim(self) -> Job | None:
        """The next job, which is running then; None if none waits."""
        with self._database.transaction() as db:
            row = db.execute(_CLAIM, (self._clock(),)).fetchone()
        return Job.of(row) if row else None

    def finish(self, job: Job, result: Result) -> None:
        """Keep what became of a running job; nothing of one that was cancelled or removed meanwhile."""
        now, state = self._clock(), State.FAILED if result.problem else State.DONE
        with self._database.transaction() as db:
            kept = db.execute(
                "UPDATE jobs SET state = ?, finished = ?, expires = ?, result = ? "
                "WHERE id = ? AND state = 'running'",
                (state, now, now + self.limits.keep_s, to_text(result), job.id),
            ).rowcount
        self._clean(self.path(job), state if kept else None)

    def release(self, job: Job) -> None:
        """Let a running job wait again, as if it had not been started."""
        with self._database.transaction() as db:
            db.execute(
                "UPDATE jobs SET state = 'queued', started = NULL, tries = tries - 1 "
                "WHERE id = ? AND state = 'running'",
                (job.id,),
            )

    def cancel(self, job: Job) -> bool:
        """Cancel a job that has not ended; whether it was one."""
        now = self._clock()
        with self._database.transaction() as db:
            row = db.execute(
                "UPDATE jobs SET state = 'cancelled', finished = ?, expires = ? "
                "WHERE id = ? AND state IN ('queued', 'running') RETURNING started",
                (now, now + self.limits.keep_s, job.id),
            ).fetchone()
        if row and row["started"] is None:  # the files of a running one are removed by ``finish``
            shutil.rmtree(self.path(job), ignore_errors=True)
        return row is not None

    def remove(self, job: Job) -> None:
        """Remove a job and its files; those of a running one when it has ended."""
        with self._database.transaction() as db:
            row = db.execute("DELETE FROM jobs WHERE id = ? RETURNING state", (job.id,)).fetchone()
        if row and row["state"] != State.RUNNING:
            shutil.rmtree(self.path(job), ignore_errors=True)

    def expire(self) -> int:
        """Remove the jobs that ended too long ago; returns their number."""
        old = self._select("expires < ? AND state IN ('done', 'failed', 'cancelled')", self._clock())
        for job in old:
            self.remove(job)
        self._database.truncate()
        return len(old)

    def recover(self) -> None:
        """At start: let jobs wait again that were running when an earlier server ended, ``TRIES`` times.

        Remove folders that no job needs, and scans whose results are there.
        """
        for job in self._select("state = 'running'"):
            if job.tries >= TRIES:
                self.finish(job, Result(problem=Problem.of(_interrupted(job.tries), name="WorkerDiedError")))
        with self._database.transaction() as db:
            db.execute("UPDATE jobs SET state = 'queued', started = NULL WHERE state = 'running'")
        keep = self._database.rows("SELECT id, state FROM jobs WHERE state IN ('queued', 'done')")
        known = {row["id"]: State(row["state"]) for row in keep}
        for folder in (self.folder / "jobs").iterdir():
            self._clean(folder, known.get(folder.name))

    @staticmethod
    def _clean(folder: Path, state: State | None) -> None:
        """Remove what a job in a state does not need of its folder; None: there is no such job."""
        if state is State.DONE:
            for name in ("input", FIRST):
                shutil.rmtree(folder / name, ignore_errors=True)
        elif state is not State.QUEUED:
            shutil.rmtree(folder, ignore_errors=True)

    def _insert(self, rows: Sequence[tuple[object, ...]]) -> None:
        """Keep new jobs, if that many may wait."""
        with self._database.transaction() as db:
            (waiting,) = db.execute("SELECT count(*) FROM jobs WHERE state = 'queued'").fetchone()
            if waiting + len(rows) > self.limits.queued:
                raise QueueFullError(
                    found=f"{waiting} jobs that wait already",
                    expected=f"at most {self.limits.queued} with the new ones",
                    do="Send it again later.",
                )
            db.executemany(
                "INSERT INTO jobs (id, owner, batch, name, parts, options, state, created, expires) "
                "VALUES (?, ?, ?, ?, ?, ?, 'queued', ?, ?)",
                rows,
            )

    def _select(self, where: str, *values: object) -> list[Job]:
        return [Job.of(row) for row in self._database.rows(f"SELECT * FROM jobs WHERE {where}", *values)]

    def _one(self, where: str, *values: object) -> Job:
        (job,) = self._select(where, *values)
        return job


def _interrupted(tries: int) -> SpineliftError:
    return SpineliftError(
        found=f"that the server ended {tries} times while it worked on this scan",
        expected="it to finish",
        do="Send the file again. If it fails again, the file may be the cause.",
    )
