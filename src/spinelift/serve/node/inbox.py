"""Received objects: kept on disk until the results of their study have been acknowledged."""

import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from spinelift.errors import OutputError
from spinelift.files import make_folder, write_whole
from spinelift.serve.node.objects import ReceivedObject, RefusedObjectError, Status, uid_hash
from spinelift.serve.node.tables import Tables

MIN_FREE_BYTES = 512 << 20
"""Room on the disk below which nothing is taken."""


class Stage(StrEnum):
    """Where a study is."""

    RECEIVING = "receiving"
    """It has objects that no prediction has seen."""
    PREDICTING = "predicting"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Study:
    """A study of one owner.

    ``name``: the same for every owner, made of a hash; results and logs name it. ``version``: grows with
    every change of its objects. ``due``: when it is predicted (receiving) or removed (done, failed), seconds
    since 1970. ``job``: id of its job.
    """

    study: str
    owner: str
    name: str
    state: Stage
    version: int
    due: float
    job: str | None

    @classmethod
    def of(cls, row: sqlite3.Row) -> Self:
        """The study of a row of the table."""
        return cls(**dict(row) | {"state": Stage(row["state"])})


class Inbox:
    """Studies with their objects, ``<data>/dicom/in/<study>/<object>``. Can be used from any thread."""

    def __init__(
        self, tables: Tables, folder: Path, *, held_bytes: int, pause_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.folder, self._tables, self._clock = folder, tables, clock
        self._held_bytes, self._pause_s = held_bytes, pause_s
        self._lock = threading.RLock()
        self._open: dict[threading.Thread, set[str]] = {}
        make_folder(folder)
        known = {row["study"] for row in tables.rows("SELECT study FROM dicom_studies")}
        for left in folder.iterdir():
            if left.name not in known:
                shutil.rmtree(left, ignore_errors=True)

    def store(self, owner: str, received: ReceivedObject, *, thread: threading.Thread | None = None) -> str:
        """Keep an object, also over a crash of the machine once this returns; returns the id of its study.

        An object that is held already, or a result that comes back, changes nothing. The study is not
        predicted while the ``thread`` of the connection lives. Raises RefusedObjectError if there is no room.
        """
        study = uid_hash(owner, received.study_instance)
        name = f"study-{uid_hash(received.study_instance)[:12]}"
        if received.is_result:
            return study
        key, sha256, size = uid_hash(received.sop_instance), received.sha256, len(received.data)
        with self._lock:
            if thread is not None:
                self._open.setdefault(thread, set()).add(study)
            query = "SELECT sha256 FROM dicom_objects WHERE study = ? AND object = ?"
            if [row["sha256"] for row in self._tables.rows(query, study, key)] == [sha256]:
                return study
            self._check_room(size)
            try:
                make_folder(self.folder / study)
                write_whole(self.folder / study / key, received.data)
                with self._tables.transaction() as db:
                    db.execute(
                        "INSERT OR REPLACE INTO dicom_objects VALUES (?, ?, ?, ?)", (study, key, sha256, size)
                    )
                    db.execute(
                        "INSERT INTO dicom_studies VALUES (:study, :owner, :name, :state, 1, :due, NULL) "
                        "ON CONFLICT (study) DO UPDATE SET state = :state, due = :due, version = version + 1",
                        {"study": study, "owner": owner, "name": name, "state": Stage.RECEIVING,
                         "due": self._clock() + self._pause_s},
                    )  # fmt: skip
            except (OutputError, sqlite3.Error) as error:
                raise RefusedObjectError(Status.OUT_OF_RESOURCES, type(error).__name__) from error
        return study

    def _check_room(self, size: int) -> None:
        (row,) = self._tables.rows("SELECT coalesce(sum(bytes), 0) AS held FROM dicom_objects")
        if row["held"] + size > self._held_bytes:
            raise RefusedObjectError(Status.OUT_OF_RESOURCES, "as many images are held as may be")
        if shutil.disk_usage(self.folder).free < MIN_FREE_BYTES + size:
            raise RefusedObjectError(Status.OUT_OF_RESOURCES, "the disk is full")

    def due(self) -> list[Study]:
        """Studies that are complete, as far as one can say: the pause after their last connection is over."""
        with self._lock:
            for thread in [thread for thread in self._open if not thread.is_alive()]:
                for study in self._open.pop(thread):
                    later = self._clock() + self._pause_s
                    self._change(study, f"state = '{Stage.RECEIVING}'", due=later)
            opened = {study for studies in self._open.values() for study in studies}
            ready = self._select("state = 'receiving' AND due <= ?", self._clock())
        return [study for study in ready if study.study not in opened]

    def predicting(self) -> list[Study]:
        """Studies that have a job."""
        return self._select("state = 'predicting'")

    def get(self, owner: str, study_instance: str) -> Study | None:
        """A study of an owner by its Study Instance UID."""
        return next(iter(self._select("study = ?", uid_hash(owner, study_instance))), None)

    def files(self, study: Study) -> list[Path]:
        """Files of a study, in the order of their names."""
        rows = self._tables.rows("SELECT object FROM dicom_objects WHERE study = ?", study.study)
        return sorted(self.folder / study.study / row["object"] for row in rows)

    def started(self, study: Study, job: str) -> bool:
        """Keep the job of a study; whether no object has come meanwhile."""
        with self._lock:
            self._change(study.study, job=job)
            return self._change(study.study, f"version = {study.version}", state=Stage.PREDICTING)

    def ended(self, study: Study, state: Stage, due: float) -> bool:
        """End the prediction of a study, to be removed when ``due``; whether no object has come meanwhile."""
        return self._change(study.study, self._unchanged(study), state=state, due=due)

    def again(self, study: Study) -> None:
        """Predict a study again, whose job is gone."""
        self._change(study.study, self._unchanged(study), state=Stage.RECEIVING)

    def remove_old(self) -> list[Study]:
        """Remove the studies whose time has come and whose results have all been acknowledged."""
        query = (
            "state IN ('done', 'failed') AND due <= ? "
            "AND NOT EXISTS (SELECT 1 FROM dicom_deliveries AS d WHERE d.study = dicom_studies.study)"
        )
        with self._lock:
            old = self._select(query, self._clock())
            for study in old:
                with self._tables.transaction() as db:
                    for table in ("dicom_studies", "dicom_objects"):
                        db.execute(f"DELETE FROM {table} WHERE study = ?", (study.study,))
                shutil.rmtree(self.folder / study.study, ignore_errors=True)
        return old

    @staticmethod
    def _unchanged(study: Study) -> str:
        return f"version = {study.version} AND state = '{Stage.PREDICTING}'"

    def _select(self, where: str, *values: object) -> list[Study]:
        return [
            Study.of(row) for row in self._tables.rows(f"SELECT * FROM dicom_studies WHERE {where}", *values)
        ]

    def _change(self, study: str, where: str = "1", **values: object) -> bool:
        columns = ", ".join(f"{name} = ?" for name in values)
        query = f"UPDATE dicom_studies SET {columns} WHERE study = ? AND {where}"
        with self._tables.transaction() as db:
            return bool(db.execute(query, (*values.values(), study)).rowcount)
