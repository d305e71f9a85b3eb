"""DICOM headers from bytes: the few fields that choose an image, and nothing more.

``visit`` is personal: it is compared, hidden from ``repr``, and dropped when the reader is done.
"""

import logging
import re
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO

import pydicom
import pydicom.config
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from spinelift.errors import NoSpacingError, TruncatedDicomError, UnsupportedImageError
from spinelift.geometry import Spacing
from spinelift.io.identity import FIELDS, Identity
from spinelift.io.spacing import spacing_from_header

ACCEPTED_MODALITIES = ("BMD", "CR", "DX", "OT")
"""Modalities under which makers store DXA."""
MAX_INFLATED_BYTES = 64 << 20
"""Largest size of a deflated file when expanded."""

_DEFLATED, _PLAIN = b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.1\0\0\0"
_TOTAL_BODY = re.compile(r"(total|whole)[\s_-]*body", re.IGNORECASE)
_OTHER_AREA = re.compile(r"spine|lva|vertebr|femur|hip\b|knee|forearm|\bhand\b|lateral", re.IGNORECASE)
_SINGLE = ("SamplesPerPixel", "NumberOfFrames")
_HEADER_TAGS = [
    *("SOPClassUID", "SOPInstanceUID", "StudyDate", *FIELDS),
    *("Modality", "ProtocolName", "InstanceNumber"),
    *_SINGLE,
    *("Rows", "Columns", "ExposedArea"),
    *("PixelSpacing", "ImagerPixelSpacing", "EstimatedRadiographicMagnificationFactor"),
]
_DAMAGE = (
    *(InvalidDicomError, BytesLengthException, EOFError, OSError, ValueError, TypeError, AttributeError),
    *(NotImplementedError, OverflowError, LookupError, RecursionError, AssertionError),
    *(struct.error, zlib.error),
)


@dataclass(frozen=True)
class DicomHeader:
    """What is needed to choose an image; texts that are absent are empty. ``visit`` is (patient, day).

    ``size_mm`` is the longer and the shorter side, (0, 0) if the pixel size is not known.
    """

    modality: str
    protocol: str
    instance_number: int | None
    visit: tuple[str, str] = field(repr=False)
    size_mm: tuple[float, float]
    one_grey_frame: bool
    instance: str = field(repr=False)
    syntax: str
    identity: Identity = field(repr=False, compare=False)

    @property
    def is_dxa(self) -> bool:
        """Whether the modality is one of ``ACCEPTED_MODALITIES``."""
        return self.modality in ACCEPTED_MODALITIES

    @property
    def is_total_body(self) -> bool:
        """Whether the protocol names the total (or whole) body."""
        return bool(_TOTAL_BODY.search(self.protocol))

    def is_copy_of(self, other: "DicomHeader") -> bool:
        """Whether it is the same image in another encoding; under the same one, two files are two images."""
        same = (self.instance, self.instance_number) == (other.instance, other.instance_number)
        return bool(self.instance) and same and self.syntax != other.syntax

    @property
    def is_other_area(self) -> bool:
        """Whether the protocol names another area; a name in another language is neither."""
        return not self.is_total_body and bool(_OTHER_AREA.search(self.protocol))


def read_header(data: bytes) -> DicomHeader | None:
    """Header of a DICOM file, or None if the file holds no image (a report, a DICOMDIR).

    Raises TruncatedDicomError if the file ends, or is damaged, before its pixels.
    """
    with reading():
        dataset, more = parse(data, tags=_HEADER_TAGS)
        header = DicomHeader(
            modality=text(dataset, "Modality").upper(),
            protocol=text(dataset, "ProtocolName"),
            instance_number=next(map(int, numbers(dataset, "InstanceNumber")), None),
            visit=(text(dataset, "PatientID"), text(dataset, "StudyDate")),
            size_mm=_size_mm(dataset),
            one_grey_frame=all(numbers(dataset, key) in ((), (1.0,)) for key in _SINGLE),
            instance=text(dataset, "SOPInstanceUID"),
            syntax=text(dataset.file_meta, "TransferSyntaxUID"),
            identity=_identity(dataset),
        )
        if more:
            return header
        kind = UID(text(dataset, "SOPClassUID") or text(dataset.file_meta, "MediaStorageSOPClassUID"))
        if kind.name == kind or "Image Storage" in kind.name:  # an unknown class has its number as name
            raise damaged()
        return None


