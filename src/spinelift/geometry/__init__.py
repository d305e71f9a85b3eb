"""Value types for places and images: grids, the crop, transforms, resampling, masks, vertebrae."""

from spinelift.geometry.frame import CROP_SIZE, FIRST_SPINE_ROW, SPINE_CROP_ROWS, SPINE_ROWS, SpineFrame
from spinelift.geometry.grid import PixelGrid, Spacing
from spinelift.geometry.masks import intersection_over_union, largest_component
from spinelift.geometry.transform import RigidTransform2D
from spinelift.geometry.vertebra import Vertebra

__all__ = [
    "CROP_SIZE", "FIRST_SPINE_ROW", "SPINE_CROP_ROWS", "SPINE_ROWS", "PixelGrid", "RigidTransform2D",
    "Spacing", "SpineFrame", "Vertebra", "intersection_over_union", "largest_component",
]  # fmt: skip
