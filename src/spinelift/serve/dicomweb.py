"""DICOMweb: STOW-RS takes images of a study (PS3.18, 10.5), WADO-RS returns the results (PS3.18, 10.4).

A study is predicted as one that comes by C-STORE is, when no image of it has come for some seconds. Its owner
is the session. A client without a session is known by its address, so that the requests of one study belong
together; then the results go to the archive alone.
"""

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from python_multipart import MultipartParser
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from spinelift.io.inputs import MAX_IMAGE_BYTES
from spinelift.report import DICOM_NAMES
from spinelift.serve.access import address_of, client_of
from spinelift.serve.api import Owner, This
from spinelift.serve.job import State
from spinelift.serve.node.objects import ReceivedObject, RefusedObjectError, Status, read_object
from spinelift.serve.node.stow import related
from spinelift.serve.problems import RETRY_S, RefusedError, not_found, problem_response, too_large
from spinelift.serve.server import Server

_RETRIEVE_URL, _STORED, _FAILED, _OTHER = "00081190", "00081199", "00081198", "0008119A"
_CLASS, _INSTANCE, _REASON = "00081150", "00081155", "00081197"
"""Tags of the response (PS3.18, 10.5.3)."""
_JSON = "application/dicom+json"
_EXPECTED = 'a body multipart/related; type="application/dicom"'
router = APIRouter(prefix="/dicom-web/studies")


@dataclass
class _Reply:
    """What became of the parts of a request. ``stored``: with the Study Instance UID."""

    stored: list[ReceivedObject] = field(default_factory=list)
    failed: list[RefusedObjectError] = field(default_factory=list)

    @property
    def status(self) -> int:
        """All stored, some, or none."""
        if self.stored:
            return 202 if self.failed else 200
        return 503 if any(error.status is Status.OUT_OF_RESOURCES for error in self.failed) else 409

    def document(self, url: str) -> dict[str, Any]:
        """The response as DICOM JSON; ``url``: of the studies."""
        stored = [
            _item(one.sop_class, one.sop_instance)
            | {_RETRIEVE_URL: {"vr": "UR", "Value": [f"{url}/{one.study_instance}"]}}
            for one in self.stored
        ]
        named = [_item(*e.named) | _reason(e) for e in self.failed if e.named]
        other = [_reason(error) for error in self.failed if not error.named]
        parts = {_STORED: stored, _FAILED: named, _OTHER: other}
        document: dict[str, Any] = {
            tag: {"vr": "SQ", "Value": items} for tag, items in parts.items() if items
        }
        studies = {one.study_instance for one in self.stored}
        if len(studies) == 1:
            document[_RETRIEVE_URL] = {"vr": "UR", "Value": [f"{url}/{studies.pop()}"]}
        return document


def _item(sop_class: str, instance: str) -> dict[str, Any]:
    return {_CLASS: {"vr": "UI", "Value": [sop_class]}, _INSTANCE: {"vr": "UI", "Value": [instance]}}


def _reason(error: RefusedObjectError) -> dict[str, Any]:
    return {_REASON: {"vr": "US", "Value": [int(error.status)]}}


def study_owner(request: Request, server: This, owner: Owner) -> str:
    """Owner of a study: the session, or the client's address if it has none and there is an archive."""
    if not request.state.session.is_new or server.node.outbox is None:
        return owner
    return f"stow:{hashlib.sha256(address_of(request).encode()).hexdigest()}"


StudyOwner = Annotated[str, Depends(study_owner)]


@router.post("", response_class=JSONResponse)
@router.post("/{study}", response_class=JSONResponse)
async def store(request: Request, server: This, owner: StudyOwner, study: str | None = None) -> Response:
    """Store instances (STOW-RS), of the `study` alone if it is given."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    is_dicom = options.get(b"type", b"application/dicom") == b"application/dicom"
    if kind != b"multipart/related" or not is_dicom or not 1 <= len(boundary) <= 200:
        raise _bad(415, "a body of another type")
    parts = _Parts(boundary, server.settings.limits.files)
    reply = _Reply()
    with server.upload(client_of(request)):
        try:
            async with asyncio.timeout(server.settings.limits.upload_s):
                async for chunk in request.stream():
                    for data in await run_in_threadpool(parts.write, chunk):
                        await run_in_threadpool(_keep, server, owner, study, data, reply)
        except ClientDisconnect:
            raise _bad(400, "a connection that ended early") from None
        except TimeoutError:
            raise _bad(408, "an upload that takes too long") from None
    if not parts.ended or not (reply.stored or reply.failed):
        raise _bad(400, "no part in the request" if parts.ended else "a multipart body that is cut")
    url = str(request.base_url).rstrip("/") + router.prefix
    headers = {"Retry-After": str(RETRY_S)} if reply.status == 503 else {}
    return JSONResponse(reply.document(url), reply.status, headers, media_type=_JSON)


def _keep(server: Server, owner: str, study: str | None, data: bytes, reply: _Reply) -> None:
    """Keep one instance, before the response names it as stored."""
    try:
        received = read_object(data)
        if study not in (None, received.study_instance):
            named = received.sop_class, received.sop_instance
            raise RefusedObjectError(Status.CLASS_DOES_NOT_MATCH, "another study", named)
        server.node.inbox.store(owner, received)
    except RefusedObjectError as error:
        reply.failed.append(error)
    else:
        reply.stored.append(
            ReceivedObject(b"", received.sop_class, received.sop_instance, received.study_instance)
        )


@router.get("/{study}", response_class=Response)
def retrieve(server: This, owner: Owner, study: str) -> Response:
    """Results of a study that this session has stored (WADO-RS): DICOM objects, as multipart/related."""
    known = server.node.inbox.get(owner, study)
    job = server.jobs.get(known.job, owner) if known and known.job else None
    if known is None or (job is not None and job.state is State.CANCELLED):
        raise not_found("study")
    if job is None or not job.state.is_final:
        raise RefusedError(
            404, found="a study whose results are not there yet", expected="results",
            do="Ask again in some seconds.", headers={"Retry-After": str(RETRY_S)},
        )  # fmt: skip
    if job.result.problem:
        return problem_response(422, job.result.problem)
    folder = server.jobs.results(job)
    files = [folder / name for name in DICOM_NAMES if name in job.result.files]
    if not files:
        raise not_found("DICOM object")
    body, media_type = related(files)
    return Response(body, media_type=media_type)


def _bad(status: int, found: str) -> RefusedError:
    return RefusedError(
        status, found=found, expected=_EXPECTED, do="Send DICOM files as STOW-RS does.",
        headers={"Connection": "close"},
    )  # fmt: skip


class _Parts:
    """Content of the parts of a body, as they are complete."""

    def __init__(self, boundary: bytes, most: int) -> None:
        self.ended, self._left = False, most
        self._data, self._complete = bytearray(), list[bytes]()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_part_data": self._on_data,
                "on_part_end": self._end,
                "on_end": self._on_end,
            },
        )

    def write(self, chunk: bytes) -> list[bytes]:
        """Read on; the parts that this completes."""
        try:
            self._parser.write(chunk)
        except MultipartParseError:
            raise _bad(400, "a multipart body that cannot be read") from None
        complete, self._complete = self._complete, []
        return complete

    def _begin(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise _bad(413, "too many parts")
        self._data = bytearray()

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]
        if len(self._data) > MAX_IMAGE_BYTES:
            raise too_large(MAX_IMAGE_BYTES)

    def _end(self) -> None:
        self._complete.append(bytes(self._data))
        self._data = bytearray()

    def _on_end(self) -> None:
        self.ended = True
