"""Windows of simulated MRIs with the true column: from the archives and truths of ``simulate cohort``."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spinelift.errors import ConfigError, SpineliftError
from spinelift.io.dixon.read import read_dixon
from spinelift.io.dixon.volume import GRID_MM, DixonVolume
from spinelift.progress import Advance, silent
from spinelift.segment.mri import WINDOW, Window, window_of


@dataclass(frozen=True)
class MriPerson:
    """One person's window.

    Parameters
    ----------
    pixels
        uint8 [2, z, 96, 96], measured slices only.
    mask
        uint8 [z, 96, 96], 0 to 255: how much of a voxel is column.
    ends
        Slices of T1's upper and L5's lower endplate [2], to a fraction.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    ends: NDArray[np.float64]

    @property
    def share(self) -> NDArray[np.float64]:
        """Height of each slice as a share of T1 to L5 [z]."""
        return np.asarray((np.arange(len(self.mask)) - self.ends[0]) / (self.ends[1] - self.ends[0]))


def true_column(truth: dict[str, object], volume: DixonVolume, window: Window) -> NDArray[np.float64]:
    """The column of a truth's ``mri`` part in a window: share of each voxel [z, 96, 96].

    At each height the ellipse between the left and right, front and back curves; edges one voxel soft.
    """
    mri = truth["mri"]
    assert isinstance(mri, dict)
    z_mm, curves = np.array(mri["z_mm"]), {k: np.array(v) for k, v in mri["curves_mm"].items()}
    x0, y0, z0 = volume.origin_mm
    z = z0 + GRID_MM * np.arange(len(volume.water))
    at = {k: np.interp(z, z_mm, v)[:, None, None] for k, v in curves.items()}
    x = (x0 + GRID_MM * (window.x0 + np.arange(WINDOW)))[None, None, :]
    y = (y0 + GRID_MM * (window.y0 + np.arange(WINDOW)))[None, :, None]
    a, b = (at["left"] - at["right"]) / 2, (at["posterior"] - at["anterior"]) / 2
    u = (x - (at["left"] + at["right"]) / 2) / a
    v = (y - (at["posterior"] + at["anterior"]) / 2) / b
    radius = np.sqrt(u * u + v * v)
    depth = (1 - radius) * np.minimum(a, b)
    along = np.clip(np.minimum(z - z_mm[0], z_mm[-1] - z) / GRID_MM + 0.5, 0, 1)
    return np.asarray(np.clip(depth / GRID_MM + 0.5, 0, 1) * along[:, None, None])


def read_person(mri: Path, truth: Path) -> MriPerson:
    """One archive and its truth."""
    volume = read_dixon(mri)
    document = json.loads(truth.read_text(encoding="utf-8"))
    window = window_of(volume)
    rows = slice(*volume.rows)
    ends = (np.array(document["mri"]["z_mm"])[[0, -1]] - volume.origin_mm[2]) / GRID_MM - volume.rows[0]
    mask = np.rint(255 * true_column(document, volume, window)).astype(np.uint8)
    return MriPerson(window.pixels[:, rows], mask[rows], ends)


def load_people(cohort: Path, cache: Path, *, advance: Advance = silent) -> list[MriPerson]:
    """People of a simulated cohort whose MRI can be read; windows are kept in ``cache``.

    ``advance`` is called with the number of people read.

    Raises
    ------
    ConfigError
        There are no pairs of archive and truth.
    """
    cache.mkdir(parents=True, exist_ok=True)
    people = []
    for truth in sorted((cohort / "truth").glob("*.json")):
        eid, instance = truth.stem.split("_")
        archive = cohort / "mri" / f"{eid}_20201_{instance}_0.zip"
        kept = cache / f"{truth.stem}.npz"
        if not archive.is_file():
            continue
        if not kept.is_file():
            try:
                person = read_person(archive, truth)
            except SpineliftError:  # a planted trap that is refused: not for training
                continue
            part = kept.with_name(f".{kept.name}")
            np.savez_compressed(part, pixels=person.pixels, mask=person.mask, ends=person.ends)
            part.replace(kept)
        with np.load(kept) as held:
            people.append(MriPerson(held["pixels"], held["mask"], held["ends"]))
        advance(1)
    if not people:
        raise ConfigError(
            found=f"no pairs of archive and truth in {cohort}",
            expected="folders mri/ and truth/ as `spinelift simulate cohort` writes them",
            do="Simulate a cohort first.",
        )
    return people
