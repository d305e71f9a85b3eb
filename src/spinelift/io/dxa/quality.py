"""Whether an image can hold a spine at all, and remarks on it for the reader of the result."""

import numpy as np
from scipy import ndimage

from spinelift.errors import BlankImageError, ImageTooSmallError
from spinelift.geometry import Spacing
from spinelift.geometry.arrays import Float32

MIN_SHAPE = (100, 30)
"""Fewest rows and columns in which a spine could be seen."""
MIN_SIZE_MM = (300.0, 80.0)
"""Least height and width, mm: T1 to L5 of a small adult is about 400 mm."""
MIN_CONTRAST = 4.0
"""Least standard deviation of the grey values; a real bone image has about 60."""
BODY_HEIGHT_MM = (1300.0, 2100.0)
"""Height of the body in view beyond which a note is made, mm."""
TOP_LEVEL = 250.0
"""Grey values from here on are saturated (the real scanner's last level is 252)."""
METAL_MM2 = 2500.0
"""Area of a saturated patch below the head that suggests metal: bone alone reaches about 1000 mm²."""


def check_image(bone: Float32, spacing: Spacing) -> None:
    """Raise ImageTooSmallError or BlankImageError for an image [H, W] that cannot hold or show a spine."""
    rows, columns = bone.shape
    height, width = rows * spacing.row_mm, columns * spacing.col_mm
    (least_rows, least_columns), (least_height, least_width) = MIN_SHAPE, MIN_SIZE_MM
    if rows < least_rows or columns < least_columns or height < least_height or width < least_width:
        least = f"{least_rows} × {least_columns} pixels and {least_height:.0f} × {least_width:.0f} mm"
        raise ImageTooSmallError(
            found=f"an image of {rows} × {columns} pixels, {height:.0f} × {width:.0f} mm (height × width)",
            expected=f"at least {least}",
            do="Pass the whole Total Body image, and check the pixel size.",
        )
    if float(bone.std()) < MIN_CONTRAST:
        raise BlankImageError(
            found=f"an image without contrast (grey values {bone.min():.0f} to {bone.max():.0f})",
            expected="a bone image of a person",
            do="Open it in a viewer; export it again if it is blank there too.",
        )


def is_whole_body(height_mm: float, width_mm: float) -> bool:
    """Whether an image has the size and the shape of a whole-body scan: above 1 m tall, and narrow."""
    return height_mm >= 1000 and 300 <= width_mm <= 1000 and height_mm >= 1.5 * width_mm


def notes(bone: Float32, spacing: Spacing) -> list[str]:
    """Remarks on a bone image [H, W] with 0…255: unusual size of the body, possible metal."""
    remarks = []
    body = bone > 0.1 * bone.max()
    rows = np.flatnonzero(body.mean(axis=1) > 0.02)
    height = float(np.ptp(rows) + 1) * spacing.row_mm if rows.size else 0.0
    if not BODY_HEIGHT_MM[0] <= height <= BODY_HEIGHT_MM[1]:
        remarks.append(f"The body in view is {height / 1000:.2f} m tall, unusual for a whole adult.")
    below_head = rows[0] + rows.size // 5 if rows.size else 0
    patches, _ = ndimage.label(bone[below_head:] >= TOP_LEVEL)
    largest = int(np.bincount(patches.ravel())[1:].max(initial=0)) * spacing.row_mm * spacing.col_mm
    if largest > METAL_MM2:
        remarks.append(f"A patch of {largest / 100:.0f} cm² is saturated: possibly metal.")
    return remarks
