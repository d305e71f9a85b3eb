"""One job: a scan that was sent in, what is to be done with it, and what became of it."""

import json
import sqlite3
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, Self

from spinelift.errors import SpineliftError

_STEM, _SUFFIX = 200, 20
"""Most characters of a name that are kept."""


class State(StrEnum):
    """State of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether it does not change any more."""
        return self not in (State.QUEUED, State.RUNNING)


@dataclass(frozen=True)
class JobOptions:
    """What a client asks for: pixel size, mm (row, column), and area, as of ``spinelift predict``."""

    spacing_mm: tuple[float, float] | None = None
    area: str | None = None


@dataclass(frozen=True)
class Problem:
    """An error as clients get it."""

    error: str
    found: str
    expected: str
    do: str
    exit_code: int | None

    @classmethod
    def of(cls, error: SpineliftError, *, name: str = "", do: str = "") -> Self:
        """The problem of an error; ``name`` and ``do``: in place of those of the error."""
        name = name or type(error).__name__
        return cls(name, error.found, error.expected, do or error.do, error.exit_code)


@dataclass(frozen=True)
class Result:
    """What became of a job: its files with their sizes and a summary, or a problem."""

    scan_id: str = ""
    warnings: tuple[str, ...] = ()
    summary: dict[str, Any] | None = None
    files: dict[str, int] = field(default_factory=dict)
    problem: Problem | None = None


@dataclass(frozen=True)
class Job:
    """A job as it is kept; times are seconds since 1970.

    ``owner``: who may see it. ``batch``: id of the batch that it came with, or "". ``name``: the client's
    name of the file or folder, which is no path. ``parts``: number of files. ``tries``: how often it was
    started.
    """

    number: int
    id: str
    owner: str
    batch: str
    name: str
    parts: int
    options: JobOptions
    state: State
    created: float
    expires: float
    started: float | None = None
    finished: float | None = None
    tries: int = 0
    result: Result = Result()

    @classmethod
    def of(cls, row: sqlite3.Row) -> Self:
        """The job of a row of the table."""
        values = dict(row) | {"state": State(row["state"]), "options": _options(row["options"])}
        return cls(**values | {"result": _result(row["result"])})


def to_text(value: JobOptions | Result) -> str:
    """JSON of a column."""
    return json.dumps(asdict(value))


def _options(text: str) -> JobOptions:
    values = json.loads(text)
    pixel = values["spacing_mm"]
    return JobOptions((pixel[0], pixel[1]) if pixel else None, values["area"])


def _result(text: str | None) -> Result:
    if not text:
        return Result()
    values = json.loads(text)
    problem = values.pop("problem")
    return Result(**values | {"warnings": tuple(values["warnings"])}, problem=problem and Problem(**problem))


def clean_name(name: str) -> str:
    """Last part of a client's file name, for display and for the scan id; never used as a path.

    Without folders, NUL and characters that UTF-8 lacks; at most 220 characters. "" if nothing remains.
    """
    name = name.encode("utf-8", "replace").decode().replace("\0", "").replace("\\", "/")
    path = PurePosixPath(PurePosixPath(name).name)
    if path.name in ("", ".", ".."):
        return ""
    return path.stem[:_STEM] + path.suffix[:_SUFFIX]


def timestamp(seconds: float | None) -> str | None:
    """UTC, such as ``2026-01-31T12:00:00Z``."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
