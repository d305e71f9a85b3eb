"""DICOM pixels from bytes: decoded, mapped to 0…255 with bone bright, turned to the project's axes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian

from spinelift.errors import MissingExtraError, UnsupportedImageError
from spinelift.geometry import Spacing
from spinelift.geometry.arrays import Float, Float32, Integers
from spinelift.io.dicom import damaged, numbers, parse, reading, text
from spinelift.io.spacing import check_spacing, spacing_from_header

MAX_PIXELS = 1 << 23
"""Largest image that is decoded: 30 times a whole-body scan."""
MAX_RESCALE = 1e9
"""Largest size of a rescale slope or intercept that an image can have."""
_FRONTAL = {frozenset(pair) for pair in ("LF", "LH", "RF", "RH")}


@dataclass(frozen=True)
class OrientedImage:
    """Image [H, W], 0…255, rows to the feet, columns to the patient's left, with its pixel size."""

    pixels: Float32
    spacing: Spacing
    warnings: tuple[str, ...] = ()


def read_image(data: bytes, *, spacing: Spacing | None = None) -> OrientedImage:
    """Decode one DICOM image; ``spacing`` (of the file's own rows and columns) overrides the header's.

    Raises TruncatedDicomError, UnsupportedImageError, NoSpacingError or MissingExtraError.
    """
    with reading():
        dataset, _ = parse(data)
        rows, columns = _check_form(dataset)
        written = numbers(dataset, "PixelSpacing") or numbers(dataset, "ImagerPixelSpacing")
        exposed_area = numbers(dataset, "ExposedArea")
        orientation = dataset.get("PatientOrientation") or ()
        letters = orientation.split("\\") if isinstance(orientation, str) else list(map(str, orientation))
        grey = _grey(dataset, decode_pixels(dataset))
    warnings = []
    if spacing is None:
        spacing = spacing_from_header(rows=rows, columns=columns, written=written, exposed_area=exposed_area)
    else:
        spacing = check_spacing(spacing.row_mm, spacing.col_mm, "given")
        if written or exposed_area:
            warnings.append("The pixel size given on the command line was used, not the header's.")
    if not letters:
        letters = ["L", "F"]
        warnings.append("PatientOrientation is missing: columns were taken to run to the patient's left.")
    pixels, spacing = to_standard(grey, spacing, letters)
    return OrientedImage(pixels, spacing, tuple(warnings))


def to_standard(image: Float32, spacing: Spacing, orientation: Sequence[str]) -> tuple[Float32, Spacing]:
    """Image [H, W] and spacing, flipped and transposed to L\\F.

    Letters as in DICOM PS3.3, C.7.6.1.1.1 (Patient Orientation): the first value says where a growing column
    leads, the second where a growing row leads; L, R, F (foot), H (head), A, P. Of a compound value such as
    ``LA`` the first letter counts, the chief direction. Raises UnsupportedImageError for any other view than
    a frontal one.
    """
    letters = [value.strip().upper()[:1] for value in orientation]
    if len(letters) != 2 or frozenset(letters) not in _FRONTAL:
        view = "a lateral view" if {"A", "P"} & set(letters) else "an unknown view"
        raise UnsupportedImageError(
            found=f"{view} (PatientOrientation {'/'.join(letters) or 'empty'})",
            expected="a frontal view: left-right and head-foot in the image plane",
            do="Choose the Total Body image of the visit.",
        )
    along_row, along_column = letters
    if along_row in "FH":
        image, spacing = image.T, Spacing(spacing.col_mm, spacing.row_mm)
        along_row, along_column = along_column, along_row
    if along_row == "R":
        image = image[:, ::-1]
    if along_column == "H":
        image = image[::-1]
    return np.ascontiguousarray(image), spacing


def stretch(values: Float) -> Float32:
    """Values scaled linearly so that the least is 0 and the largest 255; constants become 0."""
    low, high = float(values.min()), float(values.max())
    return ((values - low) * (255.0 / ((high - low) or 1.0))).astype(np.float32)


def _check_form(dataset: Dataset) -> tuple[int, int]:
    """Rows and columns of a single grey frame of 8 or 16 bits; anything else is refused."""
    photometric = text(dataset, "PhotometricInterpretation").upper()
    samples = int(dataset.get("SamplesPerPixel") or 1)
    if samples != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise _unsupported(f"an image of {samples} samples a pixel ({photometric[:16] or 'no photometry'})")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise _unsupported(f"an image of {frames} frames")
    if dataset.BitsAllocated not in (8, 16):
        raise _unsupported(f"an image of {dataset.BitsAllocated} bits a pixel")
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    if rows < 1 or columns < 1 or rows * columns > MAX_PIXELS:
        raise _unsupported(f"an image of {rows} × {columns} pixels")
    return rows, columns


