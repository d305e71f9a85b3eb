"""What the objects of one result have in common: patient, study, source image, identifiers and dates.

The same input gives the same bytes: identifiers are hashes of the content, and dates are those of the study.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ComputedRadiographyImageStorage, ExplicitVRLittleEndian

from spinelift.io.dxa.source import PATIENT, STUDY, SourceImage
from spinelift.version import __version__

MANUFACTURER = "spinelift"
NO_DATE, NO_TIME = "19000101", "000000"
"""Of objects whose study has none, and of de-identified ones."""
_TYPE_2 = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "AccessionNumber", "StudyID", "ReferringPhysicianName"),
)
_CLOCK = (
    *("InstanceCreationDate", "InstanceCreationTime", "DateOfSecondaryCapture", "TimeOfSecondaryCapture"),
    "ContributingEquipmentSequence",
)
"""Elements that hold the time of day of the computer."""
_MAX_LO = 64


def content_uid(*parts: str | bytes) -> UID:
    """An identifier made of a hash (PS3.5, B.2): equal for equal parts."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return UID(f"2.25.{uuid.UUID(bytes=digest.digest()[:16], version=5).int}")


@dataclass(frozen=True, repr=False)
class Study:
    """The study that objects join.

    ``image``: the source image as objects refer to it, without a patient. ``patient``: elements of patient
    and study, which :meth:`write` adds. ``bundle``: name, version, hash. ``seed``: hash of the result.
    """

    source: SourceImage
    image: Dataset
    patient: Dataset
    bundle: Mapping[str, str]
    seed: str
    deidentified: bool

    @classmethod
    def of(
        cls, source: SourceImage, document: Mapping[str, Any], *, sha256: str, deidentified: bool
    ) -> "Study":
        """The patient's study; or, ``deidentified``, one whose identifiers are hashes of the scan's file."""
        scan_id = str(document["scan_id"])
        image, patient = deepcopy(source.image), deepcopy(source.patient)
        if deidentified:
            patient = _nobody(scan_id, sha256)
            image.SOPClassUID = image.get("SOPClassUID") or ComputedRadiographyImageStorage
            for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
                setattr(image, keyword, content_uid(keyword, sha256))
        for keyword in _TYPE_2:
            setattr(image, keyword, None)
        seed = json.dumps([sha256, dict(document), __version__, deidentified])
        digest = hashlib.sha256(f"{seed}{image.SOPInstanceUID}".encode()).hexdigest()
        return cls(source, image, patient, document["bundle"], digest, deidentified)

    def uid(self, *parts: str | bytes) -> UID:
        """An identifier of something in this result."""
        return content_uid(self.seed, *parts)

    def equipment(self, kind: str) -> dict[str, Any]:
        """Arguments of highdicom's constructors that say what made an object, and its identifiers."""
        return {
            "series_instance_uid": self.uid(kind, "series"),
            "sop_instance_uid": self.uid(kind, "instance"),
            "series_number": SERIES[kind],
            "instance_number": 1,
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": self.model,
            "software_versions": __version__,
            "device_serial_number": self.bundle["sha256"][:_MAX_LO],
            "series_description": f"spinelift {DESCRIPTIONS[kind]}",
        }

    @property
    def device(self) -> UID:
        """Identifier of the program with its bundle."""
        return content_uid("spinelift", __version__, self.bundle["sha256"])

    def reference(self) -> Dataset:
        """The source image, as an item of a sequence."""
        item = Dataset()
        item.ReferencedSOPClassUID = self.image.SOPClassUID
        item.ReferencedSOPInstanceUID = self.image.SOPInstanceUID
        return item

    def series_reference(self) -> Dataset:
        """The series of the source image with the image, as an item of a sequence."""
        item = Dataset()
        item.SeriesInstanceUID = self.image.SeriesInstanceUID
        item.ReferencedInstanceSequence = [self.reference()]
        return item

    @property
    def model(self) -> str:
        """Name and version of the bundle."""
        return f"spinelift {self.bundle['name']} {self.bundle['version']}"[:_MAX_LO]

    def write(self, dataset: Dataset) -> bytes:
        """Complete an object with patient, study and dates, and encode it."""
        for keyword in (*_CLOCK, *PATIENT, *STUDY):  # highdicom shares elements with the source image
            dataset.pop(keyword, None)
        for keyword in (*PATIENT, *STUDY):
            if keyword in self.patient or keyword in _TYPE_2:
                setattr(dataset, keyword, self.patient.get(keyword))
        dataset.ContentDate = self.patient.get("StudyDate") or NO_DATE
        dataset.ContentTime = self.patient.get("StudyTime") or NO_TIME
        dataset.SpecificCharacterSet = "ISO_IR 192"
        if self.deidentified:
            dataset.PatientIdentityRemoved = "YES"
            dataset.DeidentificationMethod = "Patient, study, dates and UIDs replaced by spinelift"
            dataset.LongitudinalTemporalInformationModified = "REMOVED"
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.ImplementationClassUID = content_uid("spinelift")
        meta.ImplementationVersionName = "SPINELIFT"
        dataset.file_meta = meta
        data = BytesIO()
        dataset.save_as(data, enforce_file_format=True)
        return data.getvalue()


SERIES = {"SR": 9001, "SEG": 9002, "SC": 9003, "PDF": 9004, "STL": 9005}
"""Number of the series of each object; each has its own, since they differ in modality."""
DESCRIPTIONS = {
    "SR": "measurements",
    "SEG": "spine on the DXA",
    "SC": "overlay",
    "PDF": "report page",
    "STL": "spine mesh",
}


def _nobody(scan_id: str, sha256: str) -> Dataset:
    """Elements of a patient who is known by the scan id alone."""
    name = scan_id if len(scan_id) <= _MAX_LO else f"{scan_id[:51]}-{sha256[:12]}"
    patient = Dataset()
    patient.PatientID = name
    patient.PatientName = f"{name}^"
    patient.StudyInstanceUID = content_uid("StudyInstanceUID", sha256)
    return patient
