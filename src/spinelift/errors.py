"""The one exception family: what was found, what was expected, what to do.

Every class has its own process exit code, so that a script that runs ``spinelift`` can distinguish the
causes. Code 1 is any other error, 2 a wrong command line, 3 a batch in which some scans failed.
"""

import re
from functools import partial
from typing import ClassVar

PARTIAL_FAILURE_EXIT_CODE = 3
_UNPRINTABLE = re.compile("[\0-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """A text without line breaks, control characters and characters that UTF-8 cannot hold.

    They are written as escapes, such as ``\\x1b``; so are bytes of a file name that are no UTF-8: ``\\xe9``.
    """
    return _UNPRINTABLE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    is_byte = 0xDC80 <= code <= 0xDCFF  # PEP 383: how Python reads a byte that is no UTF-8
    return f"\\x{code - 0xDC00:02x}" if is_byte else match[0].encode("unicode_escape").decode()


class SpineliftError(Exception):
    """A user's problem: what was found, what was expected and what to do about it, as printable text."""

    exit_code: ClassVar[int] = 1

    def __init_subclass__(cls, *, exit_code: int) -> None:
        cls.exit_code = exit_code

    def __init__(self, *, found: str, expected: str, do: str) -> None:
        self.found, self.expected, self.do = printable(found), printable(expected), printable(do)
        super().__init__(f"Found {self.found}. Expected {self.expected}. {self.do}")

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the three keyword parts through pickling (worker processes)."""
        return partial(type(self), found=self.found, expected=self.expected, do=self.do), ()


class EmptyFileError(SpineliftError, exit_code=10):
    """A file of zero bytes."""


class TruncatedDicomError(SpineliftError, exit_code=11):
    """A DICOM file whose header or pixels end too early."""


class TruncatedZipError(SpineliftError, exit_code=12):
    """A zip archive that is cut or damaged."""


class NoDxaInArchiveError(SpineliftError, exit_code=13):
    """An archive or folder that holds no DXA image at all."""


class WrongBodyPartError(SpineliftError, exit_code=14):
    """DXA images, but none of them of the total body (AP spine, LVA, hip, knee)."""


class NoSpacingError(SpineliftError, exit_code=15):
    """An image whose pixel size is unknown or absurd."""


class ImageTooSmallError(SpineliftError, exit_code=16):
    """An image with too few pixels, or too few millimetres, to hold a spine."""


class BlankImageError(SpineliftError, exit_code=17):
    """An image without contrast."""


class WrongModalityError(SpineliftError, exit_code=18):
    """A DICOM file of another modality than DXA."""


class NoSpineError(SpineliftError, exit_code=19):
    """An image in which no spine, or only a part of one, could be found."""


class NoScansError(SpineliftError, FileNotFoundError, exit_code=20):
    """A path that does not exist, cannot be read, or holds nothing that could be a scan."""


class HostileArchiveError(SpineliftError, exit_code=21):
    """An archive that tries to write outside, explode in size, or hide other archives."""


class UnsupportedImageError(SpineliftError, exit_code=22):
    """A file that is readable, but not in a form that can be used (orientation, colour, bit depth)."""


class AmbiguousScanError(SpineliftError, exit_code=23):
    """Images of several people, several visits, or more images than one scan has."""


class IncompleteScanError(SpineliftError, exit_code=24):
    """An MRI with a hole where the spine is: a station, or too many slices, are missing."""


class NoDixonInArchiveError(SpineliftError, exit_code=25):
    """An archive that holds no Dixon MRI, or not both its fat and its water images."""


class IdentityMismatchError(SpineliftError, exit_code=26):
    """A DXA and an MRI whose headers are of two people."""


class NoLateralViewError(SpineliftError, exit_code=27):
    """A DXA visit without a lateral vertebral view (LVA), or with one that cannot be used."""


class BundleError(SpineliftError, exit_code=30):
    """A model bundle that is missing, incomplete, altered, or made for another version."""


class MissingExtraError(SpineliftError, exit_code=31):
    """An optional part whose packages are not installed."""


class ConfigError(SpineliftError, exit_code=32):
    """A configuration file, or an argument, with a value that makes no sense."""


class OutputError(SpineliftError, exit_code=33):
    """Results that cannot be written: no permission, no room."""


class InvalidCurveError(SpineliftError, ValueError, exit_code=34):
    """A centre line with too few points, heights out of order, or values that are not finite."""


class InputTypeError(SpineliftError, TypeError, exit_code=35):
    """An argument of a type that cannot be used, from Python."""


class DamagedFileError(SpineliftError, exit_code=40):
    """A file of a store or of a training run that was cut or changed, or is missing or of another version."""


class WorkerDiedError(SpineliftError, exit_code=42):
    """A process that died, or was killed, while it worked on one scan or visit."""


class QueueFullError(SpineliftError, exit_code=43):
    """More jobs than a server lets wait."""
