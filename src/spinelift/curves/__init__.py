"""The six curves of a spine, from masks and to masks, meshes and volumes."""

from spinelift.curves.masks import coronal_from_edges, ends_of, mask_edges, smooth_rows
from spinelift.curves.solid import ellipses_mm, solid_iou, tube_mesh
from spinelift.curves.spine_curves import (
    CORONAL,
    JSON_KEYS,
    SAGITTAL,
    Curve,
    SpineCurves,
    by_view,
    mm_from_json,
    resample_rows,
    zero_sagittal,
)

__all__ = [
    "CORONAL",
    "JSON_KEYS",
    "SAGITTAL",
    "Curve",
    "SpineCurves",
    "by_view",
    "coronal_from_edges",
    "ellipses_mm",
    "ends_of",
    "mask_edges",
    "mm_from_json",
    "resample_rows",
    "smooth_rows",
    "solid_iou",
    "tube_mesh",
    "zero_sagittal",
]