def read_identity(data: bytes) -> Identity:
    """Patient of a DICOM file; raises TruncatedDicomError if it is damaged."""
    with reading():
        return _identity(parse(data, tags=list(FIELDS))[0])


def _identity(dataset: Dataset) -> Identity:
    return Identity({name: text(dataset, name) for name in FIELDS})


def parse(data: bytes, *, tags: list[str] | None = None) -> tuple[Dataset, bool]:
    """Parse a file, with or without its preamble; with ``tags``, only those, and up to the pixels.

    Returns the data set and whether anything, such as pixels, follows. A deflated file is expanded first:
    pydicom would do so without a limit.
    """
    meta_end = 144 + int.from_bytes(data[140:144], "little")  # preamble, DICM, (0002,0000) and its value
    deflated = _DEFLATED in data[132:meta_end]
    if deflated:
        data = data[:meta_end].replace(_DEFLATED, _PLAIN) + _inflated(data[meta_end:])
    stream = BytesIO(data)
    dataset = pydicom.dcmread(stream, force=True, stop_before_pixels=tags is not None, specific_tags=tags)
    if deflated:
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return dataset, stream.tell() < len(data)


def _inflated(data: bytes) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(data, MAX_INFLATED_BYTES)
    if inflater.unconsumed_tail:
        raise UnsupportedImageError(
            found=f"a deflated DICOM file of more than {MAX_INFLATED_BYTES >> 20} MB",
            expected="an image of one frame",
            do="Do not trust this file; ask where it comes from.",
        )
    if not inflater.eof:
        raise EOFError
    return inflated


def pixel_size(dataset: Dataset) -> Spacing:
    """Pixel size that the header gives, of the stored rows and columns, in the patient.

    ImagerPixelSpacing is measured at the detector: it is divided by the magnification (PS3.3, 10.7.1.1), also
    where PixelSpacing only repeats it. Raises NoSpacingError.
    """
    written, detector = numbers(dataset, "PixelSpacing"), numbers(dataset, "ImagerPixelSpacing")
    if detector and written in ((), detector):
        (factor, *_) = (*numbers(dataset, "EstimatedRadiographicMagnificationFactor"), 1.0)
        written = tuple(value / factor if factor > 0 else value for value in detector)
    area = numbers(dataset, "ExposedArea")
    return spacing_from_header(
        rows=int(dataset.Rows), columns=int(dataset.Columns), written=written, exposed_area=area
    )


def _size_mm(dataset: Dataset) -> tuple[float, float]:
    try:
        spacing = pixel_size(dataset)
    except (NoSpacingError, ArithmeticError, AttributeError, TypeError, ValueError):
        return 0.0, 0.0
    height, width = int(dataset.Rows) * spacing.row_mm, int(dataset.Columns) * spacing.col_mm
    return max(height, width), min(height, width)


def to_bytes(dataset: Dataset) -> bytes:
    """A data set as a file, in its own encoding, or else little endian with explicit types.

    Raises TruncatedDicomError if it cannot be written.
    """
    stream, meta = BytesIO(), getattr(dataset, "file_meta", {})
    known = "TransferSyntaxUID" in meta or None not in dataset.original_encoding
    with reading():
        encoding = {} if known else {"implicit_vr": False, "little_endian": True}
        pydicom.dcmwrite(stream, dataset, enforce_file_format=False, **encoding)
    return stream.getvalue()


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
    """Values of a numeric field; empty if absent. Decimal commas are read as points."""
    value = dataset.get(keyword)
    if value is None or value == "":
        return ()
    values = value if isinstance(value, Iterable) and not isinstance(value, str | bytes) else (value,)
    return tuple(float(v.replace(",", ".") if isinstance(v, str) else v) for v in values)
