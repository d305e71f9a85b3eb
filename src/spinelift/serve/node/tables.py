"""Tables of the node in the database of the jobs: studies, their objects, and deliveries to the archive.

They hold hashes in place of UIDs, and nothing else of a header.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spinelift.errors import OutputError

_TABLES = """
CREATE TABLE IF NOT EXISTS dicom_studies (
  study TEXT PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL,
  version INTEGER NOT NULL, due REAL NOT NULL, job TEXT);
CREATE TABLE IF NOT EXISTS dicom_objects (
  study TEXT NOT NULL, object TEXT NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL,
  PRIMARY KEY (study, object));
CREATE TABLE IF NOT EXISTS dicom_deliveries (
  delivery TEXT PRIMARY KEY, study TEXT NOT NULL, name TEXT NOT NULL, tries INTEGER NOT NULL,
  due REAL NOT NULL, commitment TEXT);
"""


class Tables:
    """The tables, in transactions of one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(
                folder / "jobs.sqlite3", timeout=30, check_same_thread=False, isolation_level=None
            )
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")  # success is returned for what is kept
            self._db.executescript(_TABLES)
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
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """Rows of a query."""
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._db.close()
