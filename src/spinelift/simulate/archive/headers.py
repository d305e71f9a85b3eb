"""Headers of a simulated visit, the same in every archive of it.

All of it is invented, so that there is something personal for a reader to leave out.
"""

import io
from datetime import date, timedelta

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, generate_uid

from spinelift.simulate.body.physique import Physique, sample_physique

_FAMILY_NAMES = ("Ashdown", "Bellweather", "Carrow", "Dunmore", "Elmsley", "Farrant", "Greaves", "Holloway")
_GIVEN_NAMES = {
    "F": ("Agnes", "Beatrix", "Clara", "Dorothy", "Edith", "Flora"),
    "M": ("Albert", "Bernard", "Cecil", "Duncan", "Edmund", "Francis"),
}
_WRITER_UID = generate_uid(entropy_srcs=["spinelift"])  # fixed, or bytes would change with pydicom's version
FIRST_VISIT = 2
"""Instance of UK Biobank's first imaging visit; the next are about two years apart."""


def invent_study(
    eid: int, instance: int, rng: np.random.Generator, physique: Physique | None = None
) -> Dataset:
    """Patient and study of one examination; time and identifier are random.

    The patient of an EID is always the same; sex, size and age at the first imaging visit are those of
    ``physique``, if given. Both examinations of a visit are made on one day.
    """
    own = np.random.default_rng([eid])
    physique = physique or sample_physique(own)
    first = date(2014 + int(own.integers(0, 6)), int(own.integers(1, 13)), int(own.integers(1, 29)))
    study = Dataset()
    study.PatientName = f"{own.choice(_FAMILY_NAMES)}^{own.choice(_GIVEN_NAMES[physique.sex])}"
    study.PatientID = str(eid)
    study.PatientBirthDate = f"{first - timedelta(days=round(365.25 * physique.age)):%Y%m%d}"
    study.PatientSex = physique.sex
    study.PatientSize = f"{physique.height_mm / 1000:.3f}"
    study.PatientWeight = f"{physique.weight_kg:.1f}"
    study.StudyDate = f"{first + timedelta(days=730 * (instance - FIRST_VISIT)):%Y%m%d}"
    study.StudyID = "1"
    study.StudyInstanceUID = generate_uid(entropy_srcs=[str(eid), study.StudyDate, rng.bytes(16).hex()])
    study.StudyTime = f"{int(rng.integers(8, 19)):02d}{int(rng.integers(0, 60)):02d}00"
    return study


def new_dataset(study: Dataset, sop_class: UID, sop_instance: str, transfer_syntax: UID) -> Dataset:
    """A data set with file meta information, identifiers, patient and study."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = UID(sop_instance)
    meta.TransferSyntaxUID = transfer_syntax
    meta.ImplementationClassUID = _WRITER_UID
    meta.ImplementationVersionName = "SPINELIFT"
    dataset = Dataset()
    dataset.update(study)
    dataset.file_meta = meta
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = UID(sop_instance)
    return dataset


def with_pixels(dataset: Dataset, shape: tuple[int, ...], bits: int, pixels: bytes) -> bytes:
    """The file of a data set with unsigned MONOCHROME2 pixels of ``bits`` bits, [rows, columns]."""
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = shape
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels + b"\0" * (len(pixels) % 2)
    dataset["PixelData"].VR = "OW"
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
