"""Images of the pairs of a cohort folder, read once from the archives and kept on disk."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spinelift.align.plane import PlaneImage, dxa_plane
from spinelift.align.projection import project_volume
from spinelift.errors import NoScansError, SpineliftError
from spinelift.geometry import PixelGrid, Spacing
from spinelift.io import read_dxa
from spinelift.io.dixon.read import read_dixon
from spinelift.progress import Advance, silent

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


def load_cohort_pairs(cohort: Path, cache: Path, *, advance: Advance = silent) -> list[CohortPair]:
    """Images of all visits that can be read; ``cache`` keeps them, and a list of those that cannot.

    Reading a Dixon MRI takes seconds; a second call reads the cache. ``advance`` is called with the number of
    visits done.
    """
    cache.mkdir(parents=True, exist_ok=True)
    pairs, failed = [], []
    for visit in visit_files(cohort):
        path = cache / f"{visit.name}.npz"
        try:
            pairs.append(_load(visit.name, path) or _read(visit, path))
        except SpineliftError as error:
            failed.append(f"{visit.name}: {error}\n")
        advance(1)
    (cache / FAILED).write_text("".join(failed), encoding="utf-8")
    return pairs


def _read(visit: VisitFiles, path: Path) -> CohortPair:
    scan = read_dxa(visit.dxa)
    pair = CohortPair(visit.name, dxa_plane(scan.bone, scan.spacing), project_volume(read_dixon(visit.mri)))
    part = path.with_name(f".{path.name}.part.npz")
    held: dict[str, Any] = {}
    for key, image in (("dxa", pair.dxa), ("mri", pair.mri)):
        spacing = image.grid.spacing
        held |= {f"{key}_pixels": image.pixels, f"{key}_valid": image.valid}
        held[f"{key}_grid"] = np.array([*image.grid.origin_mm, spacing.row_mm, spacing.col_mm])
    np.savez_compressed(part, **held)
    part.replace(path)
    return pair


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
