"""Who may ask for what: sessions, headers."""

import hashlib
import re
import secrets
from typing import Any

from fastapi import APIRouter
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection

from spinelift.serve.server import Server

router = APIRouter()
COOKIE, HEADER = "spinelift_session", "Spinelift-Session"
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


class Guard:
    """ASGI middleware around everything."""

    def __init__(self, app: Any, server: Server) -> None:
        self._app, self._server = app, server

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        secret = request.headers.get(HEADER) or request.cookies.get(COOKIE, "")
        is_new = not _SECRET.fullmatch(secret)
        secret = secrets.token_urlsafe(32) if is_new else secret
        owner = f"session:{hashlib.sha256(secret.encode()).hexdigest()}"
        scope.setdefault("state", {})["owner"] = owner

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start" and is_new:
                headers = MutableHeaders(scope=message)
                headers[HEADER] = secret
                headers["Set-Cookie"] = f"{COOKIE}={secret}; HttpOnly; SameSite=Strict; Path=/"
            await send(message)

        await self._app(scope, receive, sending)
