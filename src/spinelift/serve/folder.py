"""The folder of a server's data: one that is kept, or a temporary one that is deleted at the end."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spinelift.errors import OutputError
from spinelift.files import locked, make_folder

_PREFIX = "spinelift-serve-"


@contextmanager
def data_folder(folder: Path | None) -> Iterator[Path]:
    """Absolute path of the folder; nobody else may use it at the time, or read it.

    None: a temporary folder, deleted when the block ends. Temporary folders of servers that were killed are
    deleted, too. Raises OutputError if the folder is in use or cannot be made.
    """
    if folder is not None:
        make_folder(folder)
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


def _remove_left_over() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError, OutputError), locked(folder, wait=False) as alone:
            if alone and not folder.is_symlink():
                shutil.rmtree(folder, ignore_errors=True)