def decode_pixels(dataset: Dataset) -> Integers:
    """Stored values [rows, columns], unused bits masked.

    Raises TruncatedDicomError, UnsupportedImageError or MissingExtraError.
    """
    little_endian = dataset.original_encoding[1]
    guess = ImplicitVRLittleEndian if little_endian else ExplicitVRBigEndian
    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID") or guess))
    dataset.file_meta.TransferSyntaxUID = syntax
    needed = int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated) // 8
    length = len(dataset.PixelData)
    if not syntax.is_compressed:
        if length < needed:
            raise damaged()
    elif length > 2 * needed + 65536:
        raise _unsupported("compressed pixels that are longer than plain ones")
    else:
        _check_decoder(syntax)
    try:
        stored: Integers = dataset.pixel_array
    except RuntimeError:  # every decoder failed
        raise damaged() from None
    if stored.shape != (dataset.Rows, dataset.Columns):
        raise damaged()
    bits = int(dataset.get("BitsStored") or dataset.BitsAllocated)
    return mask_unused_bits(stored, bits, dataset.get("HighBit"))


def mask_unused_bits(stored: Integers, bits_stored: int, high_bit: int | None) -> Integers:
    """Values of the lower ``bits_stored`` bits, sign extended where the type is signed.

    Bits above them may hold anything (PS3.5, 8.1.1), such as overlays of old scanners. Raises
    UnsupportedImageError if there are more bits than allocated, or if they do not start at bit 0.
    """
    unused = 8 * stored.dtype.itemsize - bits_stored
    if unused < 0 or bits_stored < 1 or high_bit not in (None, bits_stored - 1):
        raise _unsupported(f"pixels of {bits_stored} bits up to bit {high_bit}")
    return np.right_shift(np.left_shift(stored, unused), unused) if unused else stored


def check_rescale(slope: float, intercept: float) -> None:
    """Refuse a rescale (PS3.3, C.11.1) that leaves no contrast or no finite values, as damage."""
    if not (0 < abs(slope) <= MAX_RESCALE and abs(intercept) <= MAX_RESCALE):
        raise damaged()


def _check_decoder(syntax: UID) -> None:
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        raise _unsupported(f"pixels stored as {syntax.name[:40]}") from None
    if not available:
        raise MissingExtraError(
            found=f"pixels compressed as {syntax.name}, and no decoder for them",
            expected="a decoder for this transfer syntax",
            do="Run: pip install 'spinelift[jpeg]'",
        )


def _grey(dataset: Dataset, stored: Integers) -> Float32:
    """Stored values → 0…255, dense things bright (PS3.3, C.11.1 rescale and C.11.2.1.2 window).

    Plain 8-bit values stay as they are; deeper ones, and rescaled ones, go through the window, or
    from minimum to maximum where there is none.
    """
    defaults = {
        "RescaleSlope": 1.0,
        "RescaleIntercept": 0.0,
        "WindowCenter": math.nan,
        "WindowWidth": math.nan,
    }
    slope, intercept, centre, width = ((*numbers(dataset, key), value)[0] for key, value in defaults.items())
    bits = int(dataset.get("BitsStored") or dataset.BitsAllocated)
    check_rescale(slope, intercept)
    if bits <= 8 and (slope, intercept) == (1.0, 0.0) and not dataset.get("PixelRepresentation"):
        grey = stored.astype(np.float32) * np.float32(255.0 / (2**bits - 1))
    else:
        values = stored.astype(np.float64) * slope + intercept
        if math.isfinite(centre) and width > 1:
            grey = ((((values - (centre - 0.5)) / (width - 1)) + 0.5) * 255.0).astype(np.float32)
        else:
            grey = stretch(values)
    np.clip(grey, 0.0, 255.0, out=grey)
    if text(dataset, "PhotometricInterpretation").upper() == "MONOCHROME1":
        np.subtract(255.0, grey, out=grey)
    return grey


def _unsupported(found: str) -> UnsupportedImageError:
    return UnsupportedImageError(
        found=found,
        expected="one grey frame (MONOCHROME1 or MONOCHROME2) of 8 or 16 bits",
        do="Export the bone image as the scanner made it, not a screen capture.",
    )
