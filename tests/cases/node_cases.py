"""A DICOM node between a sender and an archive, all in this process; predictions are made by hand."""

import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, build_context, evt
from pynetdicom.sop_class import (
    ComprehensiveSRStorage,
    ComputedRadiographyImageStorage,
    EncapsulatedPDFStorage,
    EncapsulatedSTLStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    StorageCommitmentPushModel,
    Verification,
)
from pynetdicom.transport import AssociationSocket

from spinelift.serve.job import Job, Problem, Result, State
from spinelift.serve.jobs import Jobs
from spinelift.serve.node.config import FILES, NodeConfig
from spinelift.serve.node.node import Node


def _close(self: AssociationSocket) -> None:
    """As pynetdicom's, which does not close a socket whose other side has closed it (3.0.4)."""
    if self.socket is not None:
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


AssociationSocket._shutdown_socket = _close
PRIVATE = "Ashdown^Albert"
RESULTS = dict(
    zip(
        FILES.values(),
        (
            ComprehensiveSRStorage, SegmentationStorage, SecondaryCaptureImageStorage, EncapsulatedPDFStorage,
            EncapsulatedSTLStorage,
        ),
        strict=True,
    )
)  # fmt: skip
"""File of a result → its SOP class."""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def image(
    study: str, *, instance: str | None = None, sop_class: str = ComputedRadiographyImageStorage
) -> Dataset:
    """A small object of a study, whose header names a person."""
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = sop_class, instance or generate_uid()
    data.StudyInstanceUID, data.SeriesInstanceUID = study, generate_uid()
    data.PatientName, data.PatientID, data.Modality = PRIVATE, "4711", "CR"
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return data


def send(
    port: int,
    objects: Iterable[Dataset],
    *,
    calling: str = "DXA",
    called: str = "SPINELIFT",
    tls: ssl.SSLContext | None = None,
) -> list[int | None]:
    """Statuses of C-STORE; [] if the association is rejected, None where the connection was lost."""
    objects = list(objects)
    classes = {data.SOPClassUID for data in objects} | {Verification}
    ae = AE(calling)
    association = ae.associate(
        "127.0.0.1",
        port,
        [build_context(uid, [ExplicitVRLittleEndian]) for uid in sorted(classes)],
        called,
        tls_args=(tls, "127.0.0.1") if tls else None,
    )
    if not association.is_established:
        return []
    try:
        out: list[int | None] = [] if objects else [association.send_c_echo().Status]
        for data in objects:
            try:
                out.append(association.send_c_store(data).get("Status"))
            except (RuntimeError, ValueError):
                out.append(None)
        return out
    finally:
        association.release()


class Archive:
    """An archive whose replies can be set; ``stored``: what it has, ``attempts``: SOP classes it was sent."""

    def __init__(self, port: int, *, without: str = "", node_port: int = 0) -> None:
        self.port, self.status, self.stored, self.attempts = port, 0x0000, dict[str, Dataset](), list[str]()
        self.node_port, self.loses, self.report_on_request = node_port, set[str](), False
        self.commitments: list[Dataset] = []
        self._without, self._server, self.tls = without, None, None

    def start(self) -> "Archive":
        ae = AE("ARCHIVE")
        ae.require_called_aet = True
        for uid in {*RESULTS.values()} - {self._without}:
            ae.add_supported_context(uid)
        ae.add_supported_context(StorageCommitmentPushModel)
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_N_ACTION, self._commit)]
        self._server = ae.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=handlers, ssl_context=self.tls
        )
        return self

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def _store(self, event: evt.Event) -> int:
        self.attempts.append(event.request.AffectedSOPClassUID)
        if self.status == 0x0000:
            self.stored[event.request.AffectedSOPInstanceUID] = event.dataset
        return self.status

    def _commit(self, event: evt.Event) -> tuple[int, None]:
        self.commitments.append(event.action_information)
        return 0x0000, None

    def report(self) -> int | None:
        """Report on the last request, on an association of our own, as Orthanc does."""
        from pynetdicom import build_role

        request, reply = self.commitments[-1], Dataset()
        reply.TransactionUID = request.TransactionUID
        asked = {item.ReferencedSOPInstanceUID: item for item in request.ReferencedSOPSequence}
        reply.ReferencedSOPSequence = [item for uid, item in asked.items() if uid not in self.loses]
        reply.FailedSOPSequence = [item for uid, item in asked.items() if uid in self.loses]
        association = AE("ARCHIVE").associate(
            "127.0.0.1", self.node_port, [build_context(StorageCommitmentPushModel)], "SPINELIFT",
            ext_neg=[build_role(StorageCommitmentPushModel, scp_role=True)],
        )  # fmt: skip
        assert association.is_established
        status, _ = association.send_n_event_report(
            reply, 2 if self.loses else 1, StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1"
        )
        association.release()
        return status.get("Status")


