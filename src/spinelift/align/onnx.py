"""Trained encoders without torch: a folder of two ONNX files, and the features that they give.

``aligner.json`` says pixel size and canvases; ``aligner_dxa.onnx`` takes ``image`` float32 [N, 1, H, W],
``aligner_mri.onnx`` [N, 2, H, W]; both give ``features`` [N, D, H / 8, W / 8], of length 1 in each cell that
holds any image.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinelift.align.gradients import FeatureMap
from spinelift.align.plane import PlaneImage
from spinelift.bundle.networks import SHIPPED, load_networks, write_networks_card

CELL_PX = 8
"""Pixels to a feature, each way (paper: maps at 1/8 of the resolution)."""
CARD, DXA_ONNX, MRI_ONNX = "aligner.json", "aligner_dxa.onnx", "aligner_mri.onnx"
NO_ENCODERS = "none"
"""In place of a folder: edge directions alone."""


def canvas_pixels(image: PlaneImage) -> NDArray[np.float32]:
    """What an encoder sees: channels [C, H, W] without what was not measured, the brightest about 1."""
    pixels = np.where(image.valid, np.maximum(image.pixels, 0.0), 0.0)
    peaks = np.maximum(np.percentile(pixels, 99.5, axis=(1, 2)), 1e-6)
    return np.asarray(np.clip(pixels / peaks[:, None, None], 0.0, 1.0), np.float32)


@dataclass(frozen=True)
class EncoderFeatures:
    """Features of the trained encoders; ``digest`` is the hash of their card."""

    pixel_mm: float
    shapes: tuple[tuple[int, int], tuple[int, int]]
    digest: str
    _dxa: Any = field(repr=False)
    _mri: Any = field(repr=False)

    def dxa(self, image: PlaneImage) -> FeatureMap:
        """Features of a DXA [1, H, W] on its canvas."""
        return _run(self._dxa, image)

    def mri(self, image: PlaneImage) -> FeatureMap:
        """Features of a projected MRI [2, H, W] on its canvas."""
        return _run(self._mri, image)


def _run(session: Any, image: PlaneImage) -> FeatureMap:
    (features,) = session.run(["features"], {"image": canvas_pixels(image)[None]})
    return FeatureMap(np.asarray(features[0], np.float32), CELL_PX, (CELL_PX - 1) / 2)


def write_card(
    folder: Path, *, pixel_mm: float, dxa: tuple[int, int], mri: tuple[int, int], run: dict[str, Any]
) -> None:
    """Write ``aligner.json`` beside the two networks; its presence means that all is there.

    ``run`` says what they were trained on, and how well they told unseen pairs apart.
    """
    about = {"pixel_mm": pixel_mm, "dxa_shape": list(dxa), "mri_shape": list(mri), "run": run}
    write_networks_card(folder / CARD, (DXA_ONNX, MRI_ONNX), {**about, "licence": "Apache-2.0"})


def choose_encoders(choice: str | None, *, threads: int = 1) -> EncoderFeatures | None:
    """The shipped encoders, those of a folder, or, for ``none``, no encoders."""
    if choice == NO_ENCODERS:
        return None
    return load_encoders(Path(choice) if choice else None, threads=threads)


def load_encoders(folder: Path | None = None, *, threads: int = 1) -> EncoderFeatures:
    """Load what ``export_aligner`` wrote; without a folder the shipped encoders.

    Raises
    ------
    BundleError
        Something is missing, altered, or of another format.
    """
    folder = folder or SHIPPED
    do = f"Train them again with `spinelift train aligner`, or give --encoders {NO_ENCODERS}."
    networks = load_networks(folder / CARD, (DXA_ONNX, MRI_ONNX), _read, do=do, threads=threads)
    return EncoderFeatures(*networks.about, networks.digest, *networks.sessions)


def _read(card: dict[str, Any]) -> tuple[float, tuple[tuple[int, int], tuple[int, int]]]:
    """Pixel size and canvases."""
    (dh, dw), (mh, mw) = card["dxa_shape"], card["mri_shape"]
    return float(card["pixel_mm"]), ((int(dh), int(dw)), (int(mh), int(mw)))
