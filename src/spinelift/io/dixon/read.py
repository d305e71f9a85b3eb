"""One Dixon MRI from its archive: zip → stations → one isotropic volume of water and one of fat."""

from collections.abc import Iterator
from os import PathLike
from pathlib import Path

import numpy as np

from spinelift.errors import (
    BlankImageError,
    HostileArchiveError,
    NoScansError,
    UnsupportedImageError,
    WrongModalityError,
)
from spinelift.files import file_sha256
from spinelift.io.archive import Limits, iter_members
from spinelift.io.dixon.coverage import judge_gaps
from spinelift.io.dixon.ends import drop_bad_ends
from spinelift.io.dixon.look import find_cuts, find_voids
from spinelift.io.dixon.slab import common_origin, to_slab
from spinelift.io.dixon.slices import Collected, collect_slices
from spinelift.io.dixon.stations import Station, build_stations, unused_holes
from spinelift.io.dixon.stitch import stitch
from spinelift.io.dixon.swap import undo_swaps
from spinelift.io.dixon.volume import Action, DixonVolume, Finding, Trap
from spinelift.io.kinds import FileKind, kind_of_bytes, kind_of_file, ukb_field

UKB_DIXON_FIELD = 20201
"""UK Biobank's data field of the Dixon MRI."""
LIMITS = Limits(max_members=8192, max_member_bytes=8 << 20, max_total_bytes=1 << 30)
"""A person is about 1,330 members and 100 MB; repeats of stations add to it."""
MAX_FILE_BYTES = 1 << 30
MIN_CONTRAST = 5.0
"""Least range of stored values; a scan with less is blank."""


def read_dixon(path: str | PathLike[str]) -> DixonVolume:
    """Read the Dixon MRI of one visit, ``<eid>_20201_<instance>_<array>.zip``.

    Raises
    ------
    SpineliftError
        Its subclass tells what is wrong with the input; nothing else is raised for bad input.
    """
    path = Path(path)
    sha256 = _check_file(path)
    collected = collect_slices(_dicoms(path))
    stations, findings = build_stations(collected.slices)
    findings = [*_passed_over(collected), *unused_holes(collected.unused, stations), *findings]
    del collected
    return _volume(mri_id(path, sha256), stations, findings)


def mri_id(path: Path, sha256: str) -> str:
    """``<eid>_<instance>`` for UK Biobank's names of Dixon MRI, else ``mri-`` and 12 digits of the hash."""
    if ukb_field(path) == UKB_DIXON_FIELD:
        eid, _, instance, _ = path.stem.split("_")
        return f"{eid}_{instance}"
    return f"mri-{sha256[:12]}"


def _volume(spine_id: str, stations: list[Station], findings: list[Finding]) -> DixonVolume:
    if max(float(np.ptp(s.water[:, ::4, ::4])) for s in stations) < MIN_CONTRAST:
        raise BlankImageError(
            found="an MRI without contrast",
            expected="an image of a body",
            do="Check that this is the right file.",
        )
    x, y = common_origin(stations)
    findings += find_cuts(stations)
    slabs = []
    while stations:  # one at a time, so that stored and resampled slices are not all held together
        slabs.append(to_slab(stations.pop(0), (x, y)))
    slabs, ends = drop_bad_ends(slabs)
    slabs, swaps = undo_swaps(slabs)
    findings += [*ends, *judge_gaps(slabs), *swaps]
    z = float(slabs[0].z[0])
    water, fat, rows, matched = stitch(slabs)
    findings += [*matched, *find_voids(water, fat, rows)]
    findings.sort(key=lambda f: f.station)
    return DixonVolume(spine_id, water, fat, (x, y, z), rows, tuple(findings))


def _check_file(path: Path) -> str:
    """Hash of a file that is a zip and not of another field."""
    if not path.is_file():
        raise NoScansError(
            found=f"no file {path.name}", expected="a zip of a Dixon MRI", do="Check the path."
        )
    field = ukb_field(path)
    if field not in (None, UKB_DIXON_FIELD):
        raise WrongModalityError(
            found=f"an archive of UK Biobank field {field}" + (" (DXA)" if field == 20158 else ""),
            expected=f"field {UKB_DIXON_FIELD} (Dixon MRI)",
            do=f"Pass <eid>_{UKB_DIXON_FIELD}_<instance>_0.zip.",
        )
    if kind_of_file(path) is not FileKind.ZIP:
        raise UnsupportedImageError(
            found=f"{path.name}, which is no zip",
            expected="a zip of a Dixon MRI",
            do="Pack the visit's files.",
        )
    if path.stat().st_size > MAX_FILE_BYTES:
        raise HostileArchiveError(
            found=f"a file of {path.stat().st_size >> 20} MB",
            expected=f"at most {MAX_FILE_BYTES >> 20} MB",
            do="Pass one visit at a time.",
        )
    return file_sha256(path)


def _dicoms(path: Path) -> Iterator[bytes]:
    """DICOM members of a zip; manifests and what else lies there are passed over."""
    with path.open("rb") as file:
        try:
            for name, data in iter_members(file, LIMITS):
                member = Path(name)
                hidden = member.name.startswith(".") or "__MACOSX" in member.parts
                if not hidden and kind_of_bytes(data[:132], member.suffix) is FileKind.DICOM:
                    yield data
        except HostileArchiveError as error:
            raise HostileArchiveError(
                found=error.found, expected="the plain zip of one MRI visit", do=error.do
            ) from None


def _passed_over(collected: Collected) -> list[Finding]:
    findings = []
    if collected.damaged:
        detail = f"{collected.damaged} damaged files passed over"
        findings.append(Finding(Trap.LOST_SLICE, 0, Action.REPORTED, detail))
    if collected.others:
        detail = f"{collected.others} files passed over"
        findings.append(Finding(Trap.OTHER_IMAGES, 0, Action.REPORTED, detail))
    return findings
