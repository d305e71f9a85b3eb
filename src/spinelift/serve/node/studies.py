"""From received studies to jobs, and from finished jobs to deliveries."""

import logging
import os
import time
from collections.abc import Callable

from spinelift.errors import QueueFullError
from spinelift.serve.job import Job, JobOptions, State
from spinelift.serve.jobs import Jobs
from spinelift.serve.node.inbox import Inbox, Stage, Study
from spinelift.serve.node.outbox import Outbox

RETRY_S, QUEUE_S = 30.0, 5.0
"""Pauses after an unexpected error of a study, such as a full disk, and where the queue is full."""
_SESSION = "session:"
_log = logging.getLogger(__name__)


class Studies:
    """One job for each study that is complete, and one delivery for each result.

    Whatever is killed when, :meth:`advance` goes on: a job that is gone is added again, and a delivery that
    was begun is made anew, with the same objects.
    """

    def __init__(
        self, inbox: Inbox, jobs: Jobs, outbox: Outbox | None, *, keep_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._inbox, self._jobs, self._outbox, self._keep_s, self._clock = inbox, jobs, outbox, keep_s, clock
        self._paused: dict[str, float] = {}

    def advance(self) -> None:
        """Do what can be done now."""
        for study in self._inbox.due():
            self._try(self._predict, study)
        for study in self._inbox.predicting():
            self._try(self._collect, study)
        for study in self._inbox.remove_old():
            _log.info("%s: removed", study.name)

    def _try(self, function: Callable[[Study], None], study: Study) -> None:
        """Do something with a study; an error is of this study alone."""
        if self._clock() < self._paused.get(study.study, 0):
            return
        self._paused.pop(study.study, None)
        try:
            function(study)
        except QueueFullError:  # there will be room
            self._paused[study.study] = self._clock() + QUEUE_S
        except Exception as error:  # noqa: BLE001 (its text may hold personal data)
            self._paused[study.study] = self._clock() + RETRY_S
            _log.error("%s: unexpected %s; next attempt in %g s", study.name, type(error).__name__, RETRY_S)

    def _predict(self, study: Study) -> None:
        earlier = self._jobs.get(study.job, study.owner) if study.job else None
        if earlier is not None:  # of fewer images
            self._jobs.cancel(earlier)
        files = self._inbox.files(study)
        with self._jobs.incoming() as folder:
            scan = folder / "0"
            scan.mkdir()
            for number, file in enumerate(files):
                os.link(file, scan / f"{number:04}.dcm")
            (job,) = self._jobs.add(study.owner, [(study.name, scan)], JobOptions())
        self._inbox.started(study, job.id)
        _log.info("%s: predicting, %d images", study.name, len(files))

    def _collect(self, study: Study) -> None:
        job = self._jobs.get(study.job, study.owner) if study.job else None
        is_ours = not study.owner.startswith(_SESSION)
        if job is None or job.state is State.CANCELLED:
            if is_ours:
                self._inbox.again(study)
            else:  # its owner has removed it
                self._inbox.ended(study, Stage.FAILED, self._clock())
        elif job.state is State.FAILED:
            problem = job.result.problem
            if problem is not None:
                reason = problem.error, problem.found, problem.expected
                _log.warning("%s: failed: %s: found %s; expected %s", study.name, *reason)
            self._inbox.ended(study, Stage.FAILED, job.expires)
        elif job.state is State.DONE:
            self._deliver(study, job)
            if self._inbox.ended(study, Stage.DONE, self._clock() + self._keep_s if is_ours else job.expires):
                _log.info("%s: predicted", study.name)
                if is_ours:
                    self._jobs.remove(job)

    def _deliver(self, study: Study, job: Job) -> None:
        if self._outbox is not None:
            self._outbox.add(f"{study.study}-{study.version}", study, self._jobs.results(job))
