"""ASGI middleware around everything: checks, limits, headers, log and metrics of each request."""

import logging
import time
import traceback
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection

from spinelift.serve.access import COOKIE, HEADER, SESSION_PATH, Access, Session
from spinelift.serve.health import Metrics
from spinelift.serve.problems import RefusedError, response_to, too_large
from spinelift.serve.settings import Settings

log = logging.getLogger(__name__)
SMALL_BYTES = 64 << 10
"""Largest body of a request that brings no files."""
_PAGE_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
RESULT_CSP = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src blob: data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)
"""Of pages that are results: their scripts have no origin, so they can read nothing of the server."""
_HEADERS = {
    "Content-Security-Policy": _PAGE_CSP,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """The middleware. ``app`` is what is guarded."""

    def __init__(self, app: Any, settings: Settings, metrics: Metrics) -> None:
        self._app, self._limits, self._metrics = app, settings.limits, metrics
        self._access = Access(settings)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request, began, status = HTTPConnection(scope), time.perf_counter(), 0
        session = Session.of(request)
        state = scope.setdefault("state", {})
        state |= {"session": session, "owner": session.owner, "access": self._access}

        async def sending(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _set_headers(MutableHeaders(scope=message), request, session)
            await send(message)

        try:
            self._access.check(request, session)
            limited = _limited(request, receive, self._limits.upload_bytes)
            await self._app(scope, limited, sending)
        except RefusedError as error:
            await response_to(error)(scope, receive, sending)
        except Exception as error:  # noqa: BLE001 (its text may name a person, so that it is not logged)
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{where.filename.rpartition('spinelift')[2]}:{where.lineno}"
            log.error("unexpected %s", type(error).__name__, extra={"place": place})
            if not status:
                refusal = RefusedError(
                    500, found="an unexpected error", expected="none", do="Report it with the server's log."
                )
                await response_to(refusal)(scope, receive, sending)
        finally:
            seconds = time.perf_counter() - began
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.request(scope["method"], route, status, seconds)
            fields = {"method": scope["method"], "route": route, "status": status, "seconds": seconds}
            log.debug("request", extra=fields)


def _limited(request: HTTPConnection, receive: Any, upload_bytes: int) -> Any:
    """``receive`` that refuses a body as soon as it is too large."""
    is_form = request.headers.get("content-type", "").lower().startswith("multipart/")
    has_files = is_form and request.scope["path"] != SESSION_PATH  # which is read whole, and without a token
    most = upload_bytes if has_files else SMALL_BYTES
    length, total = request.headers.get("content-length", "0"), 0
    if not length.isdecimal() or int(length) > most:
        raise too_large(most)

    async def limited() -> Any:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > most:
            raise too_large(most)
        return message

    return limited


def _set_headers(headers: MutableHeaders, request: HTTPConnection, session: Session) -> None:
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)
    path = request.scope["path"]
    headers.setdefault("Cache-Control", "no-cache" if path.startswith("/static/") else "no-store")
    if session.is_new and (path == "/" or path.startswith(("/v1/", "/dicom-web/"))):
        headers[HEADER] = session.secret
        secure = request.url.scheme == "https"
        headers.append("Set-Cookie", session.cookie(COOKIE, session.secret, secure=secure))
