"""The zip of a visit as UK Biobank hands it out: members in random order, then an unreliable manifest."""

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spinelift.files import whole_file
from spinelift.simulate.archive.headers import Study

_ZIP_TIME = (2016, 1, 1, 0, 0, 0)
_MANIFEST_HEADER = "filename,patientid,studyid,seriesid,discription,date"
"""As UK Biobank spells it; it does not fit the rows, whose date holds a comma."""
_MISSPELT_SHARE = 0.3
"""Share of archives whose manifest is named ``manifest.cvs``."""


@dataclass(frozen=True)
class Member:
    """A DICOM file of an archive, and what the manifest says of it: series and description."""

    name: str
    data: bytes
    series: int
    description: str


def write_archive(path: Path, members: Iterable[Member], study: Study, rng: np.random.Generator) -> Path:
    """Write a zip with its manifest; the same arguments give the same bytes."""
    day, person = study.participant.study_date, study.participant.patient_id
    when = f"{day[:4]}-{day[4:6]}-{day[6:]}, {study.time}"
    manifest = "manifest.cvs" if rng.random() < _MISSPELT_SHARE else "manifest.csv"
    rows = [_MANIFEST_HEADER]
    with whole_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        for member in members:
            _add(archive, member.name, member.data)
            rows.append(f"{Path(member.name).name},{person},1,{member.series},{member.description},{when}")
        _add(archive, manifest, ("\r\n".join(rows) + "\r\n").encode())
    return path


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _ZIP_TIME)
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data, zipfile.ZIP_DEFLATED, compresslevel=1)
