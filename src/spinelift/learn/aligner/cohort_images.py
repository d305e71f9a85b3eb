"""Images of the pairs of a cohort folder, read once from the archives and kept on disk."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spinelift.align.plane import PlaneImage, dxa_plane
from spinelift.align.projection import project_volume
from spinelift.errors import SpineliftError
from spinelift.files import make_folder, whole_file, write_whole
from spinelift.geometry import PixelGrid, Spacing
from spinelift.io import read_dxa
from spinelift.io.dixon.read import read_dixon
from spinelift.io.visits import paired_visits
from spinelift.progress import Advance, silent

FAILED = "failed.txt"


@dataclass(frozen=True)
class CohortPair:
    """A visit of a cohort folder: its name ``<eid>_<instance>`` and its images."""

    name: str
    dxa: PlaneImage
    mri: PlaneImage


def load_cohort_pairs(cohort: Path, cache: Path, *, advance: Advance = silent) -> list[CohortPair]:
    """Images of all visits that can be read; ``cache`` keeps them, and a list of those that cannot.

    Reading a Dixon MRI takes seconds; a second call reads the cache. ``advance`` is called with the number of
    visits done.

    Raises
    ------
    NoScansError
        There is no visit with both archives.
    """
    make_folder(cache)
    pairs, failed = [], []
    for visit in paired_visits(cohort):
        path = cache / f"{visit.key}.npz"
        pair = _load(visit.key, path)
        if pair is None:
            try:
                scan, volume = read_dxa(visit.dxa), read_dixon(visit.mri)
                pair = CohortPair(visit.key, dxa_plane(scan.bone, scan.spacing), project_volume(volume))
            except SpineliftError as error:
                failed.append(f"{visit.key}: {error}\n")
            else:
                _save(pair, path)
        if pair is not None:
            pairs.append(pair)
        advance(1)
    write_whole(cache / FAILED, "".join(failed))
    return pairs


def _save(pair: CohortPair, path: Path) -> None:
    held: dict[str, Any] = {}
    for key, image in (("dxa", pair.dxa), ("mri", pair.mri)):
        spacing = image.grid.spacing
        held |= {f"{key}_pixels": image.pixels, f"{key}_valid": image.valid}
        held[f"{key}_grid"] = np.array([*image.grid.origin_mm, spacing.row_mm, spacing.col_mm])
    with whole_file(path) as file:
        np.savez_compressed(file, **held)


def _load(name: str, path: Path) -> CohortPair | None:
    """A pair from the cache; None if it is missing or incomplete."""
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
