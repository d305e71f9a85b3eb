"""Sending results to an archive by STOW-RS (PS3.18, 10.5)."""

import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spinelift.errors import ConfigError
from spinelift.serve.node.archive import UNSUPPORTED, ArchiveError, Sent, instance_uid
from spinelift.serve.node.config import WebArchive
from spinelift.serve.node.objects import Status

_STORED, _FAILED = "00081199", "00081198"
"""ReferencedSOPSequence and FailedSOPSequence."""
_INSTANCE, _REASON = "00081155", "00081197"
"""ReferencedSOPInstanceUID and FailureReason."""
_MAX_REPLY = 1 << 20
_TIMEOUT_S = 60


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the token and the results are for one address."""

    def redirect_request(self, *_: Any) -> None:
        """No other request."""


class WebSender:
    """An archive that takes results by STOW-RS."""

    commitment_s: float | None = None

    def __init__(self, archive: WebArchive) -> None:
        self._url, self._token = archive.stow_url, _token(archive.token_file)
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if archive.tls:
            handlers.append(urllib.request.HTTPSHandler(context=archive.tls.context(server=False)))
        self._opener = urllib.request.build_opener(*handlers)

    def send(self, files: Sequence[Path], commitment: str | None = None) -> Sent:
        """Send files in one request; raises ArchiveError if there is no reply that can be read."""
        body, media_type = related(files)
        headers = {"Content-Type": media_type, "Accept": "application/dicom+json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(self._url, body, headers, method="POST")
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as reply:
                text = reply.read(_MAX_REPLY)
        except urllib.error.HTTPError as error:  # 409: nothing was stored, and the reply says why
            with error:
                if error.code != 409:
                    raise ArchiveError(f"the STOW-RS service replies with status {error.code}") from None
                text = error.read(_MAX_REPLY)
        except (OSError, ValueError) as error:
            raise ArchiveError(f"the STOW-RS service cannot be reached ({type(error).__name__})") from None
        return _sent(files, text)


def related(files: Sequence[Path]) -> tuple[bytes, str]:
    """DICOM files as a body multipart/related, and its media type."""
    boundary = secrets.token_hex(16)
    part = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    body = b"".join(part + file.read_bytes() + b"\r\n" for file in files) + f"--{boundary}--\r\n".encode()
    return body, f'multipart/related; type="application/dicom"; boundary={boundary}'


def _token(file: Path | None) -> str:
    try:
        return file.read_text(encoding="ascii").strip() if file else ""
    except (OSError, ValueError):
        name = file.name if file else ""
        raise ConfigError(
            found=f"no token in {name}", expected="a text file with the token", do="Check `token_file`."
        ) from None


def _sent(files: Sequence[Path], reply: bytes) -> Sent:
    """What the reply says of each file (PS3.18, 10.5.3); a file that it does not name is not stored."""
    try:
        document = json.loads(reply)
        stored = {_value(item, _INSTANCE) for item in document.get(_STORED, {}).get("Value", [])}
        failed = {
            _value(item, _INSTANCE): _value(item, _REASON)
            for item in document.get(_FAILED, {}).get("Value", [])
        }  # fmt: skip
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise ArchiveError("the STOW-RS service sends a reply that is no DICOM JSON") from None
    sent = Sent()
    for file in files:
        uid = instance_uid(file)
        if uid in stored:
            sent.stored.append(file)
        elif failed.get(uid) == Status.CLASS_NOT_SUPPORTED:
            sent.failed[file] = UNSUPPORTED
        else:
            sent.failed[file] = f"failure reason {failed.get(uid, 'missing')}"
    return sent


def _value(item: dict[str, Any], tag: str) -> Any:
    return next(iter(item.get(tag, {}).get("Value", [])), None)
