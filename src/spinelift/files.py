"""Files and folders that are written whole or not at all, their hashes, and output folders.

What is written goes into a temporary neighbour, ``.<name>.<16 hex digits>.part``, which replaces the target
at the end. A reader sees the old content or the new one, whatever is killed when; of two writers at once the
later one wins. File and folder are synchronised to the disk each time.
"""

import csv
import hashlib
import io
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from spinelift.errors import DamagedFileError, OutputError

UNSEALED = b"spinelift-sha256:" + b"0" * 64
"""What a file holds, once and uncompressed, where :func:`seal` puts its checksum."""
_SEAL = re.compile(re.escape(UNSEALED[:-64]) + rb"[0-9a-f]{64}")
_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{16}\.part", re.DOTALL)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A binary file, open to write and read, that replaces ``path`` when the block ends without an error.

    Its permissions are those of any new file. An :class:`OutputError` says that it cannot be written, or that
    ``path`` is there and no plain file: a link is refused, though its folder may be a link.
    """
    temporary = _temporary(path)
    with _output_errors(path):
        _check_target(path, stat.S_ISREG, "a plain file")
        try:
            with temporary.open("x+b") as file:  # O_CREAT | O_EXCL: does not follow a link either
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            synchronise(path.parent)
        finally:
            with suppress(OSError):
                temporary.unlink()


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder for the block to make and fill, which replaces ``path`` when it ends without an error.

    An :class:`OutputError` says that it cannot be put in place, or that ``path`` is there and no folder. A
    kill between the two renames, of the old folder and of the new one, leaves nothing at ``path``.
    """
    new, old = _temporary(path), _temporary(path)
    with _output_errors(path):
        _check_target(path, stat.S_ISDIR, "a folder")
    try:
        yield new
        for item in (new, *new.rglob("*")):
            synchronise(item)
        with _output_errors(path):
            try:
                if path.exists():
                    path.rename(old)
                new.rename(path)
            finally:
                if old.exists() and not path.exists():
                    old.rename(path)
            synchronise(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def write_whole(path: Path, data: bytes | str) -> None:
    """Write bytes, or text as UTF-8, as :func:`whole_file` does."""
    with whole_file(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def json_bytes(document: object) -> bytes:
    """JSON, indented by 1."""
    return f"{json.dumps(document, indent=1)}\n".encode()


def write_json(path: Path, document: object) -> None:
    """Write JSON, indented by 1, as :func:`whole_file` does."""
    write_whole(path, json_bytes(document))


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table, lines ended by a line feed, as :func:`whole_file` does."""
    write_whole(path, csv_text(header, rows))


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV, lines ended by a line feed."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def seal(data: bytes) -> bytes:
    """The content of a file with the SHA-256 of ``data`` in place of its ``UNSEALED``."""
    if len(_SEAL.findall(data)) != 1:
        raise ValueError("a file is sealed in one place")
    return data.replace(UNSEALED, UNSEALED[:-64] + hashlib.sha256(data).hexdigest().encode())


def is_sealed(data: bytes) -> bool:
    """Whether a file's content is what :func:`seal` returned."""
    return len(_SEAL.findall(data)) == 1 and seal(_SEAL.sub(UNSEALED, data)) == data


def read_sealed(path: Path, *, do: str) -> bytes:
    """Content of a sealed file; a :class:`DamagedFileError` if it is not what was written."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise damaged(path, error.strerror or "unreadable", do) from None
    if not is_sealed(data):
        raise damaged(path, f"{len(data)} bytes that do not fit its checksum", do)
    return data


def damaged(path: Path, how: str, do: str) -> DamagedFileError:
    """The error of a file of ours that cannot be read."""
    return DamagedFileError(
        found=f"a damaged {path.name} ({how})", expected="the file as it was written", do=do
    )


def remove_files(paths: Iterable[Path]) -> None:
    """Remove files that may be there; an :class:`OutputError` names one that cannot be removed."""
    for path in paths:
        with _output_errors(path):
            path.unlink(missing_ok=True)


def remove_unfinished(*folders: Path) -> None:
    """Remove the temporaries of killed runs; only where nobody else writes at the time."""
    for item in (item for folder in folders for item in folder.glob(".*.part")):
        if _UNFINISHED.fullmatch(item.name):
            if item.is_dir() and not item.is_symlink():
                shutil.rmtree(item, ignore_errors=True)
            else:
                remove_files([item])


@contextmanager
def locked(folder: Path, *, wait: bool = True) -> Iterator[bool]:
    """Wait until no other process holds this lock of a folder, which ends with the process at the latest.

    Yields False where the system has no such locks (Windows, some network disks): then nobody waits.
    Without ``wait``, an :class:`OutputError` says that another process holds it.
    """
    with ExitStack() as stack:
        alone = False
        try:
            import fcntl

            descriptor = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        except BlockingIOError:
            raise OutputError(
                found=f"another run that writes to {folder.name}",
                expected="one at a time",
                do="Wait until it has ended, or stop it.",
            ) from None
        except (ImportError, OSError):
            pass
        yield alone


def make_folder(path: Path) -> None:
    """Make an output folder and those above it, unless it is there, or raise an :class:`OutputError`."""
    with _output_errors(path):
        path.mkdir(parents=True, exist_ok=True)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name[:50]}.{secrets.token_hex(8)}.part")


def _check_target(path: Path, is_kind: Callable[[int], bool], kind: str) -> None:
    with suppress(FileNotFoundError):
        if not is_kind(path.lstat().st_mode):
            raise OutputError(
                found=f"something at {path.name} that is not {kind}",
                expected=f"{kind}, not a link to one, or nothing",
                do="Remove it, or choose another place.",
            )


def synchronise(path: Path) -> None:
    """Have the system write a file, or the names in a folder, to the disk, where it can."""
    with suppress(OSError):  # not every system lets a folder be opened or synchronised
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _output_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            found=f"no way to write {path.name} ({error.strerror or error})",
            expected="a place that exists, has room and can be written to",
            do="Free some space, or choose another place.",
        ) from error


class Bounded:
    """An open file of which no read is larger than ``most`` bytes, while it is set.

    zipfile reads the table of contents of an archive in one go, and makes an object of each entry.
    """

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file, self.most, self.exceeded = file, cast(int | None, most), False
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        """Read as the file does; a ValueError if it is too much."""
        if self.most is not None and size > self.most:
            self.exceeded = True
            raise ValueError
        return self._file.read(size)
