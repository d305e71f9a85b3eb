"""A small asymmetric phantom, and DICOM files and zips made of it."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from spinelift.simulate.archive.dxa import DxaImage, write_dxa_zip

WIDTH_MM, HEIGHT_MM = 640, 1700
PERSONAL = (
    "PatientName",
    "PatientBirthDate",
    "PatientSize",
    "PatientWeight",
    "StudyDate",
    "StudyTime",
    "StudyInstanceUID",
    "SOPInstanceUID",
)


def phantom(*, tissue: bool = False) -> np.ndarray:
    """uint8 [200, 80]: a body with its spine left of the middle and its head at the top."""
    image = np.zeros((200, 80), np.uint8)
    image[30:195, 15:66] = 120 if tissue else 80
    image[8:30, 34:48] = 130
    image[35:90, 42:48] = 180
    image[60:64, 20:28] = 201
    return image


def visit_images() -> list[DxaImage]:
    """Total Body tissue and bone, AP Spine and LVA."""
    small = np.full((60, 40), 90, np.uint8)
    return [
        DxaImage("Total Body", 1, phantom(tissue=True), WIDTH_MM, HEIGHT_MM),
        DxaImage("Total Body", 2, phantom(), WIDTH_MM, HEIGHT_MM),
        DxaImage("AP Spine", 3, small, 120, 180),
        DxaImage("LVA", 4, small, 120, 180),
    ]


def visit_zip(folder: Path, images: list[DxaImage] | None = None, *, eid: int = 1234567) -> Path:
    """The archive of a visit, written with a fixed seed."""
    chosen = visit_images() if images is None else images
    return write_dxa_zip(folder, chosen, eid=eid, instance=2, rng=np.random.default_rng(eid))


def members(path: Path) -> dict[str, bytes]:
    """Name → content of a zip."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zip_of(path: Path, contents: dict[str, bytes]) -> Path:
    """A plain zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return path


def dataset(folder: Path, *, image: DxaImage | None = None) -> Dataset:
    """Parsed DICOM of the phantom's bone image, ready to be changed."""
    chosen = image or DxaImage("Total Body", 2, phantom(), WIDTH_MM, HEIGHT_MM)
    data = next(d for n, d in members(visit_zip(folder, [chosen])).items() if n.endswith(".dcm"))
    return pydicom.dcmread(io.BytesIO(data))


def encoded(data: Dataset) -> bytes:
    """Bytes of a DICOM file."""
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def saved(data: Dataset, path: Path) -> Path:
    """DICOM file on disk."""
    path.write_bytes(encoded(data))
    return path
