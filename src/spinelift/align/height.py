"""The height of the MRI on the DXA, from two witnesses: the ends of the spine masks, and the images.

The contours of a long column say little about its height, its two ends nearly all, and a segmenter that
takes T2 for T1 puts an end 20 mm off. The images do not know of ends: at the rotation and the side shift of
stage 2 they are correlated once more, along the body. Both heights are weighed by the inverse of their
variance; that of the ends grows with the difference of the two masks' heights, that of the images with how
much otherwise the spine is bent, since then the body about it lies otherwise too. Where they contradict each
other, the ends are believed.
"""

import math
from dataclasses import replace

from spinelift.align.gradients import Features
from spinelift.align.plane import PlaneImage, PlaneMask
from spinelift.align.search import search
from spinelift.align.spine_level import SpineMatch, overlap
from spinelift.geometry import RigidTransform2D

NEAR_MM = (8.0, 40.0)
"""How far (x, z) from stage 2 the images are correlated again: two vertebrae missed at one end move the
middle by 30 mm."""
ENDS_MM = 1.0
"""Error of the height by ends that are right: standard deviation, simulated pairs with true masks."""
IMAGE_MM = 2.0
"""Error of the height by the images: standard deviation, simulated pairs."""
BEND_FREE_MM, IMAGE_PER_BEND = 1.5, 3.0
"""A spine bent by more than the first adds so many mm for each mm to that error (133 simulated pairs with
true masks: 2 mm at bends below 1.5 mm, 18 mm at 5 mm, 22 mm at 8 mm; 1.6 mm at most by the ends)."""
CONTRADICTION = 4.0
"""Standard deviations of their difference from which on the images are not believed."""


def weigh_heights(
    spine: SpineMatch,
    features: Features,
    images: tuple[PlaneImage, PlaneImage],
    masks: tuple[PlaneMask, PlaneMask],
) -> SpineMatch:
    """Stage 2 with its height weighed against that of the images; each pair is (DXA, MRI)."""
    dxa, mri = images
    found = search(
        features, dxa, mri, angles_deg=(spine.transform.rotation_deg,), near=spine.transform, reach_mm=NEAR_MM
    )
    middle = mri.grid.centre_mm
    z = float((found.transform.apply(middle) - spine.transform.apply(middle))[1])
    bent = IMAGE_PER_BEND * max(spine.bend_mm - BEND_FREE_MM, 0.0)
    ends, seen = ENDS_MM**2 + (spine.height_gap_mm / 2) ** 2, IMAGE_MM**2 + bent**2
    if abs(z) > min(CONTRADICTION * math.sqrt(ends + seen), NEAR_MM[1] - features.pixel_mm):
        return spine
    moved = z * ends / (ends + seen)
    (dx, dz), turn = spine.transform.shift_mm, spine.transform.rotation_deg
    transform = RigidTransform2D(turn, (dx, dz + moved), spine.transform.source, spine.transform.target)
    return replace(spine, transform=transform, iou=overlap(*masks, transform))
