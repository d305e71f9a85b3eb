"""DICOM files of one MR series, made once by pydicom and then filled in slice by slice.

A person has about 1,300 slices. Everything but position, number, identifier and pixels is the same in
all slices of a series, so these are placeholders of fixed length in otherwise finished bytes.
"""

import hashlib
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from spinelift.simulate.archive.dxa import _WRITER_UID, _Person
from spinelift.simulate.archive.series import DixonStation

_UID_ROOT = "1.2.826.0.1.3680043.8.498."
# Marks hold a sign, which no identifier, date or other number here does: nothing else can be hit.
_UID_DIGITS = 38
_NUMBER_WIDTH = 8
_DS_WIDTH = 12
_NUMBER_MARK = "+1111111"
_POSITION_MARKS = ("-1111.111111", "-2222.222222", "-3333.333333")
_LOCATION_MARK = "-4444.444444"
_UID_MARK = _UID_ROOT + "7" * _UID_DIGITS
_KIND = {"in": "IN_PHASE", "opp": "OPP_PHASE", "F": "FAT", "W": "WATER"}


@dataclass(frozen=True)
class SliceTemplate:
    """Finished bytes of a slice up to its pixels, with marks to be written over."""

    head: bytes
    key: str
    shape: tuple[int, int]

    def fill(
        self, *, instance_number: int, position: tuple[float, float, float], pixels: NDArray[np.uint16]
    ) -> tuple[str, bytes]:
        """Name and bytes of one slice; ``position`` is ImagePositionPatient, mm, LPS."""
        if pixels.dtype != np.uint16 or pixels.shape != self.shape:
            raise ValueError(f"pixels must be uint16 {self.shape}, not {pixels.dtype} {pixels.shape}")
        uid = _uid(f"{self.key}/{instance_number}")
        data = self.head.replace(_UID_MARK.encode(), uid.encode())
        data = data.replace(_NUMBER_MARK.encode(), f"{instance_number:<{_NUMBER_WIDTH}d}".encode())
        for mark, value in zip((*_POSITION_MARKS, _LOCATION_MARK), (*position, position[2]), strict=True):
            data = data.replace(mark.encode(), f"{value:<{_DS_WIDTH}.6f}".encode())
        return f"{uid}.dcm", data + pixels.astype("<u2", copy=False).tobytes()


def series_template(station: DixonStation, person: _Person, index: int) -> SliceTemplate:
    """Template of one series; ``index`` tells apart series that are otherwise the same."""
    if station.volume.dtype != np.uint16 or station.volume.ndim != 3:
        raise ValueError(f"volume must be uint16 [slices, rows, columns], not {station.volume.dtype}")
    rows, columns = station.volume.shape[1:]
    key = f"{person.study_uid}/{index}"
    buffer = io.BytesIO()
    _dataset(station, person, key, b"\0" * (2 * rows * columns)).save_as(buffer, enforce_file_format=True)
    data = buffer.getvalue()
    return SliceTemplate(data[: len(data) - 2 * rows * columns], key, (rows, columns))


def _uid(key: str) -> str:
    """Identifier of fixed length; its first digit is never 0, as DICOM demands."""
    number = int.from_bytes(hashlib.sha256(key.encode()).digest(), "big")
    return f"{_UID_ROOT}{10 ** (_UID_DIGITS - 1) + number % (9 * 10 ** (_UID_DIGITS - 1))}"


def _dataset(station: DixonStation, person: _Person, key: str, pixels: bytes) -> Dataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = UID(_UID_MARK)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _WRITER_UID
    meta.ImplementationVersionName = "SPINELIFT"
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.ImageType = ["DERIVED", "PRIMARY", "DIXON", _KIND[station.contrast]]
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = UID(_UID_MARK)
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = person.study_date
    dataset.StudyTime = person.study_time
    dataset.SeriesTime = dataset.AcquisitionTime = station.time
    dataset.Modality = "MR"
    dataset.Manufacturer = "SIEMENS"
    dataset.ManufacturerModelName = "Aera"
    dataset.InstitutionName = "Imaging Centre"
    dataset.ReferringPhysicianName = "Nobody^Known"
    dataset.SeriesDescription = station.description
    dataset.ProtocolName = station.description.rsplit("_", 1)[0]
    dataset.PatientName = person.name
    dataset.PatientID = person.number
    dataset.PatientBirthDate = person.birth_date
    dataset.PatientSex = person.sex
    dataset.PatientSize = person.height_m
    dataset.PatientWeight = person.weight_kg
    dataset.BodyPartExamined = "ABDOMEN"
    dataset.ScanningSequence = "GR"
    dataset.SequenceVariant = "SP"
    dataset.MRAcquisitionType = "3D"
    dataset.MagneticFieldStrength = "1.5"
    dataset.RepetitionTime = "6.69"
    dataset.EchoTime = {"in": "4.77", "opp": "2.39"}.get(station.contrast, "2.39")
    dataset.FlipAngle = "10"
    dataset.PatientPosition = "HFS"
    dz, dy, dx = station.spacing
    dataset.SliceThickness = f"{dz:.6g}"
    dataset.StudyInstanceUID = person.study_uid
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[key])
    dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=[person.study_uid, "frame"])
    dataset.StudyID = "1"
    dataset.SeriesNumber = station.series_number
    dataset.InstanceNumber = _NUMBER_MARK
    dataset.ImagePositionPatient = list(_POSITION_MARKS)
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset.SliceLocation = _LOCATION_MARK
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = station.volume.shape[1:]
    dataset.PixelSpacing = [f"{dy:.8g}", f"{dx:.8g}"]
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels
    dataset["PixelData"].VR = "OW"
    return dataset
