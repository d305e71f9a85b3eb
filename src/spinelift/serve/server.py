"""The parts of a running server, which its routes share."""

import logging
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spinelift.serve.jobs import Jobs
from spinelift.serve.node.node import Node
from spinelift.serve.pool import Pool
from spinelift.serve.problems import RefusedError, no_room
from spinelift.serve.settings import Settings

_log = logging.getLogger(__name__)


class Server:
    """Settings, jobs, workers and DICOM node of a server."""

    def __init__(self, settings: Settings, jobs: Jobs, pool: Pool, node: Node) -> None:
        self.settings, self.jobs, self.pool, self.node = settings, jobs, pool, node
        self._uploads = Counter[str]()

    @contextmanager
    def upload(self, client: str) -> Iterator[Path]:
        """A new folder for the files of a request of a client, who may have half of all uploads.

        Raises RefusedError if too many requests send files now, or if what they send cannot be kept.
        """
        most = self.settings.limits.uploads
        own, all_ = self._uploads[client], self._uploads.total()
        if all_ >= most or own >= max(1, most // 2):
            raise RefusedError(
                503, found=f"{own} uploads of this client at the same time, {all_} of all", expected="fewer",
                do="Send it again in a second.", headers={"Retry-After": "1"},
            )  # fmt: skip
        self._uploads[client] += 1  # by the thread of the event loop alone
        try:
            with self.jobs.incoming() as folder:
                yield folder
        except (OSError, sqlite3.OperationalError) as error:
            _log.error("an upload cannot be kept", extra={"error": type(error).__name__})
            raise no_room(type(error).__name__) from None
        finally:
            self._uploads[client] -= 1
            self._uploads += Counter()  # drops those at 0
