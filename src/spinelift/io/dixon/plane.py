"""Where a slice lies: its grid in the project's axes, and how the stored pixels are turned to it."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spinelift.errors import UnsupportedImageError
from spinelift.geometry.arrays import Float32
from spinelift.io.dixon.header import Fields

MAX_SIDE = 1024
"""Largest slice, rows or columns, that is decoded: 4 times the real ones."""
MAX_POSITION_MM = 5000.0
"""Largest coordinate of a slice, mm."""
SPACING_RANGE_MM = (0.5, 10.0)
"""Pixel sizes in plane that are accepted."""
MAX_TILT = 0.01
"""Largest sine of the angle between a slice's axes and the patient's; 0.6°, 2 mm at the body's edge."""

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
class Geometry:
    """Stored rows and columns, what turns them to the project's axes, and the grid and z after that."""

    rows: int
    columns: int
    transpose: bool
    mirrored: tuple[bool, bool]
    grid: PlaneGrid
    z: float

    def turned(self, pixels: Pixels) -> Pixels:
        """Stored pixels with rows → posterior, columns → left."""
        pixels = pixels.T if self.transpose else pixels
        along_rows, along_columns = (-1 if flip else 1 for flip in self.mirrored)
        return pixels[::along_rows, ::along_columns]


def read_geometry(fields: Fields) -> Geometry:
    """Place of an axial slice (DICOM PS3.3, C.7.6.2.1.1)."""
    rows, columns = _check_form(fields)
    dy, dx = numbers_of(fields, "PixelSpacing", 2)
    if not all(SPACING_RANGE_MM[0] <= v <= SPACING_RANGE_MM[1] for v in (dy, dx)):
        raise unsupported(f"a slice with pixels of {dy:.4g} × {dx:.4g} mm", "pixels of 0.5 to 10 mm")
    x0, y0, z = numbers_of(fields, "ImagePositionPatient", 3)
    if max(map(abs, (x0, y0, z))) > MAX_POSITION_MM:
        raise unsupported("a slice more than 5 m from the scanner's centre", "slices of one body")
    orientation = np.array(numbers_of(fields, "ImageOrientationPatient", 6))
    along_columns, along_rows = orientation[:3], orientation[3:]
    exact = np.abs(np.rint(orientation).reshape(2, 3)).sum(axis=1).tolist() == [1.0, 1.0]
    if not exact or np.abs(orientation - np.rint(orientation)).max() > MAX_TILT:
        raise unsupported("oblique slices", "axial slices")
    if round(along_columns[2]) or round(along_rows[2]) or abs(along_columns @ along_rows) > MAX_TILT:
        raise unsupported("slices that are not axial", "axial slices")
    height, width = rows, columns
    transpose = bool(round(along_columns[1]))  # columns run front to back
    if transpose:
        along_columns, along_rows = along_rows, along_columns
        dy, dx, height, width = dx, dy, width, height
    mirrored = bool(along_rows[1] < 0), bool(along_columns[0] < 0)
    y0 -= (height - 1) * dy if mirrored[0] else 0.0
    x0 -= (width - 1) * dx if mirrored[1] else 0.0
    return Geometry(rows, columns, transpose, mirrored, PlaneGrid(height, width, dy, dx, y0, x0), -z)


def _check_form(fields: Fields) -> tuple[int, int]:
    if (fields.get("NumberOfFrames") or "1") != "1":
        raise unsupported("an MR file of several frames", "one DICOM file a slice")
    if fields.get("BitsAllocated") not in ("8", "16") or fields.get("SamplesPerPixel", "1") != "1":
        raise unsupported("an MR slice that is not grey with 8 or 16 bits", "16 bits, one sample a pixel")
    rows, columns = integer_of(fields, "Rows"), integer_of(fields, "Columns")
    if not (2 <= rows <= MAX_SIDE and 2 <= columns <= MAX_SIDE):
        raise unsupported(f"an MR slice of {rows} × {columns} pixels", f"2 to {MAX_SIDE} a side")
    return rows, columns


def numbers_of(fields: Fields, keyword: str, count: int) -> tuple[float, ...]:
    """Finite numbers of a field; raises UnsupportedImageError if there are not ``count`` of them."""
    try:
        values = tuple(float(v.replace(",", ".")) for v in fields[keyword].split("\\"))
    except (KeyError, ValueError):
        values = ()
    if len(values) != count or not all(map(math.isfinite, values)):
        raise unsupported(f"an MR slice without a usable {keyword}", "slices with position and size")
    return values


def integer_of(fields: Fields, keyword: str) -> int:
    """A whole number of a field, 0 if there is none."""
    try:
        return int(float(fields[keyword]))
    except (KeyError, ValueError, OverflowError):
        return 0


def unsupported(found: str, expected: str) -> UnsupportedImageError:
    """The error for a slice of another form."""
    return UnsupportedImageError(
        found=found, expected=f"a Dixon MRI with {expected}", do="Pass the archive as the scanner made it."
    )
