"""A spine mask as a picture and as NIfTI."""

import gzip
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from spinelift.geometry import Spacing
from spinelift.geometry.arrays import UInt8


def mask_png(mask: UInt8) -> bytes:
    """Grey PNG of a mask [H, W], rows to the feet, columns to the patient's left."""
    data = BytesIO()
    Image.fromarray(mask).save(data, "PNG")
    return data.getvalue()


def mask_nifti(mask: UInt8, spacing: Spacing) -> bytes:
    """Compressed NIfTI of a mask [H, W], as a coronal slice [W, 1, H] of thickness 1 mm; 1 is spine.

    NIfTI's axes grow to the patient's right, anterior and superior (RAS+): columns run to -x, rows to -z. The
    origin is the centre of the scan's first pixel. Needs nibabel.
    """
    import nibabel

    affine = np.diag([-spacing.col_mm, 1.0, -spacing.row_mm, 1.0])
    library: Any = nibabel  # not typed
    image = library.Nifti1Image((mask > 0).astype(np.uint8).T[:, None, :], affine)
    image.header.set_xyzt_units("mm")
    for set_form in (image.set_sform, image.set_qform):
        set_form(affine, code="scanner")
    return gzip.compress(image.to_bytes(), mtime=0)
