"""A received DICOM object: what is checked before it is kept, and the statuses of a refusal."""

import hashlib
import threading
from dataclasses import dataclass
from enum import IntEnum

from spinelift.errors import SpineliftError
from spinelift.io.dicom_parse import parse, reading, text
from spinelift.report.dicom.study import MANUFACTURER

VERIFICATION, STORAGE_COMMITMENT = "1.2.840.10008.1.1", "1.2.840.10008.1.20.1"
"""SOP classes of C-ECHO and of the Storage Commitment Push Model."""
SOP_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography
    "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray, for presentation
    "1.2.840.10008.5.1.4.1.1.1.1.1",  # Digital X-Ray, for processing
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
    "1.2.840.10008.5.1.4.1.1.7.2",  # Multi-frame Grayscale Byte Secondary Capture
    "1.2.840.10008.5.1.4.1.1.7.3",  # Multi-frame Grayscale Word Secondary Capture
    "1.2.840.10008.5.1.4.1.1.7.4",  # Multi-frame True Color Secondary Capture
    "1.2.840.10008.5.1.4.1.1.12.1",  # X-Ray Angiographic
    "1.2.840.10008.5.1.4.1.1.12.2",  # X-Ray Radiofluoroscopic
)
"""Storage classes under which makers store DXA, and images beside it."""
TRANSFER_SYNTAXES = (
    "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    "1.2.840.10008.1.2",  # Implicit VR Little Endian
    "1.2.840.10008.1.2.1.99",  # Deflated Explicit VR Little Endian
    "1.2.840.10008.1.2.2",  # Explicit VR Big Endian
    "1.2.840.10008.1.2.5",  # RLE Lossless
    "1.2.840.10008.1.2.4.50",  # JPEG Baseline
    "1.2.840.10008.1.2.4.51",  # JPEG Extended
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless, Non-Hierarchical
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless, First-Order Prediction
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS Near-lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
)
"""Encodings of pixels that ``io`` reads (with the extra ``jpeg``)."""
RESULT_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.88.33",  # Comprehensive SR
    "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation
    "1.2.840.10008.5.1.4.1.1.104.1",  # Encapsulated PDF
    "1.2.840.10008.5.1.4.1.1.104.3",  # Encapsulated STL
)
"""Storage classes of results, besides Secondary Capture: they are accepted so that a result that comes back
can be acknowledged. Without that, an archive that forwards everything would try again without end."""
_READ = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "Manufacturer")
_PARSER = threading.Lock()  # it changes the filters of warnings, which are the process's


class Status(IntEnum):
    """Statuses of C-STORE (PS3.4, B.2.3), which are also the failure reasons of STOW-RS (PS3.18, 10.5)."""

    SUCCESS = 0x0000
    CLASS_NOT_SUPPORTED = 0x0122
    OUT_OF_RESOURCES = 0xA700
    CLASS_DOES_NOT_MATCH = 0xA900
    CANNOT_UNDERSTAND = 0xC000


class RefusedObjectError(Exception):
    """An object that is not kept: the status for its sender, and a reason without personal data.

    ``named``: its SOP class and SOP instance, if they could be read.
    """

    def __init__(self, status: Status, reason: str, named: tuple[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status, self.named = status, named


@dataclass(frozen=True, repr=False)
class ReceivedObject:
    """An object whose header could be read; the UIDs stay in memory.

    ``is_result``: it was made by spinelift, and is acknowledged, but not kept.
    """

    data: bytes
    sop_class: str
    sop_instance: str
    study_instance: str
    is_result: bool = False

    @property
    def sha256(self) -> str:
        """SHA-256 of the file, 64 hex digits."""
        return hashlib.sha256(self.data).hexdigest()


def read_object(data: bytes) -> ReceivedObject:
    """The object of a DICOM file.

    Raises
    ------
    RefusedObjectError
        No DICOM, a header without the three UIDs, or a class of no DXA.
    """
    try:
        with _PARSER, reading():
            header, _ = parse(data, _READ)
            sop_class, instance, study, maker = (text(header, keyword) for keyword in _READ)
    except SpineliftError as error:
        raise RefusedObjectError(Status.CANNOT_UNDERSTAND, type(error).__name__) from None
    if not (sop_class and instance and study):
        raise RefusedObjectError(Status.CANNOT_UNDERSTAND, "a header without the UIDs of object and study")
    is_result = maker == MANUFACTURER
    if not is_result and sop_class not in SOP_CLASSES:
        reason = "an object of a class that no DXA has"
        raise RefusedObjectError(Status.CLASS_NOT_SUPPORTED, reason, (sop_class, instance))
    return ReceivedObject(data, sop_class, instance, study, is_result)


def uid_hash(*parts: str) -> str:
    """32 hex digits in place of UIDs, in names and tables."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
