"""Windows of MRIs with their true column, read once and kept."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spinelift.errors import ConfigError, SpineliftError
from spinelift.files import make_folder, whole_file
from spinelift.geometry.arrays import Float, UInt8
from spinelift.io.dixon.read import read_dixon
from spinelift.learn.mri_segmenter.reference import Example
from spinelift.progress import Advance, silent
from spinelift.segment.mri import window_of


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


def read_person(example: Example) -> MriPerson:
    """One archive with its column; raises the errors of its readers."""
    volume = read_dixon(example.archive)
    column = example.column(volume)
    window = window_of(volume)
    rows = slice(*volume.rows)
    ends = (np.array(column.ends_mm) - volume.origin_mm[2]) / volume.voxel_mm - volume.rows[0]
    mask = np.rint(255 * column.in_window(window)).astype(np.uint8)
    return MriPerson(window.pixels[:, rows], mask[rows], ends)


def load_people(
    examples: Sequence[Example], cache: Path, *, advance: Advance = silent
) -> tuple[list[MriPerson], Counter[str]]:
    """People whose MRI can be read, and the number of the others by the name of their error.

    Windows are kept in ``cache``. ``advance`` is called with the number of people read. Raises ConfigError if
    no MRI can be used.
    """
    make_folder(cache)
    people = []
    refused: Counter[str] = Counter()
    for example in examples:
        kept = cache / f"{example.key}.npz"
        advance(1)
        if not kept.is_file():
            try:
                person = read_person(example)
            except ConfigError:
                raise
            except SpineliftError as error:
                refused[type(error).__name__] += 1
                continue
            with whole_file(kept) as file:
                np.savez_compressed(file, pixels=person.pixels, mask=person.mask, ends=person.ends)
        with np.load(kept) as held:
            people.append(MriPerson(held["pixels"], held["mask"], held["ends"]))
    if not people:
        raise ConfigError(
            found=f"none of {len(examples)} MRI that can be used ({count_text(refused)})",
            expected="MRI with a spine from T1 to L5",
            do="Look at one of them: spinelift mri to-nifti.",
        )
    return people, refused


def count_text(refused: Counter[str]) -> str:
    """Causes with their numbers, such as ``2 NoSpineError, 1 IncompleteScanError``."""
    return ", ".join(f"{number} {name}" for name, number in refused.most_common())
