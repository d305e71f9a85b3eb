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
from spinelift.io.dicom_parse import damaged, numbers, parse, reading, text
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
        MAGNIFICATION,
        "PatientOrientation",
        "PixelPaddingValue",
        "PixelPaddingRangeLimit",
    ),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "VOILUTSequence", "VOILUTFunction"),
    *("WindowCenter", "WindowWidth", "PresentationLUTShape"),
)
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
        header = dataset.get("PatientOrientation") or ()
        letters = header.split("\\") if isinstance(header, str) else list(map(str, header))
        grey = to_grey(dataset, decode_pixels(dataset))
        warnings = []
        if spacing is None:
            spacing = pixel_size(dataset)
        else:
            spacing = check_spacing(spacing.row_mm, spacing.col_mm, "given")
            if any(keyword in dataset for keyword in PIXEL_SIZE):
                warnings.append("The pixel size given on the command line was used, not the header's.")
    if orientation is not None:
        letters = list(orientation)
    elif view is View.FRONTAL and not any(map(str.strip, letters)):
        letters = ["L", "F"]
        warnings.append("PatientOrientation is missing: columns were taken to run to the patient's left.")
    pixels, spacing = to_standard(grey, spacing, letters, view)
    return OrientedImage(pixels, spacing, tuple(warnings))


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
    raise UnsupportedImageError(
        found=f"{named if {*letters} & {*other.value} else 'an unknown view'} "
        f"(PatientOrientation {'/'.join(letters) or 'empty'})",
        expected=f"{expected} and head-foot in the image plane",
        do=do,
    )


def stretch(values: Float, where: NDArray[np.bool_] | None = None) -> Float32:
    """Values scaled linearly: the least of those ``where`` becomes 0, the largest 255; constants become 0."""
    seen = values if where is None or not where.any() else values[where]
    low, high = float(seen.min()), float(seen.max())
    return ((values - low) * (255.0 / ((high - low) or 1.0))).astype(np.float32)


def _check_form(dataset: Dataset) -> None:
    """Refuse anything but a single grey frame of 8 or 16 bits."""
    photometric = text(dataset, "PhotometricInterpretation").upper()
    samples = int(dataset.get("SamplesPerPixel") or 1)
    kind = photometric if photometric in _GREY + _COLOURS else "another photometry"
    if samples != 1 or photometric not in _GREY:
        raise unsupported(f"an image of {samples} samples a pixel ({kind})")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise unsupported(f"an image of {frames} frames")
    if dataset.BitsAllocated not in (8, 16):
        raise unsupported(f"an image of {dataset.BitsAllocated} bits a pixel")
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    if rows < 1 or columns < 1 or rows * columns > MAX_PIXELS:
        raise unsupported(f"an image of {rows} × {columns} pixels")


def check_rescale(slope: float, intercept: float) -> None:
    """Refuse a rescale (PS3.3, C.11.1) that leaves no contrast or no finite values, as damage."""
    if not (0 < abs(slope) <= MAX_RESCALE and abs(intercept) <= MAX_RESCALE):
        raise damaged()


def to_grey(dataset: Dataset, cells: Integers) -> Float32:
    """Stored cells → 0…255, dense things bright, padding 0: modality, then VOI transformation (PS3.3, C.11).

    Where there is neither table nor window, plain values of up to 8 bits keep their scale, and others go from
    minimum to maximum.
    """
    stored = used_bits(dataset, cells)
    padding = _padding(dataset, cells, stored)
    values: Float = stored.astype(np.float64)
    slope, intercept = ((*numbers(dataset, key), value)[0] for key, value in _NO_RESCALE)
    check_rescale(slope, intercept)
    bits = int(dataset.get("BitsStored") or dataset.BitsAllocated)
    plain = bits <= 8 and (slope, intercept) == (1.0, 0.0) and not dataset.get("PixelRepresentation")
    if dataset.get("ModalityLUTSequence"):
        values, plain = _look_up(values, dataset.ModalityLUTSequence[0]), False
    else:
        values = values * slope + intercept
    centre, width = ((*numbers(dataset, f"Window{name}"), math.nan)[0] for name in ("Center", "Width"))
    function = text(dataset, "VOILUTFunction").upper()
    if function not in ("SIGMOID", "LINEAR_EXACT"):
        centre, width = centre - 0.5, width - 1
    if dataset.get("VOILUTSequence"):
        values = _look_up(values, dataset.VOILUTSequence[0], to_255=True)
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
    # as the pixels are stored: a writer may give -2000 as 63536
    ends = np.array((*one, *numbers(dataset, "PixelPaddingRangeLimit")[:1]), np.int64).astype(stored.dtype)
    first, last = ends.min(), ends.max()
    inside: NDArray[np.bool_] = (stored >= first) & (stored <= last) | (cells >= first) & (cells <= last)
    return inside


def _look_up(values: Float, item: Dataset, *, to_255: bool = False) -> Float:
    """Values through a table of 8 or 16 bits (PS3.3, C.11.1.1), which ``to_255`` scales to its own range.

    pydicom's functions wrap values in tables of 8 bits, and refuse depths such as 12.
    """
    count, first, _ = (int(value) for value in item.LUTDescriptor)
    data = item.LUTData
    if isinstance(data, bytes):
        data = np.frombuffer(data, np.uint8 if len(data) < 2 * (count or 65536) else np.uint16)
    table = np.asarray(data, np.float64).ravel()[: count or 65536]
    table = stretch(table).astype(np.float64) if to_255 else table
    looked_up: Float = table[np.clip(np.rint(values) - first, 0, len(table) - 1).astype(np.intp)]
    return looked_up
