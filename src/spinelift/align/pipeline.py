"""One pair through both stages."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from spinelift.align.gradients import Features, GradientFeatures
from spinelift.align.height import weigh_heights
from spinelift.align.plane import DXA, MRI, PlaneImage, PlaneMask
from spinelift.align.search import ImageMatch, search
from spinelift.align.spine_level import MIN_OVERLAP, SpineMatch, fit_spine, overlap
from spinelift.geometry import RigidTransform2D


@dataclass(frozen=True)
class PairMasks:
    """Spine masks of a pair, each in its own millimetres."""

    dxa: PlaneMask
    mri: PlaneMask


@dataclass(frozen=True)
class Alignment:
    """What became of a pair.

    Parameters
    ----------
    before
        The middles of both images on each other: where one starts who knows nothing.
    image
        Stage 1.
    spine
        Stage 2; None without masks.
    iou
        Intersection over union of the masks before, after stage 1 and after stage 2; empty without masks.
    """

    before: RigidTransform2D
    image: ImageMatch
    spine: SpineMatch | None
    iou: tuple[float, ...]

    @property
    def transform(self) -> RigidTransform2D:
        """The best that is known, from MRI to DXA."""
        return self.spine.transform if self.spine else self.image.transform

    @property
    def accepted(self) -> bool | None:
        """Whether the pair can be used; None where there are no masks to judge by."""
        return self.spine.accepted if self.spine else None

    def to_json(self) -> dict[str, Any]:
        """Numbers of all stages, mm and degrees."""
        stages = {"before": self.before, "stage1": self.image.transform}
        if self.spine:
            stages["stage2"] = self.spine.transform
        document: dict[str, Any] = {
            name: {
                "rotation_deg": round(t.rotation_deg, 4),
                "dx_mm": round(t.shift_mm[0], 3),
                "dz_mm": round(t.shift_mm[1], 3),
            }
            for name, t in stages.items()
        }
        for name, iou in zip(stages, self.iou, strict=False):
            document[name]["iou"] = round(iou, 4)
        if self.spine:
            document["stage2"]["residual_mm"] = round(self.spine.residual_mm, 3)
        return {**document, "accepted": self.accepted, "min_overlap": MIN_OVERLAP}


ENCODERS_REACH_MM = (40.0, 40.0)
"""How far (x, z) edge directions may lead away from where encoders say: more than a cell of theirs."""


def align_pair(
    dxa: PlaneImage, mri: PlaneImage, masks: PairMasks | None = None, *, features: Features | None = None
) -> Alignment:
    """Align a projected MRI with a DXA.

    Parameters
    ----------
    dxa
        [1, H, W].
    mri
        [2, h, w]: water and fat.
    masks
        Spine masks; without them there is no stage 2, and nothing to reject by.
    features
        Trained encoders, to say where about the MRI lies; edge directions, which are finer, take it from
        there. Without encoders edge directions search everywhere.

    Raises
    ------
    NoSpineError
        A mask is empty or too short.
    """
    middle = dxa.grid.centre_mm - mri.grid.centre_mm
    before = RigidTransform2D.about(np.zeros(2), 0.0, middle, source=MRI, target=DXA)
    edges = GradientFeatures()
    if features:
        about = search(features, dxa, mri).transform
        image = search(edges, dxa, mri, near=about, reach_mm=ENCODERS_REACH_MM)
    else:
        image = search(edges, dxa, mri)
    if masks is None:
        return Alignment(before, image, None, ())
    spine = fit_spine(masks.dxa, masks.mri, start=image.transform)
    spine = weigh_heights(spine, edges, (dxa, mri), (masks.dxa, masks.mri))
    first, second = (overlap(masks.dxa, masks.mri, t) for t in (before, image.transform))
    return Alignment(before, image, spine, (first, second, spine.iou))
