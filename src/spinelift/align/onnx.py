"""Trained encoders without torch, and the features that they give.

Both give ``features`` [N, D, H / 8, W / 8], of length 1 in each cell that holds any image.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from spinelift.align.gradients import FeatureMap
from spinelift.align.plane import PlaneImage
from spinelift.bundle import EncodersCard, OnnxNetwork, load_bundle
from spinelift.geometry.arrays import Float32

CELL_PX = 8
"""Pixels to a feature, each way (paper: maps at 1/8 of the resolution)."""
NO_ENCODERS = "none"
"""In place of a folder: edge directions alone."""


def canvas_pixels(image: PlaneImage) -> Float32:
    """What an encoder sees: channels [C, H, W] without what was not measured, the brightest about 1."""
    pixels = np.where(image.valid, np.maximum(image.pixels, 0.0), 0.0)
    peaks = np.maximum(np.percentile(pixels, 99.5, axis=(1, 2), keepdims=True), 1e-6)
    return np.asarray(np.clip(pixels / peaks, 0.0, 1.0), np.float32)


@dataclass(frozen=True)
class EncoderFeatures:
    """Features of the trained encoders; ``digest`` is the hash of their card."""

    pixel_mm: float
    shapes: tuple[tuple[int, int], tuple[int, int]]
    digest: str
    _dxa: OnnxNetwork = field(repr=False)
    _mri: OnnxNetwork = field(repr=False)

    def dxa(self, image: PlaneImage) -> FeatureMap:
        """Features of a DXA [1, H, W] on its canvas."""
        return _run(self._dxa, image)

    def mri(self, image: PlaneImage) -> FeatureMap:
        """Features of a projected MRI [2, H, W] on its canvas."""
        return _run(self._mri, image)


def _run(encoder: OnnxNetwork, image: PlaneImage) -> FeatureMap:
    (features,) = encoder(canvas_pixels(image)[None])
    return FeatureMap(features[0], CELL_PX, (CELL_PX - 1) / 2)


def choose_encoders(choice: str | None, *, threads: int = 1) -> EncoderFeatures | None:
    """The shipped encoders, those of a folder, or, for ``none``, no encoders."""
    if choice == NO_ENCODERS:
        return None
    return load_encoders(Path(choice) if choice else None, threads=threads)


def load_encoders(path: Path | None = None, *, threads: int = 1) -> EncoderFeatures:
    """The shipped encoders, or those of a folder or zip, as of :func:`spinelift.bundle.load_bundle`."""
    bundle = load_bundle(EncodersCard, path)
    canvases, (dxa, mri) = bundle.card.preprocessing, (bundle.network(n, threads) for n in ("dxa", "mri"))
    shapes = (canvases.dxa_shape, canvases.mri_shape)
    return EncoderFeatures(canvases.pixel_mm, shapes, bundle.ref.sha256, dxa, mri)
