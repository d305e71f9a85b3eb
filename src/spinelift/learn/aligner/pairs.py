"""Pairs of images to train the encoders on, stored as ``.npz``."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spinelift.align.onnx import canvas_pixels
from spinelift.align.plane import PlaneImage
from spinelift.align.search import canvas_grid
from spinelift.errors import ConfigError
from spinelift.files import whole_file
from spinelift.geometry.arrays import UInt8
from spinelift.learn.aligner.config import CanvasConfig


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

    Raises
    ------
    ConfigError
        A file is missing, damaged, or made for another canvas.
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
