"""Secondary Capture: the overlay as a colour image."""

from io import BytesIO

import highdicom as hd
import numpy as np
from PIL import Image

from spinelift.report.dicom.study import Study


def picture(png: bytes, study: Study) -> bytes:
    """DICOM Secondary Capture of a PNG, at half its size.

    The scan id is burned in, which may identify a person; in a de-identified study it is the PatientID.
    PatientOrientation is empty: front and side view have no common one.
    """
    with Image.open(BytesIO(png)) as image:
        pixels = np.asarray(image.convert("RGB").reduce(2))
    captured = hd.sc.SCImage(
        pixel_array=pixels,
        photometric_interpretation=hd.PhotometricInterpretationValues.RGB,
        bits_allocated=8,
        coordinate_system=hd.CoordinateSystemNames.PATIENT,
        patient_orientation=("L", "F"),
        study_instance_uid=study.image.StudyInstanceUID,
        **study.equipment("SC"),
    )
    captured.PatientOrientation = []
    captured.BodyPartExamined = "SPINE"
    captured.ConversionType = "SYN"
    captured.BurnedInAnnotation = "NO" if study.deidentified else "YES"
    captured.SourceImageSequence = [study.reference()]
    return study.write(captured)
