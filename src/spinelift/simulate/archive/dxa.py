"""Archives of DXA as UK Biobank hands them out (field 20158), with the tags and flaws of the real files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID, ComputedRadiographyImageStorage, ImplicitVRLittleEndian, generate_uid

from spinelift.geometry.arrays import UInt8
from spinelift.io.ukb_names import DXA_FIELD, UkbName
from spinelift.simulate.archive.container import Member, write_archive
from spinelift.simulate.archive.headers import invent_study, new_dataset, with_pixels
from spinelift.simulate.body.physique import Physique

_DESCRIPTION = "DXA Images"


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
        uint8 [H, W], rows to the feet.
    width_mm, height_mm
        Size of the whole image; written rounded to whole millimetres, as the scanner does.
    columns
        Where columns lead: ``L``, or ``P`` in a lateral view.
    """

    protocol: str
    instance_number: int
    pixels: UInt8
    width_mm: float
    height_mm: float
    columns: Literal["L", "P"] = "L"


def write_dxa_zip(
    folder: Path,
    images: Sequence[DxaImage],
    *,
    eid: int,
    instance: int,
    rng: np.random.Generator,
    physique: Physique | None = None,
) -> Path:
    """Write ``<eid>_20158_<instance>_0.zip`` into a folder and return its path.

    The same arguments and generator state give the same bytes.
    """
    study = invent_study(eid, instance, rng, physique)
    members = []
    for index in rng.permutation(len(images)):
        image = images[index]
        uid = generate_uid(entropy_srcs=[study.StudyInstanceUID, str(index)])
        members.append(Member(f"{uid}.dcm", _dicom(image, study, uid), image.instance_number, _DESCRIPTION))
    return write_archive(folder / UkbName(eid, DXA_FIELD, instance).zip, members, study, rng)


def _dicom(image: DxaImage, study: Dataset, uid: UID) -> bytes:
    """One file as enCORE exports it: 8-bit MONOCHROME2, implicit VR, size in ``ExposedArea`` alone."""
    if image.pixels.dtype != np.uint8 or image.pixels.ndim != 2:
        raise ValueError(f"pixels must be uint8 [H, W], not {image.pixels.dtype} {image.pixels.shape}")
    dataset = new_dataset(study, ComputedRadiographyImageStorage, uid, ImplicitVRLittleEndian)
    dataset.ContentDate = study.StudyDate
    dataset.ContentTime = study.StudyTime
    dataset.Modality = "CR"
    dataset.Manufacturer = "GE Healthcare"
    dataset.ManufacturerModelName = "Lunar iDXA"
    dataset.SoftwareVersions = "enCORE 16"
    dataset.SeriesDescription = _DESCRIPTION
    dataset.ProtocolName = image.protocol
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[study.StudyInstanceUID, "series"])
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = image.instance_number
    dataset.PatientOrientation = [image.columns, "F"]
    dataset.ExposedArea = [round(image.width_mm), round(image.height_mm)]
    return with_pixels(dataset, image.pixels.shape, 8, image.pixels.tobytes())
