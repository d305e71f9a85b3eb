"""One series of a Dixon MRI, the grids of the six stations, and the DICOM files of a series."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from spinelift.simulate.archive.headers import new_dataset, with_pixels

Contrast = Literal["in", "opp", "F", "W"]
CONTRASTS: tuple[Contrast, ...] = ("in", "opp", "F", "W")
"""In-phase, opposed-phase, fat and water, in the order of their series numbers."""
PIXEL_MM = 2.232
"""Pixel size in plane, mm, square."""
_UID_ROOT = "1.2.826.0.1.3680043.8.498."
_UID_DIGITS = 38
# Placeholders hold a sign, which no identifier, date or number of a header does: nothing else is replaced.
_NUMBER = "+1111111"
_POSITION = ("-1111.111111", "-2222.222222", "-3333.333333")
_LOCATION = "-4444.444444"
_UID = _UID_ROOT + "7" * _UID_DIGITS
_KIND = {"in": "IN_PHASE", "opp": "OPP_PHASE", "F": "FAT", "W": "WATER"}


@dataclass(frozen=True)
class StationPlan:
    """Grid of one station: columns, rows, slices, slice thickness (mm), breath held or not."""

    columns: int
    rows: int
    slices: int
    dz_mm: float
    breath_hold: bool


STATION_PLANS = (
    StationPlan(224, 168, 64, 3.0, False),
    StationPlan(224, 174, 44, 4.5, True),
    StationPlan(224, 174, 44, 4.5, True),
    StationPlan(224, 174, 44, 4.5, True),
    StationPlan(224, 162, 72, 3.5, False),
    StationPlan(224, 156, 64, 4.0, False),
)
"""The six stations, head to feet. Together 1,294 mm; a stitched body is about 1.1 m long, so neighbours
overlap by about 39 mm."""


@dataclass(frozen=True)
class DixonStation:
    """One series: one contrast of one station.

    Parameters
    ----------
    series_number
        A repeat of a station has higher ones.
    volume
        uint16 [slices, rows, columns], the project's axes: slices to the feet, rows to posterior, columns
        to the patient's left.
    origin_mm
        (x, y, z) of the centre of voxel (0, 0, 0), DICOM patient axes: **z grows to the head**. Slice k
        lies at z − k·dz.
    spacing
        (dz, dy, dx), mm, all positive; dz is the distance of the slices and their thickness.
    acquisition_time
        Seconds after midnight.
    """

    series_number: int
    contrast: Contrast
    breath_hold: bool
    volume: NDArray[np.uint16]
    origin_mm: tuple[float, float, float]
    spacing: tuple[float, float, float]
    acquisition_time: float

    @property
    def description(self) -> str:
        """``SeriesDescription``."""
        return f"Dixon_{'BH_17s' if self.breath_hold else 'noBH'}_{self.contrast}"

    @property
    def time(self) -> str:
        """``AcquisitionTime`` as DICOM writes it, ``HHMMSS.ffffff``."""
        minutes, seconds = divmod(self.acquisition_time % 86400, 60)
        return f"{int(minutes) // 60:02d}{int(minutes) % 60:02d}{min(seconds, 59.999999):09.6f}"


class SliceTemplate:
    """DICOM files of one series, made once by pydicom and then filled in slice by slice.

    A person has about 1,300 slices. Everything but position, number, identifier and pixels is the same in all
    slices of a series, so these are placeholders of fixed length in finished bytes. ``index`` distinguishes
    series with the same contents.
    """

    def __init__(self, station: DixonStation, study: Dataset, index: int) -> None:
        if station.volume.dtype != np.uint16 or station.volume.ndim != 3:
            raise ValueError(f"volume must be uint16 [slices, rows, columns], not {station.volume.dtype}")
        self._station, self._key = station, f"{study.StudyInstanceUID}/{index}"
        size = 2 * station.volume[0].size
        self._head = _file(station, study, self._key, bytes(size))[:-size]

    def slice(self, k: int) -> tuple[str, bytes]:
        """Name and bytes of the k-th slice, from the head; its ``InstanceNumber`` is k + 1."""
        uid = _uid(f"{self._key}/{k + 1}")
        x, y, z = self._station.origin_mm
        position = (x, y, z - k * self._station.spacing[0])  # LPS: z to the head
        data = self._head.replace(_UID.encode(), uid.encode())
        data = data.replace(_NUMBER.encode(), f"{k + 1:<{len(_NUMBER)}d}".encode())
        for mark, value in zip((*_POSITION, _LOCATION), (*position, position[2]), strict=True):
            data = data.replace(mark.encode(), f"{value:<{len(mark)}.6f}".encode())
        return f"{uid}.dcm", data + self._station.volume[k].astype("<u2", copy=False).tobytes()


def _uid(key: str) -> str:
    """Identifier of fixed length; its first digit is never 0, as DICOM demands."""
    number = int.from_bytes(hashlib.sha256(key.encode()).digest(), "big")
    return f"{_UID_ROOT}{10 ** (_UID_DIGITS - 1) + number % (9 * 10 ** (_UID_DIGITS - 1))}"


def _file(station: DixonStation, study: Dataset, key: str, pixels: bytes) -> bytes:
    dataset = new_dataset(study, MRImageStorage, _UID, ExplicitVRLittleEndian)
    dataset.ImageType = ["DERIVED", "PRIMARY", "DIXON", _KIND[station.contrast]]
    dataset.SeriesDate = dataset.AcquisitionDate = study.StudyDate
    dataset.SeriesTime = dataset.AcquisitionTime = station.time
    dataset.Modality = "MR"
    dataset.Manufacturer = "SIEMENS"
    dataset.ManufacturerModelName = "Aera"
    dataset.InstitutionName = "Imaging Centre"
    dataset.ReferringPhysicianName = "Nobody^Known"
    dataset.SeriesDescription = station.description
    dataset.ProtocolName = station.description.rsplit("_", 1)[0]
    dataset.BodyPartExamined = "ABDOMEN"
    dataset.ScanningSequence = "GR"
    dataset.SequenceVariant = "SP"
    dataset.MRAcquisitionType = "3D"
    dataset.MagneticFieldStrength = "1.5"
    dataset.RepetitionTime = "6.69"
    dataset.EchoTime = "4.77" if station.contrast == "in" else "2.39"
    dataset.FlipAngle = "10"
    dataset.PatientPosition = "HFS"
    dz, dy, dx = station.spacing
    dataset.SliceThickness = f"{dz:.6g}"
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[key])
    dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=[study.StudyInstanceUID, "frame"])
    dataset.SeriesNumber = station.series_number
    dataset.InstanceNumber = _NUMBER
    dataset.ImagePositionPatient = list(_POSITION)
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset.SliceLocation = _LOCATION
    dataset.PixelSpacing = [f"{dy:.8g}", f"{dx:.8g}"]
    return with_pixels(dataset, station.volume.shape[1:], 16, pixels)
