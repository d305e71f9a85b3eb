"""Sending results to an archive by C-STORE, with storage commitment if asked for."""

import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_context, evt
from pynetdicom.association import Association

from spinelift.serve.node.config import DicomArchive
from spinelift.serve.node.objects import STORAGE_COMMITMENT

COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
"""Storage Commitment Push Model SOP Instance (PS3.4, J.3.5)."""
UNSUPPORTED = "the archive does not accept its class"
_SUCCESS = (0x0000, 0xB000, 0xB006, 0xB007)
"""Stored, perhaps with a coercion (PS3.4, B.2.3)."""
_REPORT_WAIT_S = 0.5
"""Time for a report on the association of the request itself; later ones come on another association."""

OnReport = Callable[[str, set[str]], bool]


class ArchiveError(Exception):
    """The archive cannot be reached, or does not speak with us; without personal data."""


@dataclass
class Sent:
    """Files that were stored, and the others with a reason each."""

    stored: list[Path] = field(default_factory=list)
    failed: dict[Path, str] = field(default_factory=dict)

    def is_unsupported(self, file: Path) -> bool:
        """Whether the archive does not take objects of its class at all."""
        return self.failed.get(file) == UNSUPPORTED


def instance_uid(file: Path) -> str:
    """SOP Instance UID of a result."""
    return str(read_file_meta_info(file).MediaStorageSOPInstanceUID)


def class_uid(file: Path) -> str:
    """SOP Class UID of a result."""
    return str(read_file_meta_info(file).MediaStorageSOPClassUID)


class DicomSender:
    """An archive that takes results by C-STORE. ``on_report``: takes its reports of storage commitment."""

    def __init__(self, archive: DicomArchive, ae_title: str, on_report: OnReport) -> None:
        self._archive, self._on_report = archive, on_report
        self.commitment_s = archive.commitment_seconds if archive.storage_commitment else None
        self._tls: ssl.SSLContext | None = archive.tls.context(server=False) if archive.tls else None
        self._ae = AE(ae_title)
        self._ae.connection_timeout = 10
        self._ae.acse_timeout = self._ae.dimse_timeout = self._ae.network_timeout = 60

    def send(self, files: Sequence[Path], commitment: str | None) -> Sent:
        """Send files on one association; raises ArchiveError if there is none."""
        classes = sorted(
            {class_uid(file) for file in files} | ({STORAGE_COMMITMENT} if commitment else set())
        )
        contexts = [build_context(uid, [ExplicitVRLittleEndian, ImplicitVRLittleEndian]) for uid in classes]
        reported = threading.Event()

        def report(event: evt.Event) -> tuple[int, None]:
            status = take_report(event, self._on_report)
            reported.set()
            return status, None

        try:
            association = self._ae.associate(
                self._archive.host, self._archive.port, contexts, self._archive.ae_title,
                tls_args=(self._tls, self._archive.host) if self._tls else None,
                evt_handlers=[(evt.EVT_N_EVENT_REPORT, report)],
            )  # fmt: skip
        except OSError:  # a name that is not known now, as of a container that does not run
            raise ArchiveError(f"{self._archive.ae_title} has no address") from None
        if not association.is_established:
            how = "refuses the association" if association.is_rejected else "cannot be reached"
            raise ArchiveError(f"{self._archive.ae_title} {how}")
        try:
            sent = Sent()
            for file in files:
                if reason := _store(association, file):
                    sent.failed[file] = reason
                else:
                    sent.stored.append(file)
            if commitment and sent.stored and all(map(sent.is_unsupported, sent.failed)):
                if reason := _ask(association, commitment, sent.stored):
                    sent.failed |= dict.fromkeys(sent.stored, reason)
                else:
                    reported.wait(_REPORT_WAIT_S)
            return sent
        finally:
            if association.is_established:
                association.release()


def _store(association: Association, file: Path) -> str | None:
    """Send one file; returns why it is not stored."""
    try:
        status = association.send_c_store(dcmread(file))
    except ValueError:
        return UNSUPPORTED
    except RuntimeError:
        return "the connection was lost"
    if "Status" not in status:
        return "no answer"
    return None if status.Status in _SUCCESS else f"status {status.Status:#06x}"


def _ask(association: Association, commitment: str, files: Sequence[Path]) -> str | None:
    """Ask for storage commitment (PS3.4, J.3.2); returns why the archive does not take the request."""
    request = Dataset()
    request.TransactionUID = commitment
    request.ReferencedSOPSequence = [_reference(file) for file in files]
    try:
        status, _ = association.send_n_action(request, 1, STORAGE_COMMITMENT, COMMITMENT_INSTANCE)
    except ValueError:
        return "the archive does not offer storage commitment"
    except RuntimeError:
        return "the connection was lost"
    return None if status.get("Status") == 0 else "the archive refuses storage commitment"


def _reference(file: Path) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = class_uid(file), instance_uid(file)
    return item


def take_report(event: Any, on_report: OnReport) -> int:
    """Take an N-EVENT-REPORT of storage commitment (PS3.4, J.3.3); returns its status."""
    information = event.event_information
    kept = {str(item.ReferencedSOPInstanceUID) for item in information.get("ReferencedSOPSequence") or ()}
    is_known = on_report(str(information.get("TransactionUID", "")), kept)
    return 0x0000 if is_known else 0x0110  # processing failure
