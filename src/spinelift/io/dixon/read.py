"""One Dixon MRI from its archive: zip → stations → one isotropic volume of water and one of fat."""

from collections import Counter
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np

from spinelift.errors import BlankImageError, UnsupportedImageError
from spinelift.io.archive import Limits
from spinelift.io.dixon.coverage import judge_gaps
from spinelift.io.dixon.ends import drop_bad_ends
from spinelift.io.dixon.look import find_cuts, find_voids
from spinelift.io.dixon.slab import common_origin, to_slab
from spinelift.io.dixon.slices import Collected, collect_slices
from spinelift.io.dixon.stations import Station, build_stations, unused_holes
from spinelift.io.dixon.stitch import stitch
from spinelift.io.dixon.swap import undo_swaps
from spinelift.io.dixon.volume import STITCH_GRID, Action, DixonVolume, Finding, StitchGrid, Trap
from spinelift.io.identity import OTHER_NAME
from spinelift.io.inputs import FileKind, check_field, dicom_members, input_sha256, kind_of_file
from spinelift.io.ukb_names import DIXON_FIELD, UkbName

LIMITS = Limits(max_members=8192, max_member_bytes=8 << 20)
"""A person is about 1,330 members and 100 MB; repeats of stations add to it."""
MAX_FILE_BYTES = 512 << 20
"""Largest archive that is opened."""
MIN_CONTRAST = 5.0
"""Least range of stored values; a scan with less is blank."""


def read_dixon(path: str | PathLike[str], *, grid: StitchGrid = STITCH_GRID) -> DixonVolume:
    """Read the Dixon MRI of one visit, ``<eid>_20201_<instance>_<array>.zip``, onto a grid.

    Raises
    ------
    SpineliftError
        Its subclass names what is wrong with the input; nothing else is raised for bad input.
    """
    path = Path(path)
    expected = "a zip of a Dixon MRI"
    kind = kind_of_file(path, expected)
    check_field(path, DIXON_FIELD)
    if kind is not FileKind.ZIP:
        found = f"{path.name}, which is no zip"
        raise UnsupportedImageError(found=found, expected=expected, do="Pack the visit's files.")
    sha256 = input_sha256(path, MAX_FILE_BYTES)
    name = UkbName.parse(path)  # of this field, or of none
    mri_id = name.visit if name else f"mri-{sha256[:12]}"
    skipped: Counter[str] = Counter()
    collected = collect_slices(dicom_members(path, LIMITS, skipped))
    stations, findings = build_stations(collected.slices)
    identity = collected.identity
    if identity.contradicts(path):
        findings.append(Finding.of(Trap.OTHER_NAME, 0, Action.REPORTED, OTHER_NAME))
    findings = [*_skipped(collected, skipped), *unused_holes(collected.unused, stations), *findings]
    del collected
    return replace(_volume(mri_id, stations, findings, grid), sha256=sha256, identity=identity)


def _volume(mri_id: str, stations: list[Station], findings: list[Finding], grid: StitchGrid) -> DixonVolume:
    if max(float(np.ptp(s.water[:, ::4, ::4])) for s in stations) < MIN_CONTRAST:
        do = "Check that this is the right file."
        raise BlankImageError(found="an MRI without contrast", expected="an image of a body", do=do)
    x, y = common_origin(stations, grid)
    findings += find_cuts(stations)
    slabs = []
    while stations:  # one at a time, so that stored and resampled slices are not all held together
        slabs.append(to_slab(stations.pop(0), (x, y), grid))
    slabs, ends = drop_bad_ends(slabs)
    slabs, swaps = undo_swaps(slabs)
    findings += [*ends, *judge_gaps(slabs), *swaps]
    z = float(slabs[0].z[0])
    water, fat, rows, matched = stitch(slabs)
    findings += [*matched, *find_voids(water, fat, rows, grid.voxel_mm)]
    findings.sort(key=lambda f: f.station)
    return DixonVolume(mri_id, water, fat, (x, y, z), rows, tuple(findings), grid.voxel_mm)


def _skipped(collected: Collected, skipped: Counter[str]) -> list[Finding]:
    """Files that were not used: damaged ones, images of other kinds, and what is no DICOM."""
    counts = (
        (Trap.LOST_SLICE, "damaged files", collected.damaged),
        (Trap.OTHER_IMAGES, "files", collected.others),
        *((Trap.OTHER_IMAGES, f"files {kind}", count) for kind, count in skipped.items()),
    )
    return [
        Finding.of(trap, 0, Action.REPORTED, f"{{files}} {what} skipped", files=count)
        for trap, what, count in counts
        if count
    ]
