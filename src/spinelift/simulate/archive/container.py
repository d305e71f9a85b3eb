"""The zip of a visit as UK Biobank hands it out: members in random order, then an unreliable manifest."""

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydicom.dataset import Dataset

from spinelift.files import make_folder, whole_file

_ZIP_TIME = (2016, 1, 1, 0, 0, 0)
_MANIFEST_HEADER = "filename,patientid,studyid,seriesid,discription,date"
"""As UK Biobank spells it; it does not fit the rows, whose date holds a comma."""
_MISSPELT_SHARE = 0.3
"""Share of archives whose manifest is named ``manifest.cvs``."""


class Member(NamedTuple):
    """A DICOM file of an archive, and what the manifest says of it: series and description."""

    name: str
    data: bytes
    series: int
    description: str


def write_archive(path: Path, members: Iterable[Member], study: Dataset, rng: np.random.Generator) -> Path:
    """Write a zip with its manifest; the same arguments give the same bytes."""
    day, person = study.StudyDate, study.PatientID
    when = f"{day[:4]}-{day[4:6]}-{day[6:]}, {study.StudyTime}"
    manifest = "manifest.cvs" if rng.random() < _MISSPELT_SHARE else "manifest.csv"
    rows = [_MANIFEST_HEADER]
    make_folder(path.parent)
    with whole_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, data, series, description in members:
            _add(archive, name, data)
            rows.append(f"{Path(name).name},{person},1,{series},{description},{when}")
        _add(archive, manifest, ("\r\n".join(rows) + "\r\n").encode())
    return path


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _ZIP_TIME)
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data, zipfile.ZIP_DEFLATED, compresslevel=1)
