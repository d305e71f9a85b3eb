"""Archives of DXA as UK Biobank hands them out (field 20158), for simulated people.

Every tag, size, order and trap of the real file, so that a reader cannot tell them apart; also names,
birth dates and sizes, all invented, so that there is something for a reader to keep to itself.
"""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    ImplicitVRLittleEndian,
    generate_uid,
)

from spinelift.files import whole_file

_FAMILY_NAMES = ("Ashdown", "Bellweather", "Carrow", "Dunmore", "Elmsley", "Farrant", "Greaves", "Holloway")
_GIVEN_NAMES = {
    "F": ("Agnes", "Beatrix", "Clara", "Dorothy", "Edith", "Flora"),
    "M": ("Albert", "Bernard", "Cecil", "Duncan", "Edmund", "Francis"),
}
_WRITER_UID = generate_uid(entropy_srcs=["spinelift"])
_ZIP_TIME = (2016, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class DxaImage:
    """One image of a visit.

    Parameters
    ----------
    protocol
        ``ProtocolName``: ``Total Body``, ``AP Spine``, ``LVA``, ``Left Femur``, ``Right Femur``,
        ``Left Ortho Knee`` or ``Right Ortho Knee``.
    instance_number
        ``InstanceNumber``; of the two Total Body images the tissue image has the lower one.
    pixels
        uint8 [H, W], rows to the feet, columns to the patient's left.
    width_mm, height_mm
        Size of the whole image; written rounded to whole millimetres, as the scanner does.
    """

    protocol: str
    instance_number: int
    pixels: NDArray[np.uint8]
    width_mm: float
    height_mm: float


@dataclass(frozen=True)
class _Person:
    """What the headers of a visit say about its invented person."""

    number: str
    name: str
    sex: str
    birth_date: str
    height_m: str
    weight_kg: str
    study_date: str
    study_time: str
    study_uid: str


def write_dxa_zip(
    folder: Path, images: Sequence[DxaImage], *, eid: int, instance: int, rng: np.random.Generator
) -> Path:
    """Write ``<eid>_20158_<instance>_0.zip`` into a folder and return its path.

    The same images, numbers and generator state give the same bytes. Members are in random order, the
    manifest's header does not fit its rows, and its name is spelt ``manifest.cvs`` at times.
    """
    person = _invent(eid, instance, rng)
    members: list[tuple[str, bytes]] = []
    rows = ["filename,patientid,studyid,seriesid,discription,date"]
    day = f"{person.study_date[:4]}-{person.study_date[4:6]}-{person.study_date[6:]}, {person.study_time}"
    for index in rng.permutation(len(images)):
        image = images[index]
        uid = generate_uid(entropy_srcs=[person.study_uid, str(index)])
        members.append((f"{uid}.dcm", _dicom(image, person, uid)))
        rows.append(f"{uid}.dcm,{person.number},1,{image.instance_number},DXA Images,{day}")
    manifest = "manifest.cvs" if rng.random() < 0.3 else "manifest.csv"
    members.append((manifest, ("\r\n".join(rows) + "\r\n").encode()))
    path = folder / f"{eid}_20158_{instance}_0.zip"
    with whole_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, data in members:
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED, compresslevel=1)
    return path


def _invent(eid: int, instance: int, rng: np.random.Generator) -> _Person:
    sex = str(rng.choice(["F", "M"]))
    height = rng.normal(1.62 if sex == "F" else 1.76, 0.06)
    year = 2014 + int(rng.integers(0, 6)) + (2 if instance > 2 else 0)
    month, day = int(rng.integers(1, 13)), int(rng.integers(1, 29))
    born = f"{year - int(rng.integers(45, 80))}{int(rng.integers(1, 13)):02d}{int(rng.integers(1, 29)):02d}"
    return _Person(
        number=str(eid),
        name=f"{rng.choice(_FAMILY_NAMES)}^{rng.choice(_GIVEN_NAMES[sex])}",
        sex=sex,
        birth_date=born,
        height_m=f"{height:.3f}",
        weight_kg=f"{height**2 * rng.normal(26.5, 3.5):.1f}",
        study_date=f"{year}{month:02d}{day:02d}",
        study_time=f"{int(rng.integers(8, 19)):02d}{int(rng.integers(0, 60)):02d}00",
        study_uid=generate_uid(entropy_srcs=[str(eid), str(instance), rng.bytes(16).hex()]),
    )


def _dicom(image: DxaImage, person: _Person, uid: UID) -> bytes:
    """One file as enCORE exports it: 8-bit MONOCHROME2, implicit VR, size in ``ExposedArea`` alone."""
    if image.pixels.dtype != np.uint8 or image.pixels.ndim != 2:
        raise ValueError(f"pixels must be uint8 [H, W], not {image.pixels.dtype} {image.pixels.shape}")
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = ImplicitVRLittleEndian
    meta.ImplementationClassUID = _WRITER_UID  # fixed, or the bytes would change with pydicom's version
    meta.ImplementationVersionName = "SPINELIFT"
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = uid
    dataset.StudyDate = dataset.ContentDate = person.study_date
    dataset.StudyTime = dataset.ContentTime = person.study_time
    dataset.Modality = "CR"
    dataset.Manufacturer = "GE Healthcare"
    dataset.ManufacturerModelName = "Lunar iDXA"
    dataset.SoftwareVersions = "enCORE 16"
    dataset.SeriesDescription = "DXA Images"
    dataset.PatientName = person.name
    dataset.PatientID = person.number
    dataset.PatientBirthDate = person.birth_date
    dataset.PatientSex = person.sex
    dataset.PatientSize = person.height_m
    dataset.PatientWeight = person.weight_kg
    dataset.ProtocolName = image.protocol
    dataset.StudyInstanceUID = person.study_uid
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[person.study_uid, "series"])
    dataset.StudyID = "1"
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = image.instance_number
    dataset.PatientOrientation = ["L", "F"]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = image.pixels.shape
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    dataset.ExposedArea = [round(image.width_mm), round(image.height_mm)]
    pixels = image.pixels.tobytes()
    dataset.PixelData = pixels + b"\0" * (len(pixels) % 2)
    dataset["PixelData"].VR = "OW"
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
