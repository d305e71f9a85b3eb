"""Decode compressed DICOM pixels that come on standard input; ``decoder.py`` runs this file as a script.

Requests and replies are frames of bytes, not pickles: what the decoders are fed is not trusted.
"""

import faulthandler
import json
import os
import signal
import struct
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

MEMORY_BYTES = 1 << 30
"""Address space of this process, where the system can limit it: images have at most 16 MB."""


def main(seconds: int) -> None:
    """Serve requests until the input ends; a request that takes longer ends the process with code 1."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    with suppress(ImportError, ValueError, OSError):  # not on Windows; a lower limit may be set already
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    with Path(os.devnull).open("w+b") as nowhere:  # decoders print to it
        os.dup2(nowhere.fileno(), 1)
        while head := requests.read(8):
            lengths = struct.unpack("<II", head)
            options, pixels = (requests.read(length) for length in lengths)
            faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
            reply = _decoded(json.loads(options), pixels)
            faulthandler.cancel_dump_traceback_later()
            replies.write(reply)
            replies.flush()


def _decoded(options: dict[str, Any], pixels: bytes) -> bytes:
    """Type of the array (three characters, empty if no decoder could do it), its length, and its bytes."""
    try:
        array, _ = get_decoder(UID(options.pop("syntax"))).as_array(pixels, **options)
    except Exception:  # noqa: BLE001 - any, from any decoder; its text may hold header values
        return struct.pack("<3sxI", b"", 0)
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return struct.pack("<3sxI", array.dtype.str.encode(), array.nbytes) + array.tobytes()


if __name__ == "__main__":
    main(int(sys.argv[1]))
