"""DICOM pixels from bytes: decoded, mapped to 0…255 with bone bright, turned to the project's axes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy.special import expit

from spinelift.errors import UnsupportedImageError
from spinelift.geometry import Spacing
from spinelift.geometry.arrays import Float, Float32, Integers
from spinelift.io.dicom import MAGNIFICATION, PIXEL_SIZE, pixel_size
from spinelift.io.dicom_parse import numbers, parse, reading, text
from spinelift.io.dicom_pixels import STORED, decode_pixels, unsupported, used_bits
from spinelift.io.spacing import check_spacing

MAX_PIXELS = 1 << 23
"""Largest image that is decoded: 30 times a whole-body scan."""
MAX_RESCALE = 1e9
"""Largest size of a rescale slope or intercept that an image can have."""
_READ = (
    *(
        *STORED,
        *PIXEL_SIZE,
        *MAGNIFICATION,
        "PatientOrientation",
        "ImageOrientationPatient",
        "PixelPaddingValue",
        "PixelPaddingRangeLimit",
    ),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "VOILUTSequence", "VOILUTFunction"),
    *("WindowCenter", "WindowWidth", "PresentationLUTShape"),
)
NO_ORIENTATION = ("L", "F")
"""Orientation of a frontal view that says none."""
_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOURS = ("RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_NO_RESCALE = (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))


class View(Enum):
    """From where a patient is seen; the value is to where columns lead, and the opposite."""

    FRONTAL = "LR"
    LATERAL = "PA"


@dataclass(frozen=True)
class OrientedImage:
    """Image [H, W], 0…255, with its pixel size; rows to the feet, columns to the left (lateral: back)."""

    pixels: Float32
    spacing: Spacing
    warnings: tuple[str, ...] = ()


def read_image(
    data: bytes, *, spacing: Spacing | None = None, view: View = View.FRONTAL,
    orientation: Sequence[str] | None = None,
) -> OrientedImage:  # fmt: skip
    """Decode one DICOM image; ``spacing`` (of the file's own rows and columns) and ``orientation`` (as of
    :func:`to_standard`) override the header's.

    Raises TruncatedDicomError, UnsupportedImageError, NoSpacingError or MissingExtraError.
    """
    with reading():
        dataset, _ = parse(data, _READ, pixels=True)
        _check_form(dataset)
        grey = to_grey(dataset, decode_pixels(dataset))
        warnings = []
        if spacing is None:
            spacing = pixel_size(dataset)
        else:
            spacing = check_spacing(spacing.row_mm, spacing.col_mm, "given")
            if any(keyword in dataset for keyword in PIXEL_SIZE):
                warnings.append("The pixel size given on the command line was used, not the header's.")
        letters = orientation_letters(dataset)
    if orientation is not None:
        letters = list(orientation)
    if not letters and view is View.FRONTAL:
        letters = [*NO_ORIENTATION]
        warnings.append("PatientOrientation is missing: columns were taken to run to the patient's left.")
    pixels, spacing = to_standard(grey, spacing, letters, view)
    return OrientedImage(pixels, spacing, tuple(warnings))


def orientation_letters(dataset: Dataset) -> list[str]:
    """PatientOrientation, or where it is absent that of ImageOrientationPatient; empty if both are."""
    header = dataset.get("PatientOrientation") or ()
    letters = header.split("\\") if isinstance(header, str) else list(map(str, header))
    directions = numbers(dataset, "ImageOrientationPatient")
    while letters and not letters[-1].strip():  # an empty value behind the others says nothing
        letters.pop()
    return letters or _letters(directions)


def _letters(directions: Sequence[float]) -> list[str]:
    """PatientOrientation of an ImageOrientationPatient (PS3.3, C.7.6.2.1.1); empty if it is none."""
    rows_and_columns = np.reshape(directions, (2, 3)) if len(directions) == 6 else np.zeros((2, 3))
    chief = np.abs(rows_and_columns).argmax(axis=1)
    if not np.isfinite(rows_and_columns).all() or not rows_and_columns.any(axis=1).all():
        return []
    return [("LPH" if rows_and_columns[k, axis] > 0 else "RAF")[axis] for k, axis in enumerate(chief)]


def to_standard(
    image: Float32, spacing: Spacing, orientation: Sequence[str], view: View = View.FRONTAL
) -> tuple[Float32, Spacing]:
    """Image [H, W] and spacing, flipped and transposed to L\\F, or P\\F for a lateral view.

    Letters as in DICOM PS3.3, C.7.6.1.1.1 (Patient Orientation): the first value says where a growing column
    leads, the second where a growing row leads; L, R, F (foot), H (head), A, P. Of a compound value such as
    ``LA`` the first letter counts, the chief direction. Raises UnsupportedImageError for any other view.
    """
    letters = [value.strip().upper()[:1] for value in orientation]
    if len(letters) != 2 or {len({*letters} & {*pair}) for pair in (view.value, "FH")} != {1}:
        _refuse(letters, view)
    along_row, along_column = letters
    if along_row in "FH":
        image, spacing = image.T, Spacing(spacing.col_mm, spacing.row_mm)
        along_row, along_column = along_column, along_row
    if along_row == view.value[1]:
        image = image[:, ::-1]
    if along_column == "H":
        image = image[::-1]
    return np.ascontiguousarray(image), spacing


def _refuse(letters: Sequence[str], view: View) -> NoReturn:
    if view is View.FRONTAL:
        other, named, expected = View.LATERAL, "a lateral view", "a frontal view: left-right"
        do = "Choose the Total Body image of the visit."
    else:
        other, named, expected = View.FRONTAL, "a frontal view", "a lateral view: front-back"
        do = "If it is a lateral view, say where its columns and rows lead: --orientation P,F or A,F."
    shown = "/".join(letter if letter in "LRFHAP" else "?" for letter in letters[:4])
    raise UnsupportedImageError(
        found=f"{named if {*letters} & {*other.value} else 'an unknown view'} "
        f"(PatientOrientation {shown or 'empty'})",
        expected=f"{expected} and head-foot in the image plane",
        do=do,
    )


def stretch(values: Float, where: NDArray[np.bool_] | None = None) -> Float32:
    """Values scaled linearly: the least of those ``where`` becomes 0, the largest 255; constants become 0."""
    seen = values if where is None or not where.any() else values[where]
    low, high = float(seen.min()), float(seen.max())
    return ((values - low) * (255.0 / ((high - low) or 1.0))).astype(np.float32)


def _check_form(dataset: Dataset) -> None:
    """Refuse anything but a single grey frame of 8 or 16 bits; complete what pydicom's decoders need."""
    for keyword in ("Rows", "Columns", "BitsAllocated", "PhotometricInterpretation"):
        if dataset.get(keyword) in (None, ""):
            raise unsupported(f"an image without {keyword}")
    photometric = text(dataset, "PhotometricInterpretation").upper()
    samples = int(dataset.get("SamplesPerPixel") or 1)
    kind = photometric if photometric in _GREY + _COLOURS else "another photometry"
    if samples != 1 or photometric not in _GREY:
        raise unsupported(f"an image of {samples} samples a pixel ({kind})")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise unsupported(f"an image of {frames} frames")
    allocated = int(dataset.BitsAllocated)
    if allocated not in (8, 16):
        raise unsupported(f"an image of {allocated} bits a pixel")
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    if rows < 1 or columns < 1 or rows * columns > MAX_PIXELS:
        raise unsupported(f"an image of {rows} × {columns} pixels")
    dataset.PhotometricInterpretation, dataset.SamplesPerPixel = photometric, samples
    dataset.PixelRepresentation = int(dataset.get("PixelRepresentation") or 0)
    dataset.BitsStored = int(dataset.get("BitsStored") or dataset.BitsAllocated)
    if dataset.get("HighBit") is None:
        dataset.HighBit = dataset.BitsStored - 1


