"""The node as one object: its tables and its threads."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from spinelift.files import make_folder
from spinelift.serve.jobs import Jobs
from spinelift.serve.node.archive import DicomSender
from spinelift.serve.node.config import FILES, DicomArchive, NodeConfig
from spinelift.serve.node.inbox import Inbox
from spinelift.serve.node.outbox import Archive, Outbox
from spinelift.serve.node.server import Receiver
from spinelift.serve.node.stow import WebSender
from spinelift.serve.node.studies import Studies
from spinelift.serve.node.tables import Tables

HELD_BYTES, PAUSE_S, KEEP_S = 10_000_000_000, 5.0, 3600.0
"""Bounds of a server without a node, whose studies come by STOW-RS."""
INTERVAL_S = 0.5
STOP_S = 10.0
"""Time for what is being sent when the node stops; what was not acknowledged is sent again."""
_log = logging.getLogger(__name__)


class Node:
    """Studies that come in by C-STORE or STOW-RS, and their results on the way to the archive.

    ``config``: None takes studies by STOW-RS alone, and sends nothing. After :meth:`stop`, another node can
    continue with the same folder.
    """

    def __init__(self, jobs: Jobs, config: NodeConfig | None = None) -> None:
        folder = jobs.folder / "dicom"
        make_folder(folder)
        self._tables, self.outbox = Tables(jobs.folder), None
        if config is not None:
            self.outbox = self._outbox(config, folder / "out")
        self.inbox = Inbox(
            self._tables, folder / "in", held_bytes=config.limits.held_mb << 20 if config else HELD_BYTES,
            pause_s=config.pause_seconds if config else PAUSE_S,
        )  # fmt: skip
        keep_s = config.keep_minutes * 60 if config else KEEP_S
        self.studies = Studies(self.inbox, jobs, self.outbox, keep_s=keep_s)
        self._stopped = threading.Event()
        self._threads = [self._thread(self.studies.advance)]
        if self.outbox is not None:
            self._threads.append(self._thread(self.outbox.advance))
        self._receiver = Receiver(config, self.inbox, self._committed) if config else None

    def start(self) -> None:
        """Continue with what an earlier node left, and accept connections."""
        for thread in self._threads:
            thread.start()
        if self._receiver is not None:
            self._receiver.start()

    def _outbox(self, config: NodeConfig, folder: Path) -> Outbox:
        archive = config.archive
        sender: Archive
        if isinstance(archive, DicomArchive):
            sender = DicomSender(archive, config.ae_title, self._committed)
        else:
            sender = WebSender(archive)
        names = [FILES[kind] for kind in FILES if kind in config.send]
        return Outbox(self._tables, folder, sender, names=names, pause_after=config.pause_after)

    def _committed(self, commitment: str, instances: set[str]) -> bool:
        return self.outbox is not None and self.outbox.committed(commitment, instances)

    def _thread(self, advance: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            while not self._stopped.is_set():
                try:
                    advance()
                except Exception as error:  # noqa: BLE001 (its text may hold personal data; the next turn may work)
                    _log.error("node: unexpected %s", type(error).__name__)
                self._stopped.wait(INTERVAL_S)

        return threading.Thread(target=run, name=advance.__qualname__, daemon=True)

    def stop(self) -> None:
        """Stop listening and sending; nothing is removed."""
        if self._receiver is not None:
            self._receiver.stop()
        self._stopped.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(STOP_S)
        self._tables.close()
