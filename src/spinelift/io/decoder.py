"""Compressed DICOM pixels are decoded in a child process: native decoders can crash, hang or take all memory.

A child is kept for the next image, and ends with this process: its standard input does. Each thread that
decodes at the same time has its own, and so has each forked process.
"""

import atexit
import json
import os
import struct
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

import numpy as np

from spinelift.errors import UnsupportedImageError
from spinelift.geometry.arrays import Integers

SECONDS = 10
"""Longest time for one image; a large one takes 2 s."""

_CHILD = Path(__file__).with_name("decoder_child.py")
_OUT_OF_TIME = 1
_TYPES = {np.dtype(name).str.encode(): np.dtype(name) for name in ("|u1", "|i1", "<u2", "<i2")}
_idle: list[subprocess.Popen[bytes]] = []


def decode(syntax: str, options: Mapping[str, object], pixels: bytes) -> Integers | None:
    """Pixels [n] by pydicom's decoder of a transfer syntax, with its options; None if it cannot read them.

    Raises UnsupportedImageError if the decoder crashes or runs out of time, or cannot be started.
    """
    text = json.dumps({**options, "syntax": syntax}).encode()
    child = _take()
    requests, replies = _pipes(child)
    try:
        with suppress(OSError):  # the child died, which the reply shows
            requests.write(struct.pack("<II", len(text), len(pixels)) + text)
            requests.write(pixels)
            requests.flush()
        head = replies.read(8)
        name, length = struct.unpack("<3sxI", head) if len(head) == 8 else (b"", 0)
        data = replies.read(length)
        if len(head) < 8 or len(data) < length:
            code = child.wait()
            why = f"out of time ({SECONDS} s)" if code == _OUT_OF_TIME else f"it crashed (code {code})"
            raise _stopped(why, "Copy the file again, or store its pixels uncompressed.")
    except BaseException:
        _end(child)
        raise
    _idle.append(child)
    return np.frombuffer(data, _TYPES[name]) if name in _TYPES else None


def _take() -> subprocess.Popen[bytes]:
    """A child that is alive: an idle one, or a new one."""
    while _idle:
        with suppress(IndexError):  # another thread took it
            child = _idle.pop()
            if child.poll() is None:
                return child
            _end(child)
    paths = os.pathsep.join(path for path in sys.path if path)
    try:
        return subprocess.Popen(
            [sys.executable, "-P", str(_CHILD), str(SECONDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        raise _stopped(f"it cannot be started ({error.strerror})", "Free memory, and try again.") from None


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    _close(child)
    child.wait()


def _close(child: subprocess.Popen[bytes]) -> None:
    for pipe in _pipes(child):
        with suppress(OSError):
            pipe.close()


def _pipes(child: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    return cast(IO[bytes], child.stdin), cast(IO[bytes], child.stdout)


@atexit.register
def _end_all() -> None:
    while _idle:
        _end(_idle.pop())


def _forget() -> None:
    """After a fork: these children serve the other process."""
    while _idle:
        child = _idle.pop()
        _close(child)
        child.returncode = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _stopped(why: str, do: str) -> UnsupportedImageError:
    return UnsupportedImageError(
        found=f"compressed pixels whose decoder stopped: {why}",
        expected="pixels that are decoded in a moment",
        do=do,
    )
