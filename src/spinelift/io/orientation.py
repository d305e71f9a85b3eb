"""Turning an image to the house's axes: rows to the feet, columns to the patient's left.

Letters as in DICOM PS3.3, C.7.6.1.1.1 (Patient Orientation): the first value says where a growing
column leads, the second where a growing row leads; L, R, F (foot), H (head), A, P.
"""

from collections.abc import Sequence

import numpy as np

from spinelift.errors import UnsupportedImageError
from spinelift.geometry import Spacing
from spinelift.geometry.arrays import Float32

STANDARD = ("L", "F")
_FRONTAL = {frozenset(pair) for pair in ("LF", "LH", "RF", "RH")}


def to_standard(image: Float32, spacing: Spacing, orientation: Sequence[str]) -> tuple[Float32, Spacing]:
    """Image [H, W] and spacing, flipped and transposed to L\\F.

    Of a compound value such as ``LA`` the first letter counts, the chief direction.

    Raises
    ------
    UnsupportedImageError
        A lateral or axial view, or letters that make no sense.
    """
    letters = [value.strip().upper()[:1] for value in orientation]
    if len(letters) != 2 or frozenset(letters) not in _FRONTAL:
        view = "a lateral view" if {"A", "P"} & set(letters) else "an unknown view"
        raise UnsupportedImageError(
            found=f"{view} (PatientOrientation {'/'.join(letters) or 'empty'})",
            expected="a frontal view: left-right and head-foot in the image plane",
            do="Choose the Total Body image of the visit.",
        )
    along_row, along_column = letters
    if along_row in "FH":
        image, spacing = image.T, Spacing(spacing.col_mm, spacing.row_mm)
        along_row, along_column = along_column, along_row
    if along_row == "R":
        image = image[:, ::-1]
    if along_column == "H":
        image = image[::-1]
    return np.ascontiguousarray(image), spacing
