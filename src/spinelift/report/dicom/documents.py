"""Encapsulated documents: a page as PDF, and the spine as an STL."""

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import EncapsulatedPDFStorage, EncapsulatedSTLStorage, ExplicitVRLittleEndian

from spinelift.report import RESEARCH_USE
from spinelift.report.dicom.study import Study
from spinelift.report.meshes import stl_bytes
from spinelift.report.scene import SpineScene


def encapsulate_pdf(pdf: bytes, study: Study) -> bytes:
    """DICOM Encapsulated PDF."""
    dataset = _document(pdf, "PDF", "DOC", EncapsulatedPDFStorage, "application/pdf", study)
    dataset.ConversionType = "SYN"
    dataset.DocumentTitle = "3D spine from one DXA"
    return study.write(dataset)


def encapsulate_stl(scene: SpineScene, study: Study) -> bytes:
    """DICOM Encapsulated STL of the spine's solid: mm, axes as of :mod:`spinelift.report.meshes`.

    Its frame of reference is its own: a DXA does not show the depth of the spine in the body.
    """
    dataset = _document(stl_bytes(scene), "STL", "M3D", EncapsulatedSTLStorage, "model/stl", study)
    dataset.DocumentTitle = "Spine, T1 to L5"
    dataset.FrameOfReferenceUID = study.uid("STL", "frame of reference")
    dataset.ReferencedSeriesSequence = [study.series_reference()]
    dataset.PositionReferenceIndicator = None
    dataset.MeasurementUnitsCodeSequence = [hd.sr.CodedConcept.from_code(codes.UCUM.Millimeter)]
    dataset.ModelModification = "NO"
    dataset.ModelMirroring = "NO"
    dataset.ContentDescription = RESEARCH_USE
    return study.write(dataset)


def _document(data: bytes, kind: str, modality: str, sop_class: str, mime: str, study: Study) -> Dataset:
    dataset = hd.SOPClass(
        study_instance_uid=study.image.StudyInstanceUID,
        sop_class_uid=sop_class,
        modality=modality,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **study.equipment(kind),
    )
    dataset.BurnedInAnnotation = "NO" if study.deidentified else "YES"
    dataset.AcquisitionDateTime = None
    dataset.ConceptNameCodeSequence = []
    dataset.SourceInstanceSequence = [study.reference()]
    dataset.MIMETypeOfEncapsulatedDocument = mime
    dataset.EncapsulatedDocumentLength = len(data)
    dataset.EncapsulatedDocument = data + b"\0" * (len(data) % 2)
    return dataset
