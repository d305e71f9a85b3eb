"""Spine masks: of the segmenter, a picture of the DXA's size, a NIfTI label map, the simulator's truth."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spinelift.align.plane import PairMasks, PlaneMask
from spinelift.errors import NoScansError, UnsupportedImageError
from spinelift.geometry import PixelGrid
from spinelift.io.dixon.volume import DixonVolume
from spinelift.io.dxa.picture import read_picture
from spinelift.io.dxa.scan import DxaScan
from spinelift.io.inputs import read_bounded
from spinelift.io.nifti.labels import LabelScheme, read_spine_labels
from spinelift.io.truth import ColumnTruth, SimulatedTruth
from spinelift.segment.mri import MriSpine
from spinelift.segment.postprocess import SpineLocation

SEGMENTER, FILE, TRUTH = "segmenter", "file", "truth"
RASTER_MM = 1.0
"""Pixel size of true masks."""


@dataclass(frozen=True)
class SourcedMask:
    """A spine mask in its image's plane and where it is from.

    ``source``: ``SEGMENTER``, ``FILE`` or ``TRUTH``. ``sha256``: hash of the networks' card, or of the file.
    """

    mask: PlaneMask
    source: str
    sha256: str
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Source, hash and warnings."""
        return {"source": self.source, "sha256": self.sha256, "warnings": list(self.warnings)}


def located_mask(location: SpineLocation) -> PlaneMask:
    """The segmenter's spine mask in the scan's mm, cut at the two ends of the spine."""
    return PlaneMask(location.column, location.grid.canvas)


def read_dxa_mask(path: Path, scan: DxaScan) -> PlaneMask:
    """Grey PNG or TIFF of the scan's size: above half of its brightest value is spine.

    Raises NoScansError if there is no such file, UnsupportedImageError if it cannot be used.
    """
    if not path.is_file():
        raise NoScansError(found=f"no file {path.name}", expected="a mask as PNG", do="Check --dxa-mask.")
    pixels = read_picture(read_bounded(path))
    if pixels.shape != scan.bone.shape:
        raise UnsupportedImageError(
            found=f"a mask of {pixels.shape[0]} × {pixels.shape[1]} pixels",
            expected=f"{scan.bone.shape[0]} × {scan.bone.shape[1]}, as the scan has",
            do="Paint the mask on the scan's own pixels.",
        )
    values = (pixels / max(float(pixels.max()), 1.0)).astype(np.float32)
    return PlaneMask(values, PixelGrid.of_scan(scan.spacing, pixels.shape))


def labelled_spine(path: Path, volume: DixonVolume, scheme: LabelScheme) -> MriSpine:
    """Column T1–L5 of a label map on the volume's grid; the reader's remarks are its warnings.

    Raises the errors of ``read_spine_labels`` and ``MriSpine.from_mask``.
    """
    labels = read_spine_labels(path, volume, scheme)
    return MriSpine.from_mask(labels.mask, volume, labels.remarks)


def pair_masks(truth: SimulatedTruth) -> PairMasks:
    """True masks of DXA and MRI of a simulated pair; ConfigError if the truth is that of a DXA alone."""
    return PairMasks(column_mask(truth.dxa), column_mask(truth.pair))


def column_mask(column: ColumnTruth) -> PlaneMask:
    """The column between its left and right curve, on a 1 mm raster; edges to a fraction of a pixel."""
    low = np.array([column.curves_mm[2].min(), column.z_mm[0]])
    high = np.array([column.curves_mm[0].max(), column.z_mm[-1]])
    grid = PixelGrid.covering(np.stack([low, high]), RASTER_MM, margin_mm=4 * RASTER_MM)
    depth = column.depth_mm(np.stack(np.meshgrid(grid.x_mm, grid.z_mm), -1))
    return PlaneMask(np.clip(depth / RASTER_MM + 0.5, 0.0, 1.0).astype(np.float32), grid)
