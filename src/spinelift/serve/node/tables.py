"""Tables of the node in the database of the jobs: studies, their objects, and deliveries to the archive.

They hold hashes in place of UIDs, and nothing else of a header.
"""

from pathlib import Path

from spinelift.serve.database import Database

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


class Tables(Database):
    """The tables."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, _TABLES)
