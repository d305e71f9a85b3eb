"""Slices of the Dixon series in an archive: position, series and pixels, in the project's axes."""

import math
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from spinelift.errors import (
    AmbiguousScanError,
    NoDixonInArchiveError,
    TruncatedDicomError,
    UnsupportedImageError,
)
from spinelift.geometry.arrays import Float, Float32
from spinelift.io.dicom import read_identity
from spinelift.io.dicom_image import check_rescale, decode_pixels, mask_unused_bits, used_bits
from spinelift.io.dicom_parse import damaged, reading
from spinelift.io.dixon.header import Fields, plain_fields, slow_fields
from spinelift.io.identity import NOBODY, Identity

MAX_SIDE = 1024
"""Largest slice, rows or columns, that is decoded: 4 times the real ones."""
SPACING_RANGE_MM = (0.5, 10.0)
"""Pixel sizes in plane that are accepted."""
MAX_TILT = 0.01
"""Largest sine of the angle between a slice's axes and the patient's; 0.6°, 2 mm at the body's edge."""

_SERIES = re.compile(r"(?:^|_)(in|opp|F|W)$")
_BREATH_HOLD = re.compile(r"(?<!no)BH", re.IGNORECASE)
_USED = ("F", "W")
_NO_PIXELS = np.zeros((0, 0), np.uint16)

Pixels = NDArray[np.uint16] | Float32


@dataclass(frozen=True)
class PlaneGrid:
    """Pixels of a slice: shape, pixel size (mm) and the first pixel's centre (mm; y posterior, x left)."""

    rows: int
    columns: int
    dy: float
    dx: float
    y0: float
    x0: float


@dataclass(frozen=True)
class DixonSlice:
    """One slice; ``z`` in mm to the feet; pixels [y, x], rows to posterior, columns to the left."""

    contrast: str
    breath_hold: bool | None
    series: str = field(repr=False)
    series_number: int
    time: float
    instance_number: int
    grid: PlaneGrid
    z: float
    pixels: Pixels = field(repr=False)


@dataclass(frozen=True)
class Collected:
    """Slices of one visit: fat and water, and the unused in- and opposed-phase ones, without pixels.

    ``damaged`` and ``others`` count files that were skipped; ``identity`` is that of the first slice.
    """

    slices: tuple[DixonSlice, ...]
    unused: tuple[DixonSlice, ...]
    damaged: int
    others: int
    identity: Identity = field(repr=False, compare=False)


def collect_slices(files: Iterable[bytes]) -> Collected:
    """Slices among DICOM files; only fat and water are decoded.

    A damaged file is skipped: whether the rest is complete is judged by the positions. Raises
    NoDixonInArchiveError, AmbiguousScanError, TruncatedDicomError or UnsupportedImageError.
    """
    slices: list[DixonSlice] = []
    unused: list[DixonSlice] = []
    people: set[str] = set()
    studies: set[str] = set()
    identity: Identity | None = None
    broken = others = dixons = 0
    for data in files:
        try:
            found = plain_fields(data) or slow_fields(data)
            name = _SERIES.search(found[0].get("SeriesDescription", "")) if found else None
            if found is None or name is None or found[0].get("Modality") != "MR":
                others += 1
                continue
            fields, stored = found
            dixons += 1
            if identity is None:
                with suppress(TruncatedDicomError):
                    identity = read_identity(data)
            people.add(fields.get("PatientID", ""))
            studies.add(fields.get("StudyInstanceUID", ""))
            (slices if name[1] in _USED else unused).append(_slice(name[1], fields, stored))
        except TruncatedDicomError:
            broken += 1
    if broken and not slices:
        raise damaged()
    if len(people - {""}) > 1 or len(studies - {""}) > 1:
        what = f"{len(people)} people" if len(people) > 1 else f"{len(studies)} studies"
        raise AmbiguousScanError(
            found=f"Dixon images of {what}",
            expected="one person's single visit",
            do="Pass each visit as its own zip.",
        )
    for contrast, word in (("F", "fat"), ("W", "water")):
        if not any(s.contrast == contrast for s in slices):
            raise NoDixonInArchiveError(
                found=f"no {word} image ({dixons} Dixon images, {others} others)",
                expected="the series …_F and …_W of a Dixon MRI (UK Biobank field 20201)",
                do="Check that this is the right file, and that it is complete.",
            )
    return Collected(tuple(slices), tuple(unused), broken, others, identity or NOBODY)


def _slice(contrast: str, fields: Fields, stored: "memoryview | Dataset") -> DixonSlice:
    rows, columns = _check_form(fields)
    dy, dx = _numbers(fields, "PixelSpacing", 2)
    if not all(SPACING_RANGE_MM[0] <= v <= SPACING_RANGE_MM[1] for v in (dy, dx)):
        raise _unsupported(f"a slice with pixels of {dy:.4g} × {dx:.4g} mm", "pixels of 0.5 to 10 mm")
    position = np.array(_numbers(fields, "ImagePositionPatient", 3))
    orientation = np.array(_numbers(fields, "ImageOrientationPatient", 6))
    plain = np.broadcast_to(np.uint16(0), (rows, columns))
    pixels = _pixels(fields, stored, rows, columns) if contrast in _USED else plain
    grid, pixels = _to_project_axes(pixels, position, orientation, dy, dx)
    description = fields["SeriesDescription"]
    return DixonSlice(
        contrast=contrast,
        breath_hold=bool(_BREATH_HOLD.search(description)) if "BH" in description.upper() else None,
        series=fields.get("SeriesInstanceUID") or f"{fields.get('SeriesNumber')}/{description}",
        series_number=_integer(fields, "SeriesNumber"),
        time=_seconds(fields.get("AcquisitionTime", "")),
        instance_number=_integer(fields, "InstanceNumber"),
        grid=grid,
        z=-float(position[2]),
        pixels=pixels if contrast in _USED else _NO_PIXELS,
    )


