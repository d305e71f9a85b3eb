"""The parts of a running server, which its routes share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spinelift.serve.jobs import Jobs
from spinelift.serve.pool import Pool
from spinelift.serve.problems import RefusedError
from spinelift.serve.settings import Settings


class Server:
    """Settings, jobs and workers of a server."""

    def __init__(self, settings: Settings, jobs: Jobs, pool: Pool) -> None:
        self.settings, self.jobs, self.pool = settings, jobs, pool
        self._uploads = 0

    @contextmanager
    def upload(self) -> Iterator[Path]:
        """A new folder for the files of a request; RefusedError if too many requests send files now."""
        if self._uploads >= self.settings.limits.uploads:
            raise RefusedError(
                503, found=f"{self._uploads} uploads at the same time", expected="fewer",
                do="Send it again in a second.", headers={"Retry-After": "1"},
            )  # fmt: skip
        self._uploads += 1  # by the thread of the event loop alone
        try:
            with self.jobs.incoming() as folder:
                yield folder
        finally:
            self._uploads -= 1
