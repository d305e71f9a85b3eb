"""The height of the MRI on the DXA, from two sources: the ends of the spine masks, and the images.

The sides of a long column say little about its height, its two ends nearly all, and a segmenter that takes
T2 for T1 puts an end 20 mm off. The images do not depend on the ends: with the rotation and the lateral shift
of stage 2 they are correlated once more, along the body. The two heights are weighted by the inverse of
their variances. The variance of the ends grows with the difference of the two masks' heights; that of the
images grows with how differently the spine is bent, since the body around it then lies differently too.
Where they contradict each other, the ends are used.
"""

import math

from spinelift.align.gradients import Features
from spinelift.align.plane import PlaneImage, PlaneMask
from spinelift.align.search import search
from spinelift.align.spine_level import SpineMatch
from spinelift.geometry import RigidTransform2D

NEAR_MM = (8.0, 40.0)
"""How far (x, z) from stage 2 the images are correlated again: two vertebrae missed at one end move the
centre by 30 mm."""
ENDS_MM = 1.0
"""Standard deviation of the height by correct ends: simulated pairs with true masks."""
IMAGE_MM = 2.0
"""Standard deviation of the height by the images: simulated pairs."""
BEND_FREE_MM, IMAGE_PER_BEND = 1.5, 3.0
"""Each mm of bend beyond the first adds the second, in mm, to the standard deviation of the images (133
simulated pairs with true masks: 2 mm at bends below 1.5 mm, 18 mm at 5 mm, 22 mm at 8 mm; the ends 1.6 mm at
most)."""
CONTRADICTION = 4.0
"""Standard deviations of the difference beyond which the images are not used."""


def weigh_heights(
    spine: SpineMatch,
    features: Features,
    images: tuple[PlaneImage, PlaneImage],
    masks: tuple[PlaneMask, PlaneMask],
) -> SpineMatch:
    """Stage 2 with its height weighted against that of the images; each pair is (DXA, MRI)."""
    dxa, mri = images
    stage2, centre = spine.transform, mri.grid.centre_mm
    found = search(features, dxa, mri, angles_deg=(stage2.rotation_deg,), near=stage2, reach_mm=NEAR_MM)
    z = float((found.apply(centre) - stage2.apply(centre))[1])
    bent = IMAGE_PER_BEND * max(spine.bend_mm - BEND_FREE_MM, 0.0)
    by_ends, by_image = ENDS_MM**2 + (spine.height_gap_mm / 2) ** 2, IMAGE_MM**2 + bent**2
    if abs(z) > min(CONTRADICTION * math.sqrt(by_ends + by_image), NEAR_MM[1] - features.pixel_mm):
        return spine
    moved = RigidTransform2D(0.0, (0.0, z * by_ends / (by_ends + by_image)), stage2.target, stage2.target)
    return SpineMatch.of(*masks, stage2.then(moved))
