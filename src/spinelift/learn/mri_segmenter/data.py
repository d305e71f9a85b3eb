"""Windows of simulated MRIs with the true column: from the archives and the truth of ``simulate cohort``."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spinelift.errors import ConfigError, SpineliftError
from spinelift.files import make_folder, whole_file
from spinelift.geometry.arrays import Float, UInt8
from spinelift.io.dixon.read import read_dixon
from spinelift.io.dixon.volume import DixonVolume
from spinelift.io.truth import MriTruth, mri_with_truth, read_truth
from spinelift.progress import Advance, silent
from spinelift.segment.mri import WINDOW, Window, window_of


@dataclass(frozen=True)
class MriPerson:
    """One person's window: measured slices only.

    ``pixels`` uint8 [2, z, 96, 96]; ``mask`` uint8 [z, 96, 96], 0 to 255, share of a voxel that is column;
    ``ends`` [2], slices of T1's upper and L5's lower endplate, to a fraction.
    """

    pixels: UInt8
    mask: UInt8
    ends: Float

    @property
    def share(self) -> Float:
        """Height of each slice as a share of T1 to L5 [z]."""
        return np.asarray((np.arange(len(self.mask)) - self.ends[0]) / (self.ends[1] - self.ends[0]))


def true_column(truth: MriTruth, volume: DixonVolume, window: Window) -> Float:
    """The true column in a window: share of each voxel [z, 96, 96].

    At each height the ellipse between the left and right, front and back curves; edges one voxel soft.
    """
    mm = volume.voxel_mm
    x0, y0, z0 = volume.origin_mm
    z = z0 + mm * np.arange(len(volume.water))
    left, _, right, front, _, back = (np.interp(z, truth.z_mm, c)[:, None, None] for c in truth.curves_mm)
    x = (x0 + mm * (window.x0 + np.arange(WINDOW)))[None, None, :]
    y = (y0 + mm * (window.y0 + np.arange(WINDOW)))[None, :, None]
    a, b = (left - right) / 2, (back - front) / 2
    radius = np.hypot((x - (left + right) / 2) / a, (y - (back + front) / 2) / b)
    depth = (1 - radius) * np.minimum(a, b)
    along = np.clip(np.minimum(z - truth.z_mm[0], truth.z_mm[-1] - z) / mm + 0.5, 0, 1)
    return np.asarray(np.clip(depth / mm + 0.5, 0, 1) * along[:, None, None])


def read_person(mri: Path, truth: MriTruth) -> MriPerson:
    """One archive with its truth."""
    volume = read_dixon(mri)
    window = window_of(volume)
    rows = slice(*volume.rows)
    ends = (truth.z_mm[[0, -1]] - volume.origin_mm[2]) / volume.voxel_mm - volume.rows[0]
    mask = np.rint(255 * true_column(truth, volume, window)).astype(np.uint8)
    return MriPerson(window.pixels[:, rows], mask[rows], ends)


def load_people(cohort: Path, cache: Path, *, advance: Advance = silent) -> list[MriPerson]:
    """People of a simulated cohort whose MRI can be read; windows are kept in ``cache``.

    ``advance`` is called with the number of people read.

    A :class:`ConfigError` says that there are no pairs of archive and truth, or a truth of another form.
    """
    make_folder(cache)
    people = []
    for key, archive, path in mri_with_truth(cohort):
        kept = cache / f"{key}.npz"
        if not kept.is_file():
            truth = read_truth(path).pair
            try:
                person = read_person(archive, truth)
            except SpineliftError:  # a planted trap that is refused: not for training
                continue
            with whole_file(kept) as file:
                np.savez_compressed(file, pixels=person.pixels, mask=person.mask, ends=person.ends)
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
