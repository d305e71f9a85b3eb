"""The one exception family: what was found, what was expected, what to do.

Every class has its own process exit code, so that a script that runs ``spinelift`` can tell the causes
apart. Code 1 is any other error, 2 a wrong command line, 3 a batch in which some scans failed.
"""

from typing import ClassVar

PARTIAL_FAILURE_EXIT_CODE = 3


class SpineliftError(Exception):
    """A user's problem, told as what was found, what was expected and what to do about it."""

    exit_code: ClassVar[int] = 1

    def __init__(self, *, found: str, expected: str, do: str) -> None:
        self.found, self.expected, self.do = found, expected, do
        super().__init__(f"Found {found}. Expected {expected}. {do}")

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the three keyword parts through pickling (worker processes)."""
        return _rebuild, (type(self), self.found, self.expected, self.do)


def _rebuild(kind: type[SpineliftError], found: str, expected: str, do: str) -> SpineliftError:
    return kind(found=found, expected=expected, do=do)


class EmptyFileError(SpineliftError):
    """A file of zero bytes."""

    exit_code = 10


class TruncatedDicomError(SpineliftError):
    """A DICOM file whose header or pixels end too early."""

    exit_code = 11


class TruncatedZipError(SpineliftError):
    """A zip archive that is cut or damaged."""

    exit_code = 12


class NoDxaInArchiveError(SpineliftError):
    """An archive or folder that holds no DXA image at all."""

    exit_code = 13


class WrongBodyPartError(SpineliftError):
    """DXA images, but none of them of the total body (AP spine, LVA, hip, knee)."""

    exit_code = 14


class NoSpacingError(SpineliftError):
    """An image whose pixel size is unknown or absurd."""

    exit_code = 15


class ImageTooSmallError(SpineliftError):
    """An image with too few pixels, or too few millimetres, to hold a spine."""

    exit_code = 16


class BlankImageError(SpineliftError):
    """An image without contrast."""

    exit_code = 17


class WrongModalityError(SpineliftError):
    """A DICOM file of another modality than DXA."""

    exit_code = 18


class NoSpineError(SpineliftError):
    """An image in which no spine, or only a part of one, could be found."""

    exit_code = 19


class NoScansError(SpineliftError):
    """A path that holds nothing that could be a scan."""

    exit_code = 20


class HostileArchiveError(SpineliftError):
    """An archive that tries to write outside, explode in size, or hide other archives."""

    exit_code = 21


class UnsupportedImageError(SpineliftError):
    """A file that is readable, but not in a form that can be used (orientation, colour, bit depth)."""

    exit_code = 22


class AmbiguousScanError(SpineliftError):
    """Images of several people, several visits, or more images than one scan has."""

    exit_code = 23


class IncompleteScanError(SpineliftError):
    """An MRI with a hole where the spine is: a station, or too many slices, are missing."""

    exit_code = 24


class NoDixonInArchiveError(SpineliftError):
    """An archive that holds no Dixon MRI, or not both its fat and its water images."""

    exit_code = 25


class BundleError(SpineliftError):
    """A model bundle that is missing, incomplete, altered, or made for another version."""

    exit_code = 30


class MissingExtraError(SpineliftError):
    """An optional part whose packages are not installed."""

    exit_code = 31


class ConfigError(SpineliftError):
    """A configuration file, or an argument, with a value that makes no sense."""

    exit_code = 32


class OutputError(SpineliftError):
    """Results that cannot be written: no permission, no room."""

    exit_code = 33


class InvalidCurveError(SpineliftError, ValueError):
    """A centre line with too few points, heights out of order, or values that are not finite."""

    exit_code = 34
