"""Files of a multipart request: written to disk as they come, under names of the server's own."""

import asyncio
import math
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from python_multipart import MultipartParser
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from spinelift.serve.job import JobOptions, clean_name
from spinelift.serve.jobs import SUFFIXES
from spinelift.serve.problems import RefusedError, no_room
from spinelift.serve.settings import Limits

_FIELDS, _FIELD_BYTES, _HEADER_BYTES, _BOUNDARY_BYTES = 10, 1000, 4000, 200
_ESCAPES = {"%22": '"', "%0D": "\r", "%0A": "\n"}
"""What browsers write in file names (HTML, multipart form data)."""
_RESERVE_BYTES = 64 << 20
"""Room on the disk that uploads leave to the table of the jobs and to results."""
_EXAMPLE = "Send the file as curl --form file=@scan.zip does."


@dataclass
class Uploads:
    """Files of a request, as (client's name, path), and its other fields."""

    files: list[tuple[str, Path]] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def scan_name(self) -> str:
        """Name of the one scan: of its file, or of the folder of its files if the client gives it."""
        first = self.files[0][0]
        return clean_name(first if len(self.files) == 1 else first.rpartition("/")[0])

    @property
    def options(self) -> JobOptions:
        """What is asked for; raises RefusedError if a value makes no sense."""
        spacing, area = self.fields.get("spacing"), self.fields.get("area") or None
        if area not in (None, "total-body"):
            raise RefusedError(422, found=f"area {area[:50]}", expected="total-body", do="Leave it out.")
        return JobOptions(_spacing(spacing) if spacing else None, area)


async def receive(request: Request, folder: Path, limits: Limits, *, apart: bool) -> Uploads:
    """Write the parts ``file`` of a request to ``folder/NNNN/NNNN``, or to one sub-folder if not ``apart``.

    Raises RefusedError as soon as the form breaks a limit or cannot be read.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 1 <= len(boundary) <= _BOUNDARY_BYTES:
        raise _bad(415, "a request that is no multipart form")
    form = _Form(boundary, folder, limits, apart)
    try:
        async with asyncio.timeout(limits.upload_s):
            async for chunk in request.stream():
                if chunk:
                    await run_in_threadpool(form.write, chunk)
    except ClientDisconnect:
        raise _bad(400, "a connection that ended early") from None
    except TimeoutError:
        raise _bad(408, "an upload that takes too long") from None
    finally:
        form.close()
    if not form.ended or not form.uploads.files:
        raise _bad(400, "no file in the request" if form.ended else "a multipart form that is cut")
    return form.uploads


def _spacing(text: str) -> tuple[float, float]:
    try:
        row, col = (float(part) for part in text.split(","))
    except ValueError:
        row = col = math.nan
    if not (0 < row < math.inf and 0 < col < math.inf):
        raise RefusedError(
            422, found=f"spacing {text[:50]}", expected="two positive numbers, mm, such as 2.427,2.419",
            do="Give the height of a pixel, a comma, and its width.",
        )  # fmt: skip
    return row, col


def _bad(status: int, found: str) -> RefusedError:
    return RefusedError(
        status, found=found, expected="a multipart form with the field file", do=_EXAMPLE,
        headers={"Connection": "close"},
    )  # fmt: skip


class _Form:
    """Writes what the parser finds."""

    def __init__(self, boundary: bytes, folder: Path, limits: Limits, apart: bool) -> None:
        self.uploads, self.ended = Uploads(), False
        self._folder, self._limits, self._apart = folder, limits, apart
        self._header, self._value, self._disposition = b"", b"", b""
        self._file: BinaryIO | None = None
        self._field, self._data, self._fields = "", b"", 0
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_part_data": self._on_data,
                "on_part_end": self._end,
                "on_header_field": self._on_header,
                "on_header_value": self._on_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers,
                "on_end": self._on_end,
            },
        )

    def write(self, chunk: bytes) -> None:
        try:
            if shutil.disk_usage(self._folder).free < _RESERVE_BYTES + len(chunk):
                raise no_room("the disk is full")
            self._parser.write(chunk)
        except MultipartParseError:
            raise _bad(400, "a multipart form that cannot be read") from None
        except OSError as error:
            raise no_room(error.strerror or type(error).__name__) from None

    def close(self) -> None:
        if self._file:
            with suppress(OSError):  # it writes what is left
                self._file.close()

    def _begin(self) -> None:
        self._header = self._value = self._disposition = self._data = b""
        self._field = ""

    def _on_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]
        self._check_header()

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._check_header()

    def _check_header(self) -> None:
        if len(self._header) + len(self._value) > _HEADER_BYTES:
            raise _bad(400, "a part with a header that is too long")

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _on_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._field = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" not in options:
            self._fields += 1
            if self._fields > _FIELDS:
                raise _bad(400, "too many fields")
            return
        if self._field != "file":
            raise _bad(400, "a file in another field")
        number = len(self.uploads.files)
        if number >= self._limits.files:
            raise RefusedError(
                413, found="too many files", expected=f"at most {self._limits.files} in one request",
                do="Send them in several requests.", headers={"Connection": "close"},
            )  # fmt: skip
        name = options[b"filename"].decode("utf-8", "replace")
        for escape, character in _ESCAPES.items():
            name = name.replace(escape, character)
        suffix = Path(name[-20:].replace("\0", "")).suffix.lower()
        folder = self._folder / (f"{number:04d}" if self._apart else "0000")
        folder.mkdir(exist_ok=True)
        path = folder / f"{0 if self._apart else number:04d}{suffix if suffix in SUFFIXES else ''}"
        self._file = path.open("xb")
        self.uploads.files.append((name, path))

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._file:
            self._file.write(data[start:end])
        elif len(self._data) + end - start <= _FIELD_BYTES:
            self._data += data[start:end]
        else:
            raise _bad(400, f"a field of more than {_FIELD_BYTES} bytes")

    def _end(self) -> None:
        if self._file:
            self._file.flush()
            os.fsync(self._file.fileno())  # the reply promises that the job is kept
            self._file.close()
            self._file = None
        else:
            self.uploads.fields[self._field] = self._data.decode("utf-8", "replace")

    def _on_end(self) -> None:
        self.ended = True
