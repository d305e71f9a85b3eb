"""Columns that the networks learn and are compared with: of simulated people, or of label maps."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spinelift.errors import ConfigError
from spinelift.geometry.arrays import Float
from spinelift.io.dixon.volume import DixonVolume
from spinelift.io.nifti.labels import LabelScheme, choose_labels, read_spine_labels
from spinelift.io.truth import MriTruth, mri_with_truth, read_truth
from spinelift.io.ukb_names import DIXON_FIELD, visit_key
from spinelift.io.visits import find_archives, find_labels
from spinelift.segment.mri import WINDOW, MriSpine, Window, window_overlap


@dataclass(frozen=True)
class Column:
    """The true column of bodies and discs, T1 to L5, of one MRI.

    ``line_mm`` [n, 3]: x, y, z of its middle, project axes. ``ends_mm``: heights z of T1's upper and L5's
    lower endplate. ``in_window``: share of each voxel of a window that is column, [z, 96, 96].
    """

    line_mm: Float
    ends_mm: tuple[float, float]
    in_window: Callable[[Window], Float]


class Example(NamedTuple):
    """An MRI of the visit ``key``, and what makes its true column of its volume."""

    key: str
    archive: Path
    column: Callable[[DixonVolume], Column]


def find_examples(cohort: Path, scheme: LabelScheme | None = None) -> list[Example]:
    """Every MRI in ``mri/`` with a truth in ``truth/`` or, given a scheme, a label map in ``labels/``.

    Raises ConfigError if there is none.
    """
    if scheme is None:
        found = [
            Example(key, archive, partial(_truth, path)) for key, archive, path in mri_with_truth(cohort)
        ]
    else:
        maps = find_labels(cohort / "labels")
        archives, _ = find_archives(cohort / "mri", DIXON_FIELD)
        found = [
            Example(key, archive, partial(_labels, maps[key], scheme))
            for visit, archive in sorted(archives.items())
            if (key := visit_key(*visit)) in maps
        ]
    if not found:
        kind = "truth" if scheme is None else "label map"
        folder = "truth/, as `spinelift simulate cohort` writes them" if scheme is None else "labels/"
        raise ConfigError(
            found=f"no MRI with a {kind} in {cohort.name}",
            expected=f"the folders mri/ and {folder}",
            do="Check the path.",
        )
    return found


def _truth(path: Path, volume: DixonVolume) -> Column:
    return column_of_truth(read_truth(path).pair, volume)


def _labels(maps: tuple[Path, ...], scheme: LabelScheme, volume: DixonVolume) -> Column:
    labels = read_spine_labels(choose_labels(maps, scheme), volume, scheme)
    return column_of_spine(MriSpine.from_mask(labels.mask, volume))


def column_of_truth(truth: MriTruth, volume: DixonVolume) -> Column:
    """The column of a simulated person.

    At each height the ellipse between the left and right, front and back curves; edges one voxel soft.
    """
    left, _, right, front, _, back = truth.curves_mm
    line = np.stack([(left + right) / 2, (front + back) / 2, truth.z_mm], 1)
    ends = float(truth.z_mm[0]), float(truth.z_mm[-1])
    return Column(line, ends, partial(_ellipses, truth, volume))


def _ellipses(truth: MriTruth, volume: DixonVolume, window: Window) -> Float:
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


def column_of_spine(spine: MriSpine) -> Column:
    """The column of a segmentation; hard edges."""
    return Column(spine.centre_line_mm, (spine.top_mm, spine.bottom_mm), partial(_cut, spine))


def _cut(spine: MriSpine, window: Window) -> Float:
    slices, rows, columns = spine.mask.shape
    out = np.zeros((slices, WINDOW, WINDOW))
    (to_y, from_y), (to_x, from_x) = window_overlap(window.y0, rows), window_overlap(window.x0, columns)
    out[:, to_y, to_x] = spine.mask[:, from_y, from_x]
    return out