def config(port: int, archive_port: int, **changes: object) -> NodeConfig:
    """A node with one peer and short times."""
    document = {
        "port": port,
        "peers": [{"ae_title": "DXA", "addresses": ["127.0.0.1"]}],
        "archive": {"ae_title": "ARCHIVE", "host": "127.0.0.1", "port": archive_port},
        "pause_seconds": 0.05,
        "retry_seconds": [0.05, 0.2],
    }
    return NodeConfig.model_validate(document | changes)


def predict(jobs: Jobs, *, problem: Problem | None = None) -> Job | None:
    """Do the next job by hand: its results are small objects of its images' study."""
    job = jobs.claim()
    if job is None:
        return None
    if problem is None:
        scan_id = job.name
        folder = jobs.path(job) / "result" / scan_id
        folder.mkdir(parents=True)
        inputs = [dcmread(file) for file in sorted((jobs.path(job) / "input").iterdir())]
        for name, sop_class in RESULTS.items():
            uid = f"2.25.{abs(hash((name, *sorted(data.SOPInstanceUID for data in inputs))))}"
            result = image(inputs[0].StudyInstanceUID, instance=uid, sop_class=sop_class)
            result.Manufacturer = "spinelift"
            result.save_as(folder / name, enforce_file_format=True)
        jobs.finish(job, Result(scan_id, files=dict.fromkeys(RESULTS, 1)))
    else:
        jobs.finish(job, Result(problem=problem))
    return job


def work(jobs: Jobs, count: int = 1, *, problem: Problem | None = None) -> list[Job]:
    """Wait for so many jobs and do them."""
    done: list[Job] = []

    def one() -> bool:
        with suppress(StopIteration):
            job = predict(jobs, problem=problem)
            done.extend([job] if job else [])
        return len(done) == count

    until(one)
    return done


def waiting(jobs: Jobs) -> int:
    counts = jobs.counts()
    return counts[State.QUEUED] + counts[State.RUNNING]


def held(folder: Path) -> list[Path]:
    """Files that the node holds."""
    return [file for file in (folder / "dicom").rglob("*") if file.is_file()]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("spinelift.serve.node.node.INTERVAL_S", 0.02)
    monkeypatch.setattr("spinelift.serve.node.server.TIMEOUT_S", 1)


@pytest.fixture
def world(tmp_path, caplog):
    """A started node and its archive; whatever is logged holds no personal data."""
    caplog.set_level(logging.DEBUG)
    made = World(tmp_path)
    yield made
    made.close()
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert PRIVATE not in said
    assert not [uid for uid in made.uids if uid in said]


class World:
    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.archive, self.uids = Archive(free_port(), node_port=self.port), []
        self.jobs = self.node = None

    def start(self, *, with_archive=True, **changes):
        if with_archive:
            self.archive.start()
        self.jobs = Jobs(self.folder)
        self.jobs.recover()
        self.node = Node(self.jobs, config(self.port, self.archive.port, **changes))
        self.node.start()
        return self

    def stop(self):
        """Stop the node, as a server does."""
        if self.node:
            self.node.stop()
            self.jobs.close()
        self.node = None

    def close(self):
        self.stop()
        self.archive.stop()

    def images(self, count=1):
        study = generate_uid()
        made = [image(study) for _ in range(count)]
        self.uids += [study, *(data.SOPInstanceUID for data in made)]
        return made

    def is_done(self):
        return len(self.archive.stored) == len(RESULTS) and not len(self.node.outbox)
