"""The folder of a server's data: one that is kept, or a temporary one that is deleted at the end."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spinelift.errors import OutputError
from spinelift.files import locked, make_folder

_PREFIX = "spinelift-serve-"
_NAMES = ("jobs", "incoming", "dicom")
"""Folders that a server makes, and in which it deletes what it does not know."""


@contextmanager
def data_folder(folder: Path | None) -> Iterator[Path]:
    """Absolute path of the folder; nobody else may use it at the time, or read it.

    None: a temporary folder, deleted when the block ends. Temporary folders of servers that were killed are
    deleted, too. Raises OutputError if the folder is in use, cannot be made, or holds what is not a server's.
    """
    if folder is not None:
        make_folder(folder)
        _check_own(folder)
        folder = folder.resolve()
        with suppress(OSError):
            folder.chmod(0o700)
        with locked(folder, wait=False):
            yield folder
        return
    _remove_left_over()
    temporary = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
    try:
        with locked(temporary, wait=False):
            yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_own(folder: Path) -> None:
    if (folder / "jobs.sqlite3").exists():
        return
    for name in _NAMES:
        with suppress(OSError):
            if any((folder / name).iterdir()):
                raise OutputError(
                    found=f"a folder {name} in {folder.name} that is not of a server",
                    expected="an empty folder, or that of an earlier server",
                    do="Choose another folder with --data: files there would be deleted.",
                )


def _remove_left_over() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError, OutputError), locked(folder, wait=False) as alone:
            if alone and not folder.is_symlink():
                shutil.rmtree(folder, ignore_errors=True)