def is_rescale(slope: float, intercept: float) -> bool:
    """Whether a rescale (PS3.3, C.11.1) leaves contrast and finite values."""
    return 0 < abs(slope) <= MAX_RESCALE and abs(intercept) <= MAX_RESCALE


def to_grey(dataset: Dataset, cells: Integers) -> Float32:
    """Stored cells → 0…255, dense things bright, padding 0: modality, then VOI transformation (PS3.3, C.11).

    Where there is neither table nor window, plain values of up to 8 bits keep their scale, and others go from
    minimum to maximum.
    """
    stored = used_bits(dataset, cells)
    padding = _padding(dataset, cells, stored)
    values: Float = stored.astype(np.float64)
    slope, intercept = ((*numbers(dataset, key), value)[0] for key, value in _NO_RESCALE)
    if not is_rescale(slope, intercept):
        raise unsupported(f"a RescaleSlope of {slope:.3g} and a RescaleIntercept of {intercept:.3g}")
    bits = int(dataset.get("BitsStored") or dataset.BitsAllocated)
    plain = bits <= 8 and (slope, intercept) == (1.0, 0.0) and not dataset.get("PixelRepresentation")
    if dataset.get("ModalityLUTSequence"):
        values, plain = _look_up(dataset, "ModalityLUTSequence", values), False
    else:
        values = values * slope + intercept
    centre, width = ((*numbers(dataset, f"Window{name}"), math.nan)[0] for name in ("Center", "Width"))
    function = text(dataset, "VOILUTFunction").upper()
    if function not in ("SIGMOID", "LINEAR_EXACT"):
        centre, width = centre - 0.5, width - 1
    if dataset.get("VOILUTSequence"):
        values = _look_up(dataset, "VOILUTSequence", values, to_255=True)
    elif math.isfinite(centre) and width == 0 and function in ("", "LINEAR"):
        values = np.where(values > centre, 255.0, 0.0)  # a WindowWidth of 1 is a step
    elif math.isfinite(centre) and width > 0:
        scaled = (values - centre) / width
        values = 255.0 * (expit(4 * scaled) if function == "SIGMOID" else scaled + 0.5)
    elif plain:
        values = values * (255.0 / (2**bits - 1))
    else:
        values = stretch(values, ~padding).astype(np.float64)
    kinds = (text(dataset, "PhotometricInterpretation"), text(dataset, "PresentationLUTShape"))
    if {kind.upper() for kind in kinds} & {"MONOCHROME1", "INVERSE"}:
        values = 255.0 - values
    return np.where(padding, 0.0, np.clip(values, 0.0, 255.0)).astype(np.float32)


