"""The folder in which a person corrects masks, with any painting tool or 3D Slicer.

``to_do/<row>_<eid>_scan.png`` is a scan, ``to_do/<row>_<eid>_mask.png`` its mask, white inside, of the same
size. A correct or corrected mask is moved to ``done/`` under the same name. A black mask marks a scan that
cannot be used.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from spinelift.curves.masks import ends_of, mask_edges
from spinelift.errors import ConfigError, SpineliftError, UnsupportedImageError
from spinelift.files import make_folder, whole_file, write_whole
from spinelift.geometry import Spacing, largest_component
from spinelift.geometry.arrays import AnyArray, Float32, UInt8
from spinelift.geometry.canonical import CANONICAL_SHAPE
from spinelift.io.dxa.picture import read_picture

TO_DO, DONE = "to_do", "done"
MIN_ROWS = 100
"""Smallest height of a painted spine, canonical px (240 mm)."""
MAX_SHARE = 0.08
"""Largest share of the image that a spine can fill; an adult's fills 1 to 2 %."""
README = """Masks of the spine to review.

to_do/ holds pairs of images of the same size: *_scan.png, and *_mask.png, white from T1's upper endplate to
L5's lower endplate. Correct the mask with any painting tool, or in 3D Slicer (load both, edit, save as PNG),
and save it in done/ under the same name. Move a correct mask there unchanged. Paint the mask black if the
scan cannot be used. Then run the same command again with --resume.
"""
_NAME = re.compile(r"(\d+)_\d+_mask\.(png|tif|tiff)", re.IGNORECASE)
_PX = Spacing(1.0, 1.0)


class Correction(NamedTuple):
    """A person's mask of the scan ``row``, uint8 0/1 [832, 320], and its ends [2, 2] (row, col).

    ``mask`` is None if the scan cannot be used.
    """

    row: int
    mask: UInt8 | None
    ends: Float32


class Review(NamedTuple):
    """Content of ``done``: corrections, and files that cannot be read with the reason."""

    corrections: tuple[Correction, ...]
    problems: tuple[str, ...]


def mask_name(row: int, eid: int) -> str:
    """Name of the mask of a scan."""
    return f"{row:06d}_{eid}_mask.png"


def export(folder: Path, row: int, eid: int, image: UInt8, mask: UInt8) -> None:
    """Write a scan [832, 320] and its mask 0/1 to ``to_do``, the mask last."""
    for name in (TO_DO, DONE):
        make_folder(folder / name)
    write_whole(folder / "README.txt", README)
    name = mask_name(row, eid)
    _write(folder / TO_DO / name.replace("_mask", "_scan"), image)
    _write(folder / TO_DO / name, np.where(mask > 0, 255, 0).astype(np.uint8))


def waiting(folder: Path) -> list[int]:
    """Rows whose masks are in ``to_do`` and not in ``done``."""
    return sorted(_rows(folder / TO_DO).keys() - _rows(folder / DONE).keys())


def read_corrections(folder: Path, scans: int) -> Review:
    """Read every mask in ``done``; a file that cannot be read is reported and kept."""
    corrections, problems = [], []
    for row, path in sorted(_rows(folder / DONE).items()):
        try:
            if row >= scans:
                raise ConfigError(found=f"row {row}", expected=f"one below {scans}", do="Keep the name.")
            corrections.append(_correction(row, path))
        except (SpineliftError, OSError) as error:
            problems.append(f"{path.name}: {error}")
    return Review(tuple(corrections), tuple(problems))


def ends_of_mask(mask: AnyArray) -> Float32:
    """(row, col) of both ends of one connected mask, canonical px [2, 2]."""
    edges = mask_edges(np.asarray(mask, np.float64), _PX)
    if edges is None:
        spine = "a spine from T1 to L5"
        raise UnsupportedImageError(found="an empty mask", expected=spine, do="Paint the whole spine.")
    return np.array([(z, x) for x, z in ends_of(edges)], np.float32)


def _correction(row: int, path: Path) -> Correction:
    pixels = read_picture(path.read_bytes())
    if pixels.shape != CANONICAL_SHAPE:
        raise UnsupportedImageError(
            found=f"a mask of {pixels.shape[0]} × {pixels.shape[1]} pixels",
            expected=f"{CANONICAL_SHAPE[0]} × {CANONICAL_SHAPE[1]}, as the scan has",
            do="Paint on the pixels of the scan, and save without scaling.",
        )
    if pixels.max() == 0:
        return Correction(row, None, np.zeros((2, 2), np.float32))
    mask = ndimage.binary_fill_holes(largest_component(pixels >= pixels.max() / 2, diagonal=True))
    height = int(np.ptp(np.flatnonzero(mask.any(1)))) + 1
    if height < MIN_ROWS or mask.mean() > MAX_SHARE:
        raise UnsupportedImageError(
            found=f"a mask {height} pixels high that fills {100 * mask.mean():.1f} % of the picture",
            expected=f"T1 to L5 in one piece, at least {MIN_ROWS} pixels and at most {100 * MAX_SHARE:.0f} %",
            do="Paint the whole spine, or paint the mask black if the scan cannot be used.",
        )
    return Correction(row, mask.astype(np.uint8), ends_of_mask(mask))


def _rows(folder: Path) -> dict[int, Path]:
    """Row → mask in a folder; the newest of several."""
    files = sorted(folder.iterdir(), key=lambda p: p.stat().st_mtime) if folder.is_dir() else []
    return {int(match[1]): path for path in files if (match := _NAME.fullmatch(path.name))}


def _write(path: Path, pixels: UInt8) -> None:
    with whole_file(path) as file:
        Image.fromarray(pixels).save(file, "PNG")
