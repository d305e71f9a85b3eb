"""Results on their way to the archive: kept on disk until it has acknowledged each of them."""

import logging
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from pydicom.uid import generate_uid

from spinelift.files import make_folder, whole_folder
from spinelift.report import STL_DICOM
from spinelift.serve.node.archive import ArchiveError, Sent, instance_uid
from spinelift.serve.node.inbox import Study
from spinelift.serve.node.tables import Tables

_log = logging.getLogger(__name__)


class Archive(Protocol):
    """Where results go."""

    commitment_s: float | None
    """Time in which the archive reports that it keeps what it stored; None: it is not asked."""

    def send(self, files: Sequence[Path], commitment: str | None) -> Sent:
        """Send files; raises ArchiveError if the archive cannot be reached.

        ``commitment``: identifier under which the archive is asked to report.
        """


@dataclass(frozen=True)
class Delivery:
    """Files of a result that have not been acknowledged, ``<data>/dicom/out/<delivery>/``."""

    delivery: str
    study: str
    name: str
    tries: int
    due: float
    commitment: str | None

    @classmethod
    def of(cls, row: sqlite3.Row) -> Self:
        """The delivery of a row of the table."""
        return cls(**dict(row))


class Outbox:
    """Deliveries, sent in the order of their times. ``pause_after``: seconds to wait after n attempts."""

    def __init__(
        self, tables: Tables, folder: Path, archive: Archive, *, names: Sequence[str],
        pause_after: Callable[[int], float], clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.folder, self._tables, self._archive, self._names = folder, tables, archive, tuple(names)
        self._pause_after, self._clock = pause_after, clock
        self._failures, self._resume = 0, 0.0
        self._reported = threading.Lock()
        make_folder(folder)
        known = {delivery.delivery for delivery in self._select("1")}
        for left in folder.iterdir():
            if left.name not in known:
                shutil.rmtree(left, ignore_errors=True)

    def __len__(self) -> int:
        return len(self._tables.rows("SELECT 1 FROM dicom_deliveries"))

    def add(self, delivery: str, study: Study, results: Path) -> None:
        """Keep copies of the results that are to be sent. A delivery that is there already begins anew."""
        names = [name for name in self._names if (results / name).is_file()]
        if not names:
            _log.warning("%s: no DICOM objects to send, since its header lacks what they need", study.name)
            return
        with whole_folder(self.folder / delivery) as folder:
            folder.mkdir()
            for name in names:
                shutil.copy(results / name, folder / name)
        with self._tables.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO dicom_deliveries VALUES (?, ?, ?, 0, ?, NULL)",
                (delivery, study.study, study.name, self._clock()),
            )

    def advance(self) -> None:
        """Send what is due. All wait while the archive cannot be reached."""
        if self._clock() < self._resume:
            return
        for delivery in self._select("due <= ? ORDER BY due", self._clock()):
            try:
                self._send(delivery)
            except ArchiveError as error:
                self._failures += 1
                pause = self._pause_after(self._failures)
                self._resume = self._clock() + pause
                _log.warning("archive: %s; %d results wait, next attempt in %g s", error, len(self), pause)
                return
            except Exception as error:  # noqa: BLE001 (of this delivery alone; its text may hold personal data)
                pause = self._put_off(delivery)
                name = type(error).__name__
                _log.error("%s: unexpected %s; next attempt in %g s", delivery.name, name, pause)
                continue
            self._failures = 0

    def _send(self, delivery: Delivery) -> None:
        folder = self.folder / delivery.delivery
        files = self._files(delivery)
        if not files:  # all were acknowledged before the node was killed
            self._acknowledged(delivery)
            return
        wait = self._archive.commitment_s
        uid = None
        if wait is not None:  # kept before it is used, since the report may come at once
            uid = str(generate_uid())
            self._change(delivery, commitment=uid, due=self._clock() + wait)
        try:
            sent = self._archive.send(files, uid)
        except ArchiveError:
            self._change(delivery, due=self._clock())
            raise
        failed = dict(sent.failed)
        if any(file.name == STL_DICOM for file in failed) and sent.is_unsupported(folder / STL_DICOM):
            failed.pop(folder / STL_DICOM)
            (folder / STL_DICOM).unlink()
            _log.warning("%s: the archive does not take %s, which is left out", delivery.name, STL_DICOM)
        if failed:
            pause = self._put_off(delivery)
            reasons = ", ".join(f"{file.name}: {reason}" for file, reason in failed.items())
            _log.warning("%s: not stored: %s; next attempt in %g s", delivery.name, reasons, pause)
        if wait is None:
            for file in sent.stored:
                file.unlink()
            if not failed:
                self._acknowledged(delivery)

    def committed(self, commitment: str, instances: set[str]) -> bool:
        """Take the archive's report; whether it is of a delivery. What it does not keep is sent again."""
        with self._reported:
            for delivery in self._select("commitment = ?", commitment):
                if {instance_uid(file) for file in self._files(delivery)} <= instances:
                    self._acknowledged(delivery)
                else:
                    self._put_off(delivery, commitment=None)
                    _log.warning("%s: the archive does not keep all results", delivery.name)
                return True
        return False

    def _files(self, delivery: Delivery) -> list[Path]:
        """Files of a delivery that are still to be sent, of the kinds that are sent now."""
        paths = [self.folder / delivery.delivery / name for name in self._names]
        return [path for path in paths if path.is_file()]

    def _put_off(self, delivery: Delivery, **values: object) -> float:
        """Count an attempt; returns the seconds until the next one."""
        pause = self._pause_after(delivery.tries + 1)
        self._change(delivery, tries=delivery.tries + 1, due=self._clock() + pause, **values)
        return pause

    def _acknowledged(self, delivery: Delivery) -> None:
        with self._tables.transaction() as db:
            db.execute("DELETE FROM dicom_deliveries WHERE delivery = ?", (delivery.delivery,))
        shutil.rmtree(self.folder / delivery.delivery, ignore_errors=True)
        _log.info("%s: acknowledged by the archive", delivery.name)

    def _select(self, where: str, *values: object) -> list[Delivery]:
        rows = self._tables.rows(f"SELECT * FROM dicom_deliveries WHERE {where}", *values)
        return [Delivery.of(row) for row in rows]

    def _change(self, delivery: Delivery, **values: object) -> None:
        columns = ", ".join(f"{name} = ?" for name in values)
        with self._tables.transaction() as db:
            db.execute(
                f"UPDATE dicom_deliveries SET {columns} WHERE delivery = ?",
                (*values.values(), delivery.delivery),
            )
