"""Archives of Dixon MRI as UK Biobank hands them out (field 20201), for simulated people.

Sizes, thicknesses and overlaps as of ``STATION_PLANS``; one DICOM file a slice; every header personal.
"""

import zipfile
from collections.abc import Collection, Sequence
from enum import StrEnum
from pathlib import Path

import numpy as np

from spinelift.files import whole_file
from spinelift.simulate.archive.dixon_template import SliceTemplate, series_template
from spinelift.simulate.archive.dxa import _invent, _Person
from spinelift.simulate.archive.series import DixonStation

_ZIP_TIME = (2016, 1, 1, 0, 0, 0)


class ArchiveTrap(StrEnum):
    """What can be wrong with the archive itself (the stations' own traps are in what is passed)."""

    TRUNCATED = "the zip is cut in its middle"
    NO_SLICES = "a manifest and no images"
    MIXED_PEOPLE = "one series belongs to somebody else"
    HOSTILE_NAME = "a member whose name points outside"
    LOST_SLICE = "one inner slice of a series was never exported"


def write_dixon_zip(
    folder: Path,
    stations: Sequence[DixonStation],
    *,
    eid: int,
    instance: int,
    rng: np.random.Generator,
    traps: Collection[ArchiveTrap] = (),
) -> Path:
    """Write ``<eid>_20201_<instance>_0.zip`` into a folder and return its path.

    The same stations, numbers and generator state give the same bytes. Members are in random order, the
    manifest's header does not fit its rows, and its name is spelt ``manifest.cvs`` at times.
    """
    person = _invent(eid, instance, rng)
    other = _invent(eid + 1, instance, rng) if ArchiveTrap.MIXED_PEOPLE in traps else person
    templates = [
        series_template(station, other if index == 0 else person, index)
        for index, station in enumerate(stations)
    ]
    slices = [
        (index, k)
        for index, station in enumerate(stations)
        for k in range(len(station.volume))
        if not (ArchiveTrap.LOST_SLICE in traps and index == 0 and k == len(station.volume) // 2)
    ]
    if ArchiveTrap.NO_SLICES in traps:
        slices = []
    manifest = "manifest.cvs" if rng.random() < 0.3 else "manifest.csv"
    hostile = ArchiveTrap.HOSTILE_NAME in traps
    path = folder / f"{eid}_20201_{instance}_0.zip"
    with whole_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        rows = ["filename,patientid,studyid,seriesid,discription,date"]
        for number in rng.permutation(len(slices)):
            index, k = slices[number]
            name, data = _slice(stations[index], templates[index], k)
            _add(archive, f"../{name}" if hostile and number == 0 else name, data)
            rows.append(_row(name, person, stations[index]))
        _add(archive, manifest, ("\r\n".join(rows) + "\r\n").encode())
        if ArchiveTrap.TRUNCATED in traps:
            archive.close()
            file.truncate(file.tell() // 2)
    return path


def _slice(station: DixonStation, template: SliceTemplate, k: int) -> tuple[str, bytes]:
    x, y, z = station.origin_mm
    position = (x, y, z - k * station.spacing[0])
    return template.fill(instance_number=k + 1, position=position, pixels=station.volume[k])


def _row(name: str, person: _Person, station: DixonStation) -> str:
    date = person.study_date
    day = f"{date[:4]}-{date[4:6]}-{date[6:]}, {person.study_time}"
    return f"{name},{person.number},1,{station.series_number},{station.description},{day}"


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _ZIP_TIME)
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data, zipfile.ZIP_DEFLATED, compresslevel=1)
