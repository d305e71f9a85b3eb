"""Value types for places: spacing, frames, vertebrae. Imports nothing of the rest of the package."""

from spinelift.geometry.frame import (
    CROP_SIZE,
    FIRST_SPINE_ROW,
    SPINE_CROP_ROWS,
    SPINE_ROWS,
    Spacing,
    SpineFrame,
)
from spinelift.geometry.transform import PixelGrid, RigidTransform2D
from spinelift.geometry.vertebra import Vertebra

__all__ = [
    "CROP_SIZE",
    "FIRST_SPINE_ROW",
    "SPINE_CROP_ROWS",
    "SPINE_ROWS",
    "PixelGrid",
    "RigidTransform2D",
    "Spacing",
    "SpineFrame",
    "Vertebra",
]
