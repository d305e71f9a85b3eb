"""The SQLite file of a server, ``jobs.sqlite3``: each of its users has a connection and tables of its own."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spinelift.errors import OutputError

_LOCK_S = 30.0
"""Time that a connection waits for another one's transaction."""


class Database:
    """A connection, used by one thread at a time; what a transaction has changed is kept when it ends.

    ``tables``: SQL that makes them. Raises OutputError if the file cannot be used; later methods raise
    sqlite3.OperationalError if the disk is full or the file is locked, and then change nothing.
    """

    def __init__(self, folder: Path, tables: str) -> None:
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(
                folder / "jobs.sqlite3", timeout=_LOCK_S, check_same_thread=False, isolation_level=None
            )
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")  # a reply promises that the job or image is kept
            self._db.execute("PRAGMA secure_delete = ON")
            self._db.executescript(tables)
        except sqlite3.Error as error:
            raise OutputError(
                found=f"a jobs.sqlite3 that cannot be used ({error})",
                expected="the tables of an earlier server, or none",
                do="Choose another folder with --data.",
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The connection in a transaction, which is undone by an exception."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk may have ended it
                    self._db.execute("ROLLBACK")
                raise

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """Rows of a query."""
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def truncate(self) -> None:
        """Empty the write-ahead log, which holds what was removed."""
        self.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._db.close()
