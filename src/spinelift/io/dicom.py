"""DICOM headers from bytes: the few fields that choose an image, and nothing more.

``visit`` is personal: it is compared, hidden from ``repr``, and dropped when the reader is done.
"""

import re
from contextlib import suppress
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pydicom.uid import UID

from spinelift.errors import NoSpacingError, UnsupportedImageError
from spinelift.geometry import Spacing
from spinelift.io.dicom_parse import Budget, damaged, numbers, parse, reading, text
from spinelift.io.identity import FIELDS, Identity
from spinelift.io.spacing import ASK_FOR_SPACING, spacing_from_header

ACCEPTED_MODALITIES = ("BMD", "CR", "DX", "OT")
"""Modalities under which makers store DXA."""
PIXEL_SIZE = ("PixelSpacing", "ImagerPixelSpacing", "ExposedArea")
"""Elements that give the size of a pixel."""
MAGNIFICATION = (
    "EstimatedRadiographicMagnificationFactor",
    "DistanceSourceToDetector",
    "DistanceSourceToPatient",
)
"""Elements that give the magnification: itself, or as the ratio of the distances (PS3.3, C.8.7.5)."""
_TOTAL_BODY = re.compile(r"(total|whole)[\s_-]*body", re.IGNORECASE)
_LATERAL = re.compile(r"\blva\b|lateral|vertebral", re.IGNORECASE)
_OTHER_AREA = re.compile(r"spine|lva|vertebr|femur|hip\b|knee|forearm|\bhand\b|lateral", re.IGNORECASE)
_SINGLE = ("SamplesPerPixel", "NumberOfFrames")
_HEADER_TAGS = [
    *("SOPClassUID", "SOPInstanceUID", "StudyDate", *FIELDS),
    *("Modality", "ProtocolName", "InstanceNumber"),
    *_SINGLE,
    *("Rows", "Columns", *PIXEL_SIZE, *MAGNIFICATION),
]


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
    def is_lateral(self) -> bool:
        """Whether the protocol names the lateral vertebral view."""
        return bool(_LATERAL.search(self.protocol))

    @property
    def is_other_area(self) -> bool:
        """Whether the protocol names another area; a name in another language is neither."""
        return not self.is_total_body and bool(_OTHER_AREA.search(self.protocol))


def read_header(data: bytes, budget: Budget | None = None) -> DicomHeader | None:
    """Header of a DICOM file, or None if the file holds no image (a report, a DICOMDIR).

    ``budget`` is that of the archive. Raises TruncatedDicomError if the file ends, or is damaged, before its
    pixels, or UnsupportedImageError if it has too many elements.
    """
    with reading():
        dataset, more = parse(data, _HEADER_TAGS, budget=budget)
        header = DicomHeader(
            modality=text(dataset, "Modality").upper(),
            protocol=text(dataset, "ProtocolName"),
            instance_number=_instance_number(dataset),
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
        return _identity(parse(data, FIELDS)[0])


def _instance_number(dataset: Dataset) -> int | None:
    """The number of an image; None if it is absent or no number."""
    with suppress(UnsupportedImageError, ArithmeticError, ValueError):
        return next(map(int, numbers(dataset, "InstanceNumber")), None)
    return None


def _identity(dataset: Dataset) -> Identity:
    return Identity({name: text(dataset, name) for name in FIELDS})


def pixel_size(dataset: Dataset) -> Spacing:
    """Pixel size that the header gives, of the stored rows and columns, in the patient.

    ImagerPixelSpacing is measured at the detector: it is divided by the magnification (PS3.3, 10.7.1.1), also
    where PixelSpacing only repeats it. Raises NoSpacingError.
    """
    try:
        written, detector, area = (numbers(dataset, keyword) for keyword in PIXEL_SIZE)
        if detector and written in ((), detector):
            factor = _magnification(dataset)
            written = tuple(value / factor for value in detector)
    except UnsupportedImageError as error:
        raise NoSpacingError(found=error.found, expected=error.expected, do=ASK_FOR_SPACING) from None
    return spacing_from_header(
        rows=int(dataset.Rows), columns=int(dataset.Columns), written=written, exposed_area=area
    )


def _magnification(dataset: Dataset) -> float:
    """Magnification at the detector; 1 if it is not known."""
    given, detector, patient = ((*numbers(dataset, keyword), 0.0)[0] for keyword in MAGNIFICATION)
    if given > 0:
        return given
    return detector / patient if detector >= patient > 0 else 1.0


def _size_mm(dataset: Dataset) -> tuple[float, float]:
    try:
        spacing = pixel_size(dataset)
    except (NoSpacingError, ArithmeticError, AttributeError, TypeError, ValueError):
        return 0.0, 0.0
    height, width = int(dataset.Rows) * spacing.row_mm, int(dataset.Columns) * spacing.col_mm
    return max(height, width), min(height, width)
