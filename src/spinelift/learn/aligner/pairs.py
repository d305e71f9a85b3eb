"""Pairs of images: of a cohort folder, read once from the archives, and on canvases to train on."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spinelift.align.onnx import canvas_pixels
from spinelift.align.plane import PlaneImage, dxa_plane, project_volume
from spinelift.align.search import canvas_grid
from spinelift.errors import ConfigError, SpineliftError
from spinelift.files import make_folder, whole_file, write_whole
from spinelift.geometry import PixelGrid, Spacing
from spinelift.geometry.arrays import UInt8
from spinelift.io import read_dxa
from spinelift.io.dixon.read import read_dixon
from spinelift.io.identity import check_same_person
from spinelift.io.visits import PairedVisit, paired_visits
from spinelift.learn.aligner.config import CanvasConfig
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

    A :class:`NoScansError` says that there is no visit with both archives.
    """
    make_folder(cache)
    pairs, failed = [], []
    for visit in paired_visits(cohort):
        path = cache / f"{visit.key}.npz"
        pair = _load(visit.key, path)
        if pair is None:
            try:
                pair = _read(visit)
            except SpineliftError as error:
                failed.append(f"{visit.key}: {error}\n")
            else:
                _save(pair, path)
        if pair is not None:
            pairs.append(pair)
        advance(1)
    write_whole(cache / FAILED, "".join(failed))
    return pairs


def _read(visit: PairedVisit) -> CohortPair:
    scan, volume = read_dxa(visit.dxa), read_dixon(visit.mri)
    check_same_person(scan.identity, volume.identity)
    return CohortPair(visit.key, dxa_plane(scan.bone, scan.spacing), project_volume(volume))


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


@dataclass(frozen=True)
class ImagePairs:
    """Matching pairs on their canvases: ``dxa`` uint8 [n, H, W], ``mri`` uint8 [n, 2, h, w] (water, fat)."""

    dxa: UInt8
    mri: UInt8

    def __len__(self) -> int:
        return len(self.dxa)


def to_canvas(image: PlaneImage, pixel_mm: float, shape: tuple[int, int]) -> UInt8:
    """An image on the canvas of an encoder, uint8 [C, H, W]."""
    on_canvas = image.resample_to(canvas_grid(image.grid, pixel_mm, shape))
    return np.rint(canvas_pixels(on_canvas) * 255).astype(np.uint8)


def save_pairs(path: Path, pairs: Sequence[tuple[PlaneImage, PlaneImage]], canvas: CanvasConfig) -> Path:
    """Write (DXA, projected MRI) pairs; the file appears whole."""
    dxa = np.stack([to_canvas(d, canvas.pixel_mm, canvas.dxa)[0] for d, _ in pairs])
    mri = np.stack([to_canvas(m, canvas.pixel_mm, canvas.mri) for _, m in pairs])
    with whole_file(path) as file:
        np.savez_compressed(file, dxa=dxa, mri=mri, pixel_mm=canvas.pixel_mm)
    return path


def load_pairs(paths: Sequence[Path], canvas: CanvasConfig) -> ImagePairs:
    """Read pairs of several files, made for this canvas.

    A :class:`ConfigError` names a file that is missing, damaged, or made for another canvas.
    """
    dxa, mri = [], []
    for path in paths:
        try:
            with np.load(path, allow_pickle=False) as held:
                d, m, pixel_mm = held["dxa"], held["mri"], float(held["pixel_mm"])
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise _unfit(f"no pairs in {path.name} ({error})") from error
        if d.shape[1:] != canvas.dxa or m.shape[1:] != (2, *canvas.mri) or pixel_mm != canvas.pixel_mm:
            raise _unfit(f"pairs of {d.shape[1:]} and {m.shape[1:]} at {pixel_mm} mm in {path.name}")
        dxa.append(d)
        mri.append(m)
    return ImagePairs(np.concatenate(dxa), np.concatenate(mri))


def _unfit(found: str) -> ConfigError:
    expected = "pairs on the canvas of the configuration"
    return ConfigError(found=found, expected=expected, do="Write them again with this configuration.")
