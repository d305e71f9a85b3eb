"""DICOM headers from bytes: the few fields that choose an image, and nothing more.

``visit`` is personal: it is compared, hidden from ``repr``, and dropped when the reader is done.
"""

import logging
import re
import struct
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO

import pydicom
import pydicom.config
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import UID

from spinelift.errors import TruncatedDicomError, UnsupportedImageError

ACCEPTED_MODALITIES = ("BMD", "CR", "DX", "OT")
"""Modalities under which makers store DXA."""
DEFLATED = b"1.2.840.10008.1.2.1.99"
"""Deflated transfer syntax: pydicom would expand it without a limit, and no densitometer writes it."""

_TOTAL_BODY = re.compile(r"(total|whole)[\s_-]*body", re.IGNORECASE)
_HEADER_TAGS = ["SOPClassUID", "Modality", "ProtocolName", "InstanceNumber", "PatientID", "StudyDate"]
_DAMAGE = (
    *(InvalidDicomError, BytesLengthException, EOFError, OSError, ValueError, TypeError, AttributeError),
    *(NotImplementedError, OverflowError, LookupError, RecursionError, AssertionError, struct.error),
)


@dataclass(frozen=True)
class DicomHeader:
    """What is needed to choose an image; texts that are absent are empty. ``visit`` is (patient, day)."""

    modality: str
    protocol: str
    instance_number: int | None
    visit: tuple[str, str] = field(repr=False)

    @property
    def is_dxa(self) -> bool:
        """Whether the modality is one of ``ACCEPTED_MODALITIES``."""
        return self.modality in ACCEPTED_MODALITIES

    @property
    def is_total_body(self) -> bool:
        """Whether the protocol names the total (or whole) body."""
        return bool(_TOTAL_BODY.search(self.protocol))


def read_header(data: bytes) -> DicomHeader | None:
    """Header of a DICOM file, or None if the file holds no image (a report, a DICOMDIR).

    Raises TruncatedDicomError if the file ends, or is damaged, before its pixels.
    """
    with reading():
        dataset, end = parse(data, tags=_HEADER_TAGS)
        header = DicomHeader(
            modality=text(dataset, "Modality").upper(),
            protocol=text(dataset, "ProtocolName"),
            instance_number=next(map(int, numbers(dataset, "InstanceNumber")), None),
            visit=(text(dataset, "PatientID"), text(dataset, "StudyDate")),
        )
        if end < len(data):
            return header
        kind = UID(text(dataset, "SOPClassUID"))
        if kind.name == kind or "Image Storage" in kind.name:  # an unknown class has its number as name
            raise damaged()
        return None


def parse(data: bytes, *, tags: list[str] | None = None) -> tuple[Dataset, int]:
    """Parse a file, with or without its preamble; with ``tags``, only those, and up to the pixels.

    Returns the data set and the position at which parsing ended: the file's end if no pixels came.
    """
    if DEFLATED in data:
        raise UnsupportedImageError(
            found="a deflated DICOM file",
            expected="one that is uncompressed, or RLE, JPEG or JPEG 2000",
            do="Convert it, e.g. with dcmconv +te.",
        )
    stream = BytesIO(data)
    dataset = pydicom.dcmread(stream, force=True, stop_before_pixels=tags is not None, specific_tags=tags)
    return dataset, stream.tell()


@contextmanager
def reading() -> Iterator[None]:
    """Turn whatever a damaged file makes pydicom raise into TruncatedDicomError, without its text.

    The causes are dropped and the log is silenced on purpose: pydicom's messages quote header values.
    """

    def silence(_: logging.LogRecord) -> bool:
        return False

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom.config.logger.addFilter(silence)
        try:
            yield
        except _DAMAGE:
            raise damaged() from None
        finally:
            pydicom.config.logger.removeFilter(silence)


def damaged() -> TruncatedDicomError:
    """The error for a DICOM file that ends too early."""
    return TruncatedDicomError(
        found="a DICOM file that is cut or damaged",
        expected="a header followed by all of its pixels",
        do="Copy or download it again and compare its size with the original's.",
    )


def text(dataset: Dataset, keyword: str) -> str:
    """Value of a text field, without padding; empty if absent."""
    return str(dataset.get(keyword) or "").strip()


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """Values of a numeric field; empty if absent."""
    value = dataset.get(keyword)
    if value is None or value == "":
        return ()
    several = isinstance(value, Iterable) and not isinstance(value, str | bytes)
    return tuple(map(float, value)) if several else (float(value),)