def _padding(dataset: Dataset, cells: Integers, stored: Integers) -> NDArray[np.bool_]:
    """Pixels outside the scanned field (PS3.3, C.7.5.1.1.2), whose value may need all allocated bits."""
    one = numbers(dataset, "PixelPaddingValue")[:1]
    if not one:
        return np.zeros(stored.shape, bool)
    ends = np.array((*one, *numbers(dataset, "PixelPaddingRangeLimit")[:1]), np.int64)
    if stored.dtype.itemsize == 2:  # as the pixels are stored: a writer may give -2000 as 63536
        ends = ends.astype(stored.dtype)
    first, last = ends.min(), ends.max()
    inside: NDArray[np.bool_] = (stored >= first) & (stored <= last) | (cells >= first) & (cells <= last)
    return inside


def _look_up(dataset: Dataset, sequence: str, values: Float, *, to_255: bool = False) -> Float:
    """Values through a table of 8 or 16 bits (PS3.3, C.11.1.1), which ``to_255`` scales to its own range.

    pydicom's functions wrap values in tables of 8 bits, and refuse depths such as 12.
    """
    item = dataset[sequence][0]
    count, first, _ = (int(value) for value in item.LUTDescriptor)
    if first > 32767 and values.min() < 0:  # it is stored as unsigned, and is as signed as what it maps
        first -= 65536
    data = item.LUTData
    if isinstance(data, bytes):
        word = ">u2" if dataset.original_encoding[1] is False else "<u2"
        data = np.frombuffer(data, np.uint8 if len(data) < 2 * (count or 65536) else word)
    table = np.asarray(data, np.float64).ravel()[: count or 65536]
    table = stretch(table).astype(np.float64) if to_255 else table
    looked_up: Float = table[np.clip(np.rint(values) - first, 0, len(table) - 1).astype(np.intp)]
    return looked_up
