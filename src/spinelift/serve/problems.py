"""Refused requests: problem documents (RFC 9457) with the same parts as the errors of the commands."""

import sqlite3
from dataclasses import asdict
from http import HTTPStatus

from fastapi.responses import JSONResponse

from spinelift.errors import QueueFullError, SpineliftError, printable
from spinelift.serve.job import Problem

RETRY_S = 5
"""Seconds after which a client may try again where the queue is full."""


class RefusedError(Exception):
    """A request that is not served: its HTTP status, and what was found, what was expected, what to do."""

    def __init__(
        self, status: int, *, found: str, expected: str, do: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(found)
        name = HTTPStatus(status).phrase.title().replace(" ", "").replace("-", "")
        self.status, self.headers = status, headers or {}
        self.problem = Problem(f"{name.removesuffix('Error')}Error", printable(found), expected, do, None)


def problem_response(status: int, problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    """The response of a problem."""
    title = HTTPStatus(status).phrase
    detail = f"Found {problem.found}. Expected {problem.expected}. {problem.do}"
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail, **asdict(problem)}
    return JSONResponse(document, status, headers, media_type="application/problem+json")


def response_to(error: RefusedError | SpineliftError | sqlite3.OperationalError) -> JSONResponse:
    """The response to a request that raised an error."""
    match error:
        case RefusedError():
            return problem_response(error.status, error.problem, error.headers)
        case QueueFullError():
            return problem_response(503, Problem.of(error), {"Retry-After": str(RETRY_S)})
        case sqlite3.OperationalError():
            return response_to(no_room(type(error).__name__))
    return problem_response(422, Problem.of(error))


def too_large(most: int) -> RefusedError:
    """The refusal of a body of more than some bytes."""
    return RefusedError(
        413, found="a request that is too large", expected=f"at most {size_text(most)}",
        do="Send one visit at a time.", headers={"Connection": "close"},
    )  # fmt: skip


def no_room(cause: str) -> RefusedError:
    """The refusal of what cannot be kept."""
    return RefusedError(
        507, found=f"no way to keep it ({cause})", expected="room on the disk",
        do="Try again later.", headers={"Connection": "close"},
    )  # fmt: skip


def size_text(size: int) -> str:
    """Bytes in words."""
    return f"{size >> 20} MB" if size >> 20 else f"{size >> 10} kB"


def not_found(what: str) -> RefusedError:
    """The refusal of something that is not there, or is somebody else's."""
    return RefusedError(
        404, found=f"no {what} of this session", expected="one of its own", do="Check the address."
    )
