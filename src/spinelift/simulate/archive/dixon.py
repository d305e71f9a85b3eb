"""Archives of Dixon MRI as UK Biobank hands them out (field 20201), one DICOM file a slice."""

from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from spinelift.io.ukb_names import DIXON_FIELD, UkbName
from spinelift.simulate.archive.container import Member, write_archive
from spinelift.simulate.archive.headers import invent_study
from spinelift.simulate.archive.series import DixonStation, SliceTemplate
from spinelift.simulate.body.physique import Physique


class ArchiveTrap(StrEnum):
    """What can be wrong with the archive itself (traps of the stations are in what is passed)."""

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
    physique: Physique | None = None,
) -> Path:
    """Write ``<eid>_20201_<instance>_0.zip`` into a folder and return its path.

    The same arguments and generator state give the same bytes. Headers are of the same person as those of
    ``write_dxa_zip`` with the same ``eid``, ``instance`` and ``physique``.
    """
    study = invent_study(eid, instance, rng, physique)
    other = invent_study(eid + 1, instance, rng) if ArchiveTrap.MIXED_PEOPLE in traps else study
    members = _members(stations, [other] + [study] * (len(stations) - 1), traps, rng)
    path = write_archive(folder / UkbName(eid, DIXON_FIELD, instance).zip, members, study, rng)
    if ArchiveTrap.TRUNCATED in traps:
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size // 2)
    return path


def _members(
    stations: Sequence[DixonStation],
    studies: Sequence[Dataset],
    traps: Collection[ArchiveTrap],
    rng: np.random.Generator,
) -> Iterator[Member]:
    """Slices in random order, one in memory at a time; ``studies`` are those of the series."""
    slices = [(index, k) for index, station in enumerate(stations) for k in range(len(station.volume))]
    if ArchiveTrap.LOST_SLICE in traps:
        slices.remove((0, len(stations[0].volume) // 2))
    if ArchiveTrap.NO_SLICES in traps:
        slices = []
    templates = [SliceTemplate(station, studies[index], index) for index, station in enumerate(stations)]
    for order, number in enumerate(rng.permutation(len(slices))):
        index, k = slices[number]
        name, data = templates[index].slice(k)
        if ArchiveTrap.HOSTILE_NAME in traps and order == 0:
            name = f"../{name}"
        yield Member(name, data, stations[index].series_number, stations[index].description)
