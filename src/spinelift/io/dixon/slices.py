"""Slices of the Dixon series in an archive: position, series and pixels, in the project's axes."""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from pydicom.dataset import Dataset

from spinelift.errors import (
    AmbiguousScanError,
    HostileArchiveError,
    NoDixonInArchiveError,
    SpineliftError,
    TruncatedDicomError,
    TruncatedZipError,
    UnsupportedImageError,
)
from spinelift.io.dicom import read_identity
from spinelift.io.dicom_image import is_rescale
from spinelift.io.dicom_parse import Budget, damaged, reading
from spinelift.io.dicom_pixels import decode_pixels, mask_unused_bits, used_bits
from spinelift.io.dixon.header import Fields, plain_fields, slow_fields
from spinelift.io.dixon.plane import (
    Geometry,
    Pixels,
    PlaneGrid,
    integer_of,
    numbers_of,
    read_geometry,
    unsupported,
)
from spinelift.io.identity import NOBODY, Identity

MAX_PIXELS = 1 << 27
"""Most pixels of fat and water together: 5 times the real ones."""

_SERIES = re.compile(r"(?:^|_)(in|opp|F|W)$")
_BREATH_HOLD = re.compile(r"(?<!no)BH", re.IGNORECASE)
_USED = ("F", "W")
_NO_PIXELS = np.zeros((0, 0), np.uint16)


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


def collect_slices(files: Iterable[bytes | SpineliftError]) -> Collected:
    """Slices among DICOM files; only fat and water are decoded. In place of an unreadable file is its error.

    A damaged file is skipped: whether the rest is complete is judged by the positions. So are images of other
    forms (a colour overview, a projection), whatever their series is called. Raises NoDixonInArchiveError,
    AmbiguousScanError, TruncatedDicomError or UnsupportedImageError.
    """
    slices: list[DixonSlice] = []
    unused: list[DixonSlice] = []
    people: set[str] = set()
    studies: set[str] = set()
    identity: Identity | None = None
    damage: SpineliftError | None = None
    odd: SpineliftError | None = None
    broken = others = dixons = pixels = 0
    budget = Budget()
    for data in files:
        try:
            if isinstance(data, SpineliftError):
                raise data
            found = plain_fields(data) or slow_fields(data, budget)
            name = _SERIES.search(found[0].get("SeriesDescription", "")) if found else None
            if found is None or name is None or found[0].get("Modality") != "MR":
                others += 1
                continue
            fields, stored = found
            try:
                geometry = read_geometry(fields)
            except UnsupportedImageError as error:
                odd = error
                others += 1
                continue
            dixons += 1
            if identity is None:
                with suppress(TruncatedDicomError):
                    identity = read_identity(data)
            people.add(fields.get("PatientID", ""))
            studies.add(fields.get("StudyInstanceUID", ""))
            if name[1] in _USED:
                pixels += geometry.rows * geometry.columns
                if pixels > MAX_PIXELS:
                    break
                slices.append(_slice(name[1], fields, geometry, _pixels(fields, stored, geometry)))
            else:
                unused.append(_slice(name[1], fields, geometry, _NO_PIXELS))
        except (TruncatedDicomError, TruncatedZipError, HostileArchiveError, UnsupportedImageError) as error:
            damage = error.with_traceback(None)  # which holds the file
            broken += 1
    if pixels > MAX_PIXELS:
        raise unsupported("images of more than one body", "the stations of one body")
    if ({s.contrast for s in slices} != set(_USED) and damage) or (not slices and odd):
        raise damage or cast(SpineliftError, odd)
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


def _slice(contrast: str, fields: Fields, geometry: Geometry, pixels: Pixels) -> DixonSlice:
    description = fields["SeriesDescription"]
    return DixonSlice(
        contrast=contrast,
        breath_hold=bool(_BREATH_HOLD.search(description)) if "BH" in description.upper() else None,
        series=fields.get("SeriesInstanceUID") or f"{fields.get('SeriesNumber')}/{description}",
        series_number=integer_of(fields, "SeriesNumber"),
        time=_seconds(fields.get("AcquisitionTime", "")),
        instance_number=integer_of(fields, "InstanceNumber"),
        grid=geometry.grid,
        z=geometry.z,
        pixels=pixels,
    )


def _pixels(fields: Fields, stored: "memoryview | Dataset", geometry: Geometry) -> Pixels:
    rows, columns = geometry.rows, geometry.columns
    signed = fields.get("PixelRepresentation") == "1"
    if isinstance(stored, Dataset):
        with reading():
            values = used_bits(stored, decode_pixels(stored))
    else:
        kind = np.dtype(("<i" if signed else "<u") + ("1" if fields["BitsAllocated"] == "8" else "2"))
        if len(stored) < rows * columns * kind.itemsize:
            raise damaged()
        whole = np.frombuffer(stored, kind, rows * columns).reshape(rows, columns)
        high_bit = integer_of(fields, "HighBit") if "HighBit" in fields else None
        bits = integer_of(fields, "BitsStored") if "BitsStored" in fields else 8 * kind.itemsize
        values = mask_unused_bits(whole, bits, high_bit)
    slope = numbers_of(fields, "RescaleSlope", 1)[0] if "RescaleSlope" in fields else 1.0
    intercept = numbers_of(fields, "RescaleIntercept", 1)[0] if "RescaleIntercept" in fields else 0.0
    if not is_rescale(slope, intercept):
        raise damaged()
    pixels: Pixels
    if (slope, intercept) != (1.0, 0.0):
        pixels = np.maximum(values.astype(np.float32) * np.float32(slope) + np.float32(intercept), 0)
    else:
        pixels = (np.maximum(values, 0) if signed else values).astype(np.uint16, copy=False)
    return geometry.turned(pixels)


def _seconds(time: str) -> float:
    """Seconds after midnight of a DICOM TM value; -1 if there is none."""
    match = re.fullmatch(r"(\d\d)(\d\d)(\d\d(?:\.\d+)?)", time)
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) if match else -1.0
