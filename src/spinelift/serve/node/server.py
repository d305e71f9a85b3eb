"""The listening side of the node: C-ECHO, C-STORE and the archive's reports, from peers alone."""

import logging
import ssl
import threading
from socketserver import TCPServer
from typing import Any

from pynetdicom import AE, _config, evt
from pynetdicom.transport import ThreadedAssociationServer

from spinelift.errors import ConfigError
from spinelift.serve.node.archive import OnReport, take_report
from spinelift.serve.node.config import DicomArchive, NodeConfig
from spinelift.serve.node.inbox import Inbox
from spinelift.serve.node.objects import (
    RESULT_CLASSES,
    SOP_CLASSES,
    STORAGE_COMMITMENT,
    TRANSFER_SYNTAXES,
    VERIFICATION,
    RefusedObjectError,
    Status,
    read_object,
)

MAX_PDU_BYTES = 1 << 20
"""Longest protocol data unit that is read; those of objects have 16 KiB, a request of all classes some 10."""
TIMEOUT_S = 30
"""Time without any message after which a connection is closed."""
_log = logging.getLogger(__name__)


class _Server(ThreadedAssociationServer):
    """Closes connections from other addresses than the peers' before anything is read.

    The TLS handshake is done in the thread of the connection, so that nobody else waits for it.
    """

    def __init__(self, *arguments: Any, node: NodeConfig, tls: ssl.SSLContext | None, **more: Any) -> None:
        self._node, self._tls = node, tls
        super().__init__(*arguments, **more)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether a connection comes from a peer's address, and is not one too many."""
        if not self._node.knows(client_address[0]):
            _log.warning("connection refused: not from the address of a peer")
            return False
        return len(self.active_associations) < 2 * self._node.limits.associations

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection."""
        if self._tls is not None:
            try:
                request.settimeout(TIMEOUT_S)
                request = self._tls.wrap_socket(request, server_side=True)
            except OSError:
                _log.warning("connection refused: no TLS, or a certificate that is not accepted")
                self.shutdown_request(request)
                return
        super().process_request_thread(request, client_address)

    def stop(self) -> None:
        """Stop listening; ``shutdown`` of pynetdicom is for servers that its AE has started."""
        TCPServer.shutdown(self)
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log an error of one connection; its text may hold personal data."""
        _log.error("connection failed")


class Receiver:
    """The node as the peers see it; it has its port from the beginning, and serves it after :meth:`start`."""

    def __init__(self, node: NodeConfig, inbox: Inbox, on_report: OnReport) -> None:
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)  # its messages quote headers
        _config.LOG_HANDLER_LEVEL = "none"
        self._node, self._inbox, self._on_report = node, inbox, on_report
        tls = node.tls.context(server=True) if node.tls else None
        ae = AE(node.ae_title)
        ae.require_called_aet = True
        ae.maximum_associations = node.limits.associations
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = TIMEOUT_S
        ae.add_supported_context(VERIFICATION)
        for sop_class in (*SOP_CLASSES, *RESULT_CLASSES):
            ae.add_supported_context(sop_class, list(TRANSFER_SYNTAXES))
        if isinstance(node.archive, DicomArchive) and node.archive.storage_commitment:
            ae.add_supported_context(STORAGE_COMMITMENT, scu_role=False, scp_role=True)
        handlers: list[Any] = [
            (evt.EVT_CONN_OPEN, self._limit),
            (evt.EVT_REQUESTED, self._check_peer),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_N_EVENT_REPORT, self._report),
        ]
        try:
            self._server = _Server(
                ae, (node.host, node.port), node.ae_title, ae.supported_contexts, evt_handlers=handlers,
                node=node, tls=tls,
            )  # fmt: skip
        except OSError as error:
            raise ConfigError(
                found=f"a DICOM node that cannot listen on port {node.port} ({error.strerror})",
                expected="an address of this machine and a port that is free",
                do="Change `host` or `port` of the node's configuration.",
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="dicom-node", daemon=True
        )

    def start(self) -> None:
        """Accept connections."""
        self._thread.start()

    def stop(self) -> None:
        """Close all connections and stop listening."""
        if self._thread.is_alive():
            self._server.stop()
            self._thread.join()
        else:
            self._server.server_close()
        for association in self._server.active_associations:
            association.abort()
        for association in self._server.active_associations:
            association.join(TIMEOUT_S)

    def _limit(self, event: Any) -> None:
        """Bound what one connection makes the node hold in memory, for which pynetdicom has no limit."""
        connection, most = event.assoc.dul.socket, self._node.limits.object_mb << 20
        receive, left = connection.recv, most

        def bounded(size: int) -> bytearray:
            nonlocal left
            left -= size
            if size > MAX_PDU_BYTES or left < 0:
                _log.warning("connection closed: an object of more than %d MB", most >> 20)
                raise OSError
            received: bytearray = receive(size)
            return received

        def complete(_: Any) -> None:
            nonlocal left
            left = most

        connection.recv = bounded
        event.assoc.bind(evt.EVT_DIMSE_RECV, complete)

    def _check_peer(self, event: Any) -> None:
        """Reject an association whose AE title is not that of a peer with this address."""
        requestor = event.assoc.requestor
        if not self._node.accepts(requestor.primitive.calling_ae_title.strip(), requestor.address):
            _log.warning("association rejected: the AE title is not that of a peer with this address")
            event.assoc.acse.send_reject(0x01, 0x01, 0x03)  # permanent, calling AE title not recognised
            event.assoc.kill()

    def _store(self, event: Any) -> int:
        """Keep an object; its status."""
        try:
            received = read_object(event.encoded_dataset())
            request = event.request
            named = request.AffectedSOPClassUID, request.AffectedSOPInstanceUID
            if named != (received.sop_class, received.sop_instance):
                raise RefusedObjectError(Status.CLASS_DOES_NOT_MATCH, "another object than the request names")
            owner = f"dicom:{event.assoc.requestor.ae_title.strip()}"
            self._inbox.store(owner, received, thread=event.assoc)
        except RefusedObjectError as error:
            _log.warning("object refused: %s", error)
            return error.status
        except Exception as error:  # noqa: BLE001 (pynetdicom would log its text)
            _log.error("object refused: unexpected %s", type(error).__name__)
            return Status.OUT_OF_RESOURCES
        return Status.SUCCESS

    def _report(self, event: Any) -> tuple[int, None]:
        """Take a report of storage commitment, from the archive alone."""
        archive = self._node.archive
        if (
            not isinstance(archive, DicomArchive)
            or event.assoc.requestor.ae_title.strip() != archive.ae_title
        ):
            return 0x0124, None  # not authorised
        return take_report(event, self._on_report), None
