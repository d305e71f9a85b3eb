"""Registration of one pair: image level, then spine level."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from spinelift.align import MIN_OVERLAP
from spinelift.align.gradients import Features, GradientFeatures
from spinelift.align.height import weigh_heights
from spinelift.align.plane import DXA, MRI, PlaneImage, PlaneMask
from spinelift.align.search import ImageMatch, search
from spinelift.align.spine_level import SpineMatch, fit_spine, overlap
from spinelift.geometry import RigidTransform2D


@dataclass(frozen=True)
class PairMasks:
    """Spine masks of a pair, each in its own millimetres."""

    dxa: PlaneMask
    mri: PlaneMask


@dataclass(frozen=True)
class Alignment:
    """Result of a pair.

    Parameters
    ----------
    before
        Image centres aligned: the start without prior knowledge.
    image
        Stage 1.
    spine
        Stage 2; None without masks.
    iou
        Intersection over union of the masks before, after stage 1 and after stage 2; empty without masks.
    min_iou
        Least intersection over union, after stage 2, of a pair that is accepted.
    """

    before: RigidTransform2D
    image: ImageMatch
    spine: SpineMatch | None
    iou: tuple[float, ...]
    min_iou: float = MIN_OVERLAP

    @property
    def transform(self) -> RigidTransform2D:
        """Transform of the last stage, from MRI to DXA."""
        return self.spine.transform if self.spine else self.image.transform

    @property
    def accepted(self) -> bool | None:
        """Whether the pair can be used; None without masks."""
        return self.spine.iou >= self.min_iou if self.spine else None

    def to_json(self) -> dict[str, Any]:
        """Transforms of all stages (rotation about the MRI's origin, then shift), mm and degrees."""
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
        return {**document, "accepted": self.accepted, "min_iou": self.min_iou}


ENCODERS_REACH_MM = (40.0, 40.0)
"""How far (x, z) edge directions may depart from the encoders' result: more than a cell of theirs."""


def align_pair(
    dxa: PlaneImage,
    mri: PlaneImage,
    masks: PairMasks | None = None,
    *,
    features: Features | None = None,
    min_iou: float = MIN_OVERLAP,
) -> Alignment:
    """Align a projected MRI with a DXA.

    Parameters
    ----------
    dxa
        [1, H, W].
    mri
        [2, h, w]: water and fat.
    masks
        Spine masks; without them there is no stage 2, and no pair is rejected.
    features
        Trained encoders for a coarse registration, which edge directions refine. Without encoders edge
        directions search everywhere.
    min_iou
        Least intersection over union of the masks of a pair that is accepted.

    Raises
    ------
    NoSpineError
        A mask is empty or too short.
    """
    shift = dxa.grid.centre_mm - mri.grid.centre_mm
    before = RigidTransform2D.about(np.zeros(2), 0.0, shift, source=MRI, target=DXA)
    edges = GradientFeatures()
    if features:
        coarse = search(features, dxa, mri).transform
        image = search(edges, dxa, mri, near=coarse, reach_mm=ENCODERS_REACH_MM)
    else:
        image = search(edges, dxa, mri)
    if masks is None:
        return Alignment(before, image, None, (), min_iou)
    spine = fit_spine(masks.dxa, masks.mri, start=image.transform)
    spine = weigh_heights(spine, edges, (dxa, mri), (masks.dxa, masks.mri))
    first, second = (overlap(masks.dxa, masks.mri, t) for t in (before, image.transform))
    return Alignment(before, image, spine, (first, second, spine.iou), min_iou)