def _check_form(fields: Fields) -> tuple[int, int]:
    if (fields.get("NumberOfFrames") or "1") != "1":
        raise _unsupported("an MR file of several frames", "one DICOM file a slice")
    if fields.get("BitsAllocated") not in ("8", "16") or fields.get("SamplesPerPixel", "1") != "1":
        raise _unsupported("an MR slice that is not grey with 8 or 16 bits", "16 bits, one sample a pixel")
    rows, columns = _integer(fields, "Rows"), _integer(fields, "Columns")
    if not (2 <= rows <= MAX_SIDE and 2 <= columns <= MAX_SIDE):
        raise _unsupported(f"an MR slice of {rows} × {columns} pixels", f"2 to {MAX_SIDE} a side")
    return rows, columns


def _pixels(fields: Fields, stored: "memoryview | Dataset", rows: int, columns: int) -> Pixels:
    signed = fields.get("PixelRepresentation") == "1"
    if isinstance(stored, Dataset):
        with reading():
            values = used_bits(stored, decode_pixels(stored))
    else:
        kind = np.dtype(("<i" if signed else "<u") + ("1" if fields["BitsAllocated"] == "8" else "2"))
        if len(stored) < rows * columns * kind.itemsize:
            raise damaged()
        whole = np.frombuffer(stored, kind, rows * columns).reshape(rows, columns)
        high_bit = int(fields["HighBit"]) if "HighBit" in fields else None
        values = mask_unused_bits(whole, int(fields.get("BitsStored", 8 * kind.itemsize)), high_bit)
    slope = _numbers(fields, "RescaleSlope", 1)[0] if "RescaleSlope" in fields else 1.0
    intercept = _numbers(fields, "RescaleIntercept", 1)[0] if "RescaleIntercept" in fields else 0.0
    check_rescale(slope, intercept)
    if (slope, intercept) != (1.0, 0.0):
        scaled: Pixels = np.maximum(values.astype(np.float32) * np.float32(slope) + np.float32(intercept), 0)
        return scaled
    return (np.maximum(values, 0) if signed else values).astype(np.uint16, copy=False)


def _to_project_axes(
    pixels: Pixels, position: Float, orientation: Float, dy: float, dx: float
) -> tuple[PlaneGrid, Pixels]:
    """Axial slice turned to rows → posterior, columns → left, and its grid (DICOM PS3.3, C.7.6.2.1.1)."""
    along_columns, along_rows = orientation[:3], orientation[3:]
    exact = np.abs(np.rint(orientation).reshape(2, 3)).sum(axis=1).tolist() == [1.0, 1.0]
    if not exact or np.abs(orientation - np.rint(orientation)).max() > MAX_TILT:
        raise _unsupported("oblique slices", "axial slices")
    if round(along_columns[2]) or round(along_rows[2]) or abs(along_columns @ along_rows) > MAX_TILT:
        raise _unsupported("slices that are not axial", "axial slices")
    if round(along_columns[1]):  # columns run front to back: transpose
        pixels, along_columns, along_rows = pixels.T, along_rows, along_columns
        dy, dx = dx, dy
    x0, y0 = float(position[0]), float(position[1])
    if along_columns[0] < 0:
        pixels, x0 = pixels[:, ::-1], x0 - (pixels.shape[1] - 1) * dx
    if along_rows[1] < 0:
        pixels, y0 = pixels[::-1], y0 - (pixels.shape[0] - 1) * dy
    rows, columns = pixels.shape
    return PlaneGrid(rows, columns, dy, dx, y0, x0), pixels


def _numbers(fields: Fields, keyword: str, count: int) -> tuple[float, ...]:
    try:
        values = tuple(float(v) for v in fields[keyword].split("\\"))
    except (KeyError, ValueError):
        values = ()
    if len(values) != count or not all(map(math.isfinite, values)):
        raise _unsupported(f"an MR slice without a usable {keyword}", "slices with position and size")
    return values


def _integer(fields: Fields, keyword: str) -> int:
    try:
        return int(float(fields[keyword]))
    except (KeyError, ValueError, OverflowError):
        return 0


def _seconds(time: str) -> float:
    """Seconds after midnight of a DICOM TM value; -1 if there is none."""
    match = re.fullmatch(r"(\d\d)(\d\d)(\d\d(?:\.\d+)?)", time)
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) if match else -1.0


def _unsupported(found: str, expected: str) -> UnsupportedImageError:
    return UnsupportedImageError(
        found=found, expected=f"a Dixon MRI with {expected}", do="Pass the archive as the scanner made it."
    )
