"""What the headers of a simulated visit say, the same in every archive of the visit.

All of it is invented, so that there is something personal for a reader to keep to itself.
"""

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Participant:
    """One invented person on the day of one visit, as DICOM writes it.

    Parameters
    ----------
    patient_id, name, sex, birth_date, height_m, weight_kg
        ``PatientID`` (the EID), ``PatientName``, ``PatientSex`` (F or M), ``PatientBirthDate``,
        ``PatientSize`` and ``PatientWeight``.
    study_date
        ``StudyDate``: both examinations of a visit are made on one day.
    """

    patient_id: str
    name: str
    sex: str
    birth_date: str
    height_m: str
    weight_kg: str
    study_date: str


@dataclass(frozen=True)
class Study:
    """One examination of a participant: ``StudyTime`` and ``StudyInstanceUID``."""

    participant: Participant
    time: str
    uid: str


def invent_participant(eid: int, instance: int, physique: Physique | None = None) -> Participant:
    """The participant of a number, always the same; sex, age and size are those of ``physique``, if given.

    Age is that at the first imaging visit.
    """
    rng = np.random.default_rng([eid])
    physique = physique or sample_physique(rng)
    sex = physique.sex
    first = date(2014 + int(rng.integers(0, 6)), int(rng.integers(1, 13)), int(rng.integers(1, 29)))
    birth = first - timedelta(days=round(365.25 * physique.age))
    day = first + timedelta(days=730 * (instance - FIRST_VISIT))
    return Participant(
        patient_id=str(eid),
        name=f"{rng.choice(_FAMILY_NAMES)}^{rng.choice(_GIVEN_NAMES[sex])}",
        sex=sex,
        birth_date=f"{birth:%Y%m%d}",
        height_m=f"{physique.height_mm / 1000:.3f}",
        weight_kg=f"{physique.weight_kg:.1f}",
        study_date=f"{day:%Y%m%d}",
    )


def invent_study(participant: Participant, rng: np.random.Generator) -> Study:
    """An examination of a participant with a time and an identifier of its own."""
    uid = generate_uid(entropy_srcs=[participant.patient_id, participant.study_date, rng.bytes(16).hex()])
    return Study(participant, f"{int(rng.integers(8, 19)):02d}{int(rng.integers(0, 60)):02d}00", uid)


def new_dataset(study: Study, sop_class: UID, sop_instance: str, transfer_syntax: UID) -> Dataset:
    """A data set with file meta information, identifiers, patient and study."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = UID(sop_instance)
    meta.TransferSyntaxUID = transfer_syntax
    meta.ImplementationClassUID = _WRITER_UID
    meta.ImplementationVersionName = "SPINELIFT"
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = UID(sop_instance)
    person = study.participant
    dataset.PatientName = person.name
    dataset.PatientID = person.patient_id
    dataset.PatientBirthDate = person.birth_date
    dataset.PatientSex = person.sex
    dataset.PatientSize = person.height_m
    dataset.PatientWeight = person.weight_kg
    dataset.StudyDate = person.study_date
    dataset.StudyTime = study.time
    dataset.StudyID = "1"
    dataset.StudyInstanceUID = study.uid
    return dataset


def set_grey(dataset: Dataset, shape: tuple[int, ...], bits: int, pixels: bytes) -> None:
    """Unsigned MONOCHROME2 pixels of ``bits`` bits, [rows, columns]."""
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = shape
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels + b"\0" * (len(pixels) % 2)
    dataset["PixelData"].VR = "OW"
