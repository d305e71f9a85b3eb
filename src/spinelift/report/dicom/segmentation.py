"""Segmentation: the column between the left and the right curve, on the pixels of the source image."""

import highdicom as hd
import numpy as np
from pydicom.sr.codedict import codes

from spinelift.curves import Curve, SpineCurves, resample_rows
from spinelift.geometry import PixelGrid
from spinelift.geometry.arrays import Bool
from spinelift.report.dicom.study import MANUFACTURER, Study
from spinelift.report.scene import SpineScene
from spinelift.version import __version__


def column_mask(curves: SpineCurves, grid: PixelGrid) -> Bool:
    """Pixels of a grid whose centres lie between the left and the right curve, from T1 to L5 [H, W]."""
    mm, z = resample_rows(curves.z_mm, curves.mm, grid.z_mm), grid.z_mm
    right, left = mm[Curve.RIGHT, :, None], mm[Curve.LEFT, :, None]
    inside = (z >= curves.z_mm[0]) & (z <= curves.z_mm[-1])
    mask: Bool = inside[:, None] & (grid.x_mm >= right) & (grid.x_mm <= left)
    return mask


def segmentation(scene: SpineScene, study: Study) -> bytes:
    """DICOM Segmentation, binary, of one segment, on the pixels of the source image.

    It has no frame of reference, even if the image has one: a projection has no plane in space.
    """
    spacing = scene.curves.frame.spacing
    mask = column_mask(scene.curves, PixelGrid.of_scan(spacing, scene.image.shape))
    algorithm = hd.AlgorithmIdentificationSequence(
        name=study.model, version=study.bundle["version"], family=codes.DCM.ArtificialIntelligence,
        source=MANUFACTURER, parameters={"bundle_sha256": study.bundle["sha256"], "spinelift": __version__},
    )  # fmt: skip
    segment = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label="Spine, T1 to L5",
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=codes.SCT.Spine,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=study.uid("spine"),
        tracking_id="spine",
    )
    pixel = (spacing.row_mm, spacing.col_mm)
    found = hd.seg.Segmentation(
        source_images=[study.image],
        pixel_array=study.source.stored(mask.astype(np.uint8)),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[segment],
        pixel_measures=hd.PixelMeasuresSequence(
            pixel_spacing=pixel[::-1] if study.source.is_transposed else pixel, slice_thickness=None
        ),
        content_label="SPINE",
        content_description="Between the left and the right curve of the predicted spine",
        **study.equipment("SEG"),
    )
    found.PatientOrientation = list(study.source.letters)
    organization = study.uid("SEG", "dimensions")
    for item in (*found.DimensionOrganizationSequence, *found.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization
    return study.write(found)
