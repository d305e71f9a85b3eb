"""Who may ask for what: host names, origins, token, sessions, and how often."""

import hashlib
import hmac
import math
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter, Request, Response
from starlette.requests import HTTPConnection

from spinelift.serve.problems import RefusedError
from spinelift.serve.settings import Settings

COOKIE, HEADER, LOGIN = "spinelift_session", "Spinelift-Session", "spinelift_login"
SESSION_PATH = "/v1/session"
_OPEN = re.compile(rf"/|/static/.*|/healthz|/readyz|{SESSION_PATH}")
"""Paths without anybody's data, which need no token."""
_SAFE = ("GET", "HEAD", "OPTIONS")
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_WRONG_PER_MINUTE = 10
_MOST_ADDRESSES = 10_000
router = APIRouter()


@dataclass(frozen=True)
class Session:
    """A session: its secret, and whether it began with this request."""

    secret: str
    is_new: bool

    @classmethod
    def of(cls, request: HTTPConnection) -> "Session":
        """The session that a request belongs to, by its header or cookie, or a new one."""
        secret = request.headers.get(HEADER) or request.cookies.get(COOKIE, "")
        if _SECRET.fullmatch(secret):
            return cls(secret, is_new=False)
        return cls(secrets.token_urlsafe(32), is_new=True)

    @property
    def owner(self) -> str:
        """Owner of its jobs."""
        return f"session:{hashlib.sha256(self.secret.encode()).hexdigest()}"

    def proof(self, token: str) -> str:
        """What shows that a session knew the token, without the token; void when the token changes."""
        return hmac.new(token.encode(), self.secret.encode(), hashlib.sha256).hexdigest()

    def cookie(self, name: str, value: str, *, secure: bool) -> str:
        """A Set-Cookie header: no scripts, no other sites, until the browser is closed."""
        return f"{name}={value}; HttpOnly; SameSite=Strict; Path=/{'; Secure' if secure else ''}"


class Rate:
    """Events of each client address: ``per_minute`` of them at once, and as many in each minute."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = per_minute, clock
        self._left: dict[str, tuple[float, float]] = {}

    def wait(self, address: str, *, count: bool = True) -> int:
        """Seconds until the address may do it again; 0: now, and then it counts."""
        now = self._clock()
        left, since = self._left.pop(address, (float(self._most), now))
        left = min(left + (now - since) * self._most / 60, self._most)
        wait = 0 if left >= 1 else math.ceil((1 - left) * 60 / self._most)
        self._left[address] = (left - (count and not wait), now)
        if len(self._left) > _MOST_ADDRESSES:  # the one that was seen longest ago
            del self._left[next(iter(self._left))]
        return wait


class Access:
    """Checks of one server; each raises RefusedError."""

    def __init__(self, settings: Settings) -> None:
        self._token, self._names = settings.token, {"localhost", *map(str.lower, settings.hostnames)}
        self._sends, self._wrong = Rate(settings.limits.per_minute), Rate(_WRONG_PER_MINUTE)

    def check(self, request: HTTPConnection, session: Session) -> None:
        """Check host, origin and token of a request."""
        self._check_host(request.headers.get("host", ""))
        method = request.scope["method"]
        if method not in _SAFE:
            _check_origin(request)
        if self._token and not _OPEN.fullmatch(request.scope["path"]):
            self._check_token(request, session, self._token)
        if method == "POST":
            _refuse_many(self._sends.wait(address_of(request)))

    def log_in(self, request: HTTPConnection, session: Session, token: str) -> str:
        """The proof of a session for the right token."""
        if self._token is None:
            return ""
        self._compare(request, token, self._token)
        return session.proof(self._token)

    def _check_host(self, host: str) -> None:
        """Refuse names that are not this server's: a foreign page can have its name lead here."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
            if name not in self._names:
                ip_address(name)
        except ValueError:
            raise RefusedError(
                421, found="a host name that is not this server's",
                expected="its address, localhost, or a name given with --hostname",
                do="Use one of these, or start the server with --hostname.",
            ) from None  # fmt: skip

    def _check_token(self, request: HTTPConnection, session: Session, token: str) -> None:
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            self._compare(request, given.strip(), token)
        elif session.is_new or not _equal(request.cookies.get(LOGIN, ""), session.proof(token)):
            raise _unauthorised("no token")

    def _compare(self, request: HTTPConnection, given: str, token: str) -> None:
        _refuse_many(self._wrong.wait(address_of(request), count=False))
        if not _equal(given, token):
            self._wrong.wait(address_of(request))
            raise _unauthorised("a wrong token")


@router.post(SESSION_PATH, status_code=204)
async def log_in(request: Request) -> Response:
    """Log this session in: `token`, as a form (`application/x-www-form-urlencoded`)."""
    fields = parse_qs((await request.body()).decode("utf-8", "replace"))
    session: Session = request.state.session
    proof = request.state.access.log_in(request, session, fields.get("token", [""])[0].strip())
    response = Response(status_code=204)
    if proof:
        secure = request.url.scheme == "https"
        response.headers.append("Set-Cookie", session.cookie(LOGIN, proof, secure=secure))
    return response


def _check_origin(request: HTTPConnection) -> None:
    """Refuse what a page of another site sends; programs that are no browsers send no origin."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "none")
    same = origin is None or origin.partition("://")[2] == request.headers.get("host")
    if not same or site not in ("none", "same-origin"):
        raise RefusedError(
            403, found="a request from a page of another site",
            expected="one from this server's page, or from a program",
            do="Open the server's own page. Behind a proxy, have it pass the header Host.",
        )  # fmt: skip


def address_of(request: HTTPConnection) -> str:
    """Address of a client."""
    return request.client.host if request.client else ""


def client_of(request: HTTPConnection) -> str:
    """Who sends a request: the session, or the client's address if it has none yet."""
    session: Session = request.state.session
    return address_of(request) if session.is_new else session.owner


def _equal(one: str, other: str) -> bool:
    """Compare in a time that does not depend on the content."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())


def _unauthorised(found: str) -> RefusedError:
    return RefusedError(
        401, found=found, expected="the token of this server",
        do="Log in on the page, or send the header Authorization: Bearer TOKEN.",
        headers={"WWW-Authenticate": "Bearer"},
    )  # fmt: skip


def _refuse_many(seconds: int) -> None:
    if seconds:
        raise RefusedError(
            429, found="too many requests", expected="fewer in a minute", do=f"Wait {seconds} s.",
            headers={"Retry-After": str(seconds)},
        )  # fmt: skip
