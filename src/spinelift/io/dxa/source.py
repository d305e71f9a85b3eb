"""The DICOM image that a scan was read from, for objects that refer to it: its patient, study and pixel grid.

This is personal. It is read for ``predict --dicom`` alone, and goes into nothing but the objects.
"""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from pydicom.config import RAISE
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pydicom.valuerep import validate_value

from spinelift.errors import SpineliftError, UnsupportedImageError
from spinelift.geometry import Spacing
from spinelift.geometry.arrays import AnyArray, Float
from spinelift.io.dicom_image import NO_ORIENTATION, orientation_letters, to_standard
from spinelift.io.dicom_parse import parse, reading
from spinelift.io.dxa.discover import dicom_files
from spinelift.io.dxa.visit import Area, pick_total_body
from spinelift.io.inputs import (
    MAX_IMAGE_BYTES,
    FileKind,
    dicom_members,
    kind_of_bytes,
    read_bounded,
    read_head,
)

PATIENT = ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex")
STUDY = (
    *("StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "StudyID", "StudyDescription"),
    "ReferringPhysicianName",
)
"""Elements of the patient and of the study that other objects of the study repeat."""
_REFERENCE = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_IMAGE = (*_REFERENCE, "Modality", "Rows", "Columns")
_SEXES = ("F", "M", "O")
FOR_OBJECTS = ", for DICOM objects"
"""Ends what is found where a scan can be read, but no DICOM objects can be made of it."""
EXPECTED = "a DICOM file, or a zip or folder of them, whose header identifies image, series and study"


@dataclass(frozen=True, repr=False)
class SourceImage:
    """Header of the bone image, and where its pixels lie in a ``DxaScan``.

    Parameters
    ----------
    image
        SOP class, UIDs, modality and size.
    patient
        ``PATIENT`` and ``STUDY``, as far as they are there and valid.
    letters
        Where the stored columns and rows lead, as of :func:`spinelift.io.dicom_image.to_standard`.
    """

    image: Dataset
    patient: Dataset
    letters: tuple[str, ...]

    def _indices(self) -> Float:
        """Stored (row, column) of each pixel of the scan [2, H, W]."""
        stored = np.indices((int(self.image.Rows), int(self.image.Columns)), np.float32)
        return np.stack([to_standard(index, Spacing(1, 1), self.letters)[0] for index in stored], dtype=float)

    def stored(self, image: AnyArray) -> AnyArray:
        """An image on the scan's pixels [H, W] → on the stored ones [Rows, Columns]."""
        out = np.zeros((int(self.image.Rows), int(self.image.Columns)), image.dtype)
        rows, cols = self._indices().astype(np.intp)
        out[rows, cols] = image
        return out

    def points(self, rowcol: ArrayLike) -> Float:
        """(row, col) of the scan → (column, row) of the stored image [..., 2], as SCOORD has them.

        There an index is not the centre of its pixel but its upper left corner (PS3.3, C.18.6.1).
        """
        index = self._indices()
        along = np.stack([index[:, 1, 0], index[:, 0, 1]]) - index[:, 0, 0]
        points: Float = index[:, 0, 0] + np.asarray(rowcol, np.float64) @ along
        return points[..., ::-1] + 0.5

    @property
    def is_transposed(self) -> bool:
        """Whether the stored rows are columns of the scan."""
        return self.letters[0][:1] in ("F", "H")


def check_dicom(path: Path) -> None:
    """Refuse a picture, which has no header, before anything is done; raises UnsupportedImageError."""
    if path.is_dir():
        return
    try:
        kind = kind_of_bytes(read_head(path), path.suffix)
    except OSError:
        return  # the reader says why
    if kind is FileKind.PICTURE:
        do = "Leave --dicom and --dicom-deidentified out, or pass the scan as DICOM."
        raise _refused(f"{path.name}, a picture without a DICOM header", do)


def read_source(path: Path, *, area: Area | None = None, in_study: bool = True) -> SourceImage:
    """Header of the image that :func:`spinelift.io.read_dxa` takes from a path.

    ``in_study``: refuse headers without the identifiers that objects of the same study need.

    Raises UnsupportedImageError for pictures and such headers, else as ``read_dxa``.
    """
    check_dicom(path)
    contents: list[bytes | SpineliftError]
    if path.is_dir():
        contents = [f.read_bytes() for f in dicom_files(path) if f.stat().st_size <= MAX_IMAGE_BYTES]
    elif kind_of_bytes(read_head(path), path.suffix) is FileKind.ZIP:
        contents = [*dicom_members(path, skipped=Counter())]
    else:
        contents = [read_bounded(path)]
    with reading():
        wanted = {*PATIENT, *STUDY, *_IMAGE, "PatientOrientation", "ImageOrientationPatient"}
        header, _ = parse(pick_total_body(contents, area).bone, wanted)
        letters = orientation_letters(header) or NO_ORIENTATION
        image, patient = _valid(header, _IMAGE), _valid(header, (*PATIENT, *STUDY))
        if patient.get("PatientSex") not in (None, *_SEXES):
            del patient.PatientSex
        invalid = "PatientID" not in patient and header.get("PatientID")
    missing = [keyword for keyword in _REFERENCE if keyword not in image]
    missing += ["PatientID"] if invalid else []
    if in_study and missing:
        raise _refused(f"a DICOM header without a valid {', '.join(missing)}")
    if in_study and "Image Storage" not in UID(image.SOPClassUID).name:
        raise _refused("a DICOM image of a class that is not known")
    return SourceImage(image, patient, tuple(letter.strip().upper() for letter in letters))


def _valid(header: Dataset, keywords: tuple[str, ...]) -> Dataset:
    """Those of the elements that have a valid value, as new ones in UTF-8."""
    out = Dataset()
    for keyword in keywords:
        with suppress(ValueError, TypeError, KeyError):
            element = header[keyword]
            value = str(element.value) if element.VR == "PN" else element.value
            if not element.is_empty:
                for one in value if element.VM > 1 else [value]:
                    if isinstance(one, str):  # numbers are checked when they are converted
                        validate_value(element.VR, one, RAISE)
                setattr(out, keyword, value)
    return out


def _refused(
    found: str, do: str = "Give --dicom-deidentified, which does without them."
) -> UnsupportedImageError:
    return UnsupportedImageError(found=f"{found}{FOR_OBJECTS}", expected=EXPECTED, do=do)
