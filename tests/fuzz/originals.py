"""The valid inputs that everything else is made from, built once a process."""

import io
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from dixon_cases import phantom_stations
from io_cases import dataset, members, phantom, visit_zip
from pydicom.dataset import Dataset
from tests.fuzz.case import PERSON

from spinelift.io.dixon.volume import DixonVolume, StitchGrid
from spinelift.simulate.archive.dixon import write_dixon_zip
from spinelift.simulate.archive.series import StationPlan

SPACING = (8.5, 8.0)
"""Pixel size of the phantom, mm (row, column)."""
GRID = StitchGrid(voxel_mm=8.0, shape=(175, 56, 56), coarse=1)
"""A coarse grid for Dixon MRI: what is tested does not depend on it."""
_PLANS = (
    StationPlan(52, 40, 18, 16.0, False),
    StationPlan(52, 42, 18, 16.0, True),
    StationPlan(52, 40, 18, 16.0, True),
)


def copy_of(data: Dataset) -> Dataset:
    """A deep copy, by way of a file."""
    import pydicom

    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    stream.seek(0)
    return pydicom.dcmread(stream)


@cache
def dxa_dataset() -> Dataset:
    """The phantom's bone image, 8 bits, implicit little endian."""
    with TemporaryDirectory() as folder:
        data = dataset(Path(folder))
    data.PatientName = f"{PERSON}^{PERSON}"
    return data


@cache
def dxa_members() -> dict[str, bytes]:
    """Members of a visit's zip: Total Body tissue and bone, AP Spine, LVA, manifest."""
    with TemporaryDirectory() as folder:
        return members(visit_zip(Path(folder)))


@cache
def dixon_members() -> dict[str, bytes]:
    """Members of a small Dixon MRI of three stations."""
    with TemporaryDirectory() as folder:
        stations = phantom_stations(_PLANS, 9.5, overlap_mm=50.0)
        rng = np.random.default_rng(1)
        return members(write_dixon_zip(Path(folder), stations, eid=1234567, instance=2, rng=rng))


@cache
def dixon_volume() -> DixonVolume:
    """The volume of :func:`dixon_members`, read undisturbed."""
    from spinelift.io.dixon.read import read_dixon

    with TemporaryDirectory() as folder:
        return read_dixon(zip_file(Path(folder) / "1234567_20201_2_0.zip", dixon_members()), grid=GRID)


def zip_file(path: Path, contents: dict[str, bytes]) -> Path:
    """A plain zip."""
    import zipfile

    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return path


def bone() -> np.ndarray:
    """The phantom's bone image, uint8 [200, 80]."""
    return phantom()


def tissue() -> np.ndarray:
    """The phantom's tissue image, uint8 [200, 80]."""
    return phantom(tissue=True)
