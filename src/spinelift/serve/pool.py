"""Takes the waiting jobs in order, has worker processes do them, and keeps what became of them."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

from spinelift import engine
from spinelift.bundle import PredictionCard, load_bundle
from spinelift.errors import SpineliftError
from spinelift.serve.job import Job, Problem, Result
from spinelift.serve.jobs import Jobs
from spinelift.serve.settings import Settings
from spinelift.serve.work import Task, predict, warm_up

log = logging.getLogger(__name__)
_EXPIRE_S = 30.0
_SEND_AGAIN = "Send the file again. If it fails again, the file may be the cause."


def call(function: Callable[[], Any]) -> Any:
    """Call a function that was sent to a worker."""
    return function()


class Pool:
    """Works off the jobs, from ``start`` to ``stop``, in a thread that waits for worker processes.

    ``ready`` is set when the workers have done a first prediction. ``on_finish`` gets every job that ended.
    A full disk or a locked table makes it pause. ``on_error`` is called when there are no workers any more,
    for the cause ``error``.
    """

    def __init__(self, jobs: Jobs, settings: Settings) -> None:
        self.jobs, self._settings = jobs, settings
        self.ref = load_bundle(PredictionCard, settings.bundle).ref
        self.ready = threading.Event()
        self.on_finish: list[Callable[[Job, Result], None]] = []
        self._changed = threading.Event()
        self._running: dict[Future[Any], Job | None] = {}
        self._since: dict[Future[Any], float] = {}
        self._stopped, self._paused, self._room = False, False, max(1, settings.workers)
        self._expired = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="jobs")
        self.error: SpineliftError | None = None
        self.on_error: Callable[[], None] = lambda: None
        jobs.on_added = self._wake

    @property
    def is_working(self) -> bool:
        """Whether jobs are worked off now."""
        return self.ready.is_set() and not self._paused and self._thread.is_alive()

    def start(self) -> None:
        """Continue the jobs of an earlier server, and begin."""
        self.jobs.recover()
        self._thread.start()

    def stop(self) -> None:
        """End the workers; jobs that run wait again, for the next server."""
        self._stopped = True
        self._wake()
        self._thread.join()

    def _wake(self) -> None:
        self._changed.set()

    def _run(self) -> None:
        settings, limits = self._settings, self._settings.limits
        pool = engine.pool(
            call, workers=settings.workers, scheduler=settings.scheduler,
            memory=limits.worker_bytes, seconds=limits.job_s,
        )  # fmt: skip
        try:
            with pool as submit:
                for _ in range(self._room):
                    folder = self.jobs.folder / "incoming" / self.jobs.new_id()
                    self._submit(submit, partial(warm_up, folder, settings.bundle, self.ref), None)
                while not self._stopped:
                    self._changed.clear()
                    self._paused = not self._advance(submit)
                    self._changed.wait(1.0)
        except Exception as error:  # noqa: BLE001 (whatever it is, the server cannot go on)
            self.error = error if isinstance(error, SpineliftError) else _stopped(error)
            self.on_error()
        finally:
            with suppress(sqlite3.Error):  # or they are recovered at the next start
                for job in filter(None, self._running.values()):
                    self.jobs.release(job)

    def _advance(self, submit: engine.Submit) -> bool:
        """Keep what has ended and begin what there is room for; whether it could be kept."""
        try:
            self._collect()
            self._fill(submit)
            if time.monotonic() - self._expired > _EXPIRE_S:
                self.jobs.expire()
                self._expired = time.monotonic()
        except (OSError, sqlite3.OperationalError) as error:  # a full disk, or a locked table
            if not self._paused:
                log.error("jobs pause: they cannot be kept", extra={"error": type(error).__name__})
            return False
        return True

    def _submit(self, submit: engine.Submit, function: Callable[[], Any], job: Job | None) -> None:
        future = submit(function)
        self._running[future], self._since[future] = job, time.monotonic()
        future.add_done_callback(lambda _: self._wake())

    def _fill(self, submit: engine.Submit) -> None:
        while self.ready.is_set() and len(self._running) < self._room:
            job = self.jobs.claim()
            if job is None:
                return
            task = Task(
                self.jobs.path(job), job.name, job.parts, job.options, self._settings.bundle, self.ref
            )
            try:
                self._submit(submit, partial(predict, task), job)
            except OSError as error:  # of the cluster, not of the disk
                self.jobs.release(job)
                raise _stopped(error) from error

    def _collect(self) -> None:
        """Keep the results of what has ended."""
        for future in [future for future in self._running if future.done()]:
            result = engine.outcome(future)  # raises if the cluster has ended
            job, seconds = self._running[future], time.monotonic() - self._since[future]
            if job is None:
                if isinstance(result, Exception):
                    raise _not_ready(result)
            else:
                if isinstance(result, Exception):
                    result = Result(problem=_died(result))
                self.jobs.finish(job, result)
                self._report(job, result, seconds)
            del self._running[future], self._since[future]  # not before it is kept
            if not self._running:
                self.ready.set()

    def _report(self, job: Job, result: Result, seconds: float) -> None:
        """Log a job that ended, and call the listeners."""
        state, error = ("failed", result.problem.error) if result.problem else ("done", None)
        log.info(f"job {state}", extra={"seconds": seconds, "error": error})
        for listener in self.on_finish:
            try:
                listener(job, result)
            except Exception as fault:  # noqa: BLE001 (the job has ended all the same)
                log.error("listener of jobs failed", extra={"error": type(fault).__name__})


def _died(error: Exception) -> Problem:
    if isinstance(error, SpineliftError):
        return Problem.of(error, do=_SEND_AGAIN)
    shown = SpineliftError(
        found=f"an unexpected {type(error).__name__}", expected="a scan that is predicted", do=_SEND_AGAIN
    )
    return Problem.of(shown, name=type(error).__name__)


def _not_ready(error: Exception) -> SpineliftError:
    if isinstance(error, SpineliftError):
        return error
    return SpineliftError(
        found=f"a {type(error).__name__} in a worker's first prediction",
        expected="a prediction of the shipped demo scan",
        do="Run spinelift demo, which shows the cause.",
    )


def _stopped(error: Exception) -> SpineliftError:
    return SpineliftError(
        found=f"that the queue ended ({type(error).__name__})", expected="it to last until the server ends",
        do="Start the server again: with --data it continues. If it ends again, report it with the log.",
    )  # fmt: skip
