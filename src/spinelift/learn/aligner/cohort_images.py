"""Images of the pairs of a cohort folder, read once from the archives and kept on disk."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spinelift.align.plane import PlaneImage, dxa_plane
from spinelift.align.projection import project_volume
from spinelift.errors import NoScansError, SpineliftError
from spinelift.files import make_folder, whole_file, write_whole
from spinelift.geometry import PixelGrid, Spacing
from spinelift.io import read_dxa
from spinelift.io.dixon.read import read_dixon

FAILED = "failed.txt"


@dataclass(frozen=True)
class CohortPair:
    """A visit of a cohort folder: its name ``<eid>_<instance>`` and its images."""

    name: str
    dxa: PlaneImage
    mri: PlaneImage


@dataclass(frozen=True)
class VisitFiles:
    """Archives of a visit."""

    name: str
    dxa: Path
    mri: Path


def visit_files(cohort: Path) -> list[VisitFiles]:
    """Visits with both archives, in ``dxa/`` and ``mri/`` of a cohort folder, by name.

    Raises
    ------
    NoScansError
        There is none.
    """
    found = []
    for dxa in sorted((cohort / "dxa").glob("*_20158_*_*.zip")):
        eid, _, instance, array = dxa.stem.split("_")
        mri = cohort / "mri" / f"{eid}_20201_{instance}_{array}.zip"
        if mri.exists():
            found.append(VisitFiles(f"{eid}_{instance}", dxa, mri))
    if not found:
        raise NoScansError(
            found=f"no visit with both archives in {cohort}",
            expected="<eid>_20158_<instance>_0.zip in dxa/ and <eid>_20201_<instance>_0.zip in mri/",
            do="Check the path, or simulate people: spinelift simulate cohort.",
        )
    return found


def load_cohort_pairs(
    cohort: Path, cache: Path, *, tick: Callable[[int], None] | None = None
) -> list[CohortPair]:
    """Images of all visits that can be read; ``cache`` keeps them, and a list of those that cannot.

    Reading a Dixon MRI takes seconds; a second call reads the cache. ``tick`` is told how many are done.
    """
    make_folder(cache)
    pairs, failed = [], []
    for visit in visit_files(cohort):
        path = cache / f"{visit.name}.npz"
        pair = _load(visit.name, path)
        if pair is None:
            try:
                pair = _read(visit)
            except SpineliftError as error:
                failed.append(f"{visit.name}: {error}\n")
            else:
                _save(pair, path)
        if pair is not None:
            pairs.append(pair)
        if tick:
            tick(1)
    write_whole(cache / FAILED, "".join(failed))
    return pairs


def _read(visit: VisitFiles) -> CohortPair:
    scan = read_dxa(visit.dxa)
    return CohortPair(visit.name, dxa_plane(scan.bone, scan.spacing), project_volume(read_dixon(visit.mri)))


def _save(pair: CohortPair, path: Path) -> None:
    held: dict[str, Any] = {}
    for key, image in (("dxa", pair.dxa), ("mri", pair.mri)):
        spacing = image.grid.spacing
        held |= {f"{key}_pixels": image.pixels, f"{key}_valid": image.valid}
        held[f"{key}_grid"] = np.array([*image.grid.origin_mm, spacing.row_mm, spacing.col_mm])
    with whole_file(path) as file:
        np.savez_compressed(file, **held)


def _load(name: str, path: Path) -> CohortPair | None:
    """A pair from the cache; None if it is not there, or not whole."""
    try:
        with np.load(path, allow_pickle=False) as held:
            images = []
            for key in ("dxa", "mri"):
                pixels, valid = held[f"{key}_pixels"], held[f"{key}_valid"]
                x, z, row_mm, col_mm = (float(v) for v in held[f"{key}_grid"])
                grid = PixelGrid((x, z), Spacing(row_mm, col_mm), (pixels.shape[1], pixels.shape[2]))
                images.append(PlaneImage(pixels, grid, valid))
            return CohortPair(name, *images)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
