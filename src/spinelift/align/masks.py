"""Spine masks of a pair: from the segmenter, from a picture of the DXA's size, from a label map in NIfTI."""

from pathlib import Path

import numpy as np

from spinelift.align.plane import PlaneMask
from spinelift.align.projection import project_mask
from spinelift.errors import ConfigError, NoScansError, UnsupportedImageError
from spinelift.geometry import PixelGrid
from spinelift.io.dixon.volume import DixonVolume
from spinelift.io.dxa.picture import read_picture
from spinelift.io.dxa.scan import DxaScan
from spinelift.io.nifti.labels import LabelScheme, read_spine_labels
from spinelift.segment.postprocess import SpineLocation


def located_mask(location: SpineLocation) -> PlaneMask:
    """The segmenter's spine mask in the scan's mm, cut at the two ends of the spine."""
    canvas = location.grid.canvas
    inside = np.minimum(canvas.z_mm - location.top_xz_mm[1], location.bottom_xz_mm[1] - canvas.z_mm)
    share = np.clip(inside / canvas.spacing.row_mm + 0.5, 0, 1)
    return PlaneMask((location.mask * share[:, None]).astype(np.float32), canvas)


def read_dxa_mask(path: Path, scan: DxaScan) -> PlaneMask:
    """Grey PNG or TIFF of the scan's size: above half of its brightest value is spine.

    Raises
    ------
    NoScansError, UnsupportedImageError
    """
    if not path.is_file():
        raise NoScansError(found=f"no file {path.name}", expected="a mask as PNG", do="Check --dxa-mask.")
    pixels = read_picture(path.read_bytes())
    if pixels.shape != scan.bone.shape:
        raise UnsupportedImageError(
            found=f"a mask of {pixels.shape[0]} × {pixels.shape[1]} pixels",
            expected=f"{scan.bone.shape[0]} × {scan.bone.shape[1]}, as the scan has",
            do="Paint the mask on the scan's own pixels.",
        )
    values = (pixels / max(float(pixels.max()), 1.0)).astype(np.float32)
    return PlaneMask(values, PixelGrid.of_scan(scan.spacing, pixels.shape))


def read_mri_mask(path: Path, volume: DixonVolume, labels: str) -> PlaneMask:
    """Column T1–L5 of a label map, projected.

    Raises
    ------
    SpineliftError
        As of ``read_spine_labels``; ConfigError if ``labels`` is no known scheme.
    """
    try:
        scheme = LabelScheme(labels)
    except ValueError:
        raise ConfigError(
            found=f"labels of {labels!r}",
            expected=f"one of {', '.join(s.value for s in LabelScheme)}",
            do="Check --mri-labels.",
        ) from None
    return project_mask(read_spine_labels(path, volume, scheme).mask, volume)
