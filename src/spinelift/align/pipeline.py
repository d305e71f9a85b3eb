"""Registration of one pair: image level, then spine level."""

from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np

from spinelift.align import MIN_OVERLAP
from spinelift.align.gradients import Features, GradientFeatures
from spinelift.align.height import weigh_heights
from spinelift.align.plane import DXA, MRI, PairMasks, PlaneImage
from spinelift.align.search import search
from spinelift.align.spine_level import SpineMatch, fit_spine, overlap
from spinelift.geometry import RigidTransform2D


@dataclass(frozen=True)
class Alignment:
    """Result of a pair; transforms are from MRI to DXA.

    ``before``: image centres aligned. ``image``: stage 1. ``spine``: stage 2; None without masks. ``iou``:
    intersection over union of the masks before, after stage 1 and after stage 2; empty without masks.
    ``min_iou``: the least, after stage 2, of a pair that is accepted.
    """

    before: RigidTransform2D
    image: RigidTransform2D
    spine: SpineMatch | None
    iou: tuple[float, ...]
    min_iou: float

    @property
    def transform(self) -> RigidTransform2D:
        """Transform of the last stage."""
        return self.spine.transform if self.spine else self.image

    @property
    def accepted(self) -> bool | None:
        """Whether the pair can be used; None without masks."""
        return self.spine.iou >= self.min_iou if self.spine else None

    def to_json(self) -> dict[str, Any]:
        """Transforms of all stages (rotation about the MRI's origin, then shift), mm and degrees."""
        document: dict[str, Any] = {}
        stages = {"before": self.before, "stage1": self.image}
        if self.spine:
            stages["stage2"] = self.spine.transform
        for (name, t), iou in zip_longest(stages.items(), self.iou):
            dx_mm, dz_mm = (round(v, 3) for v in t.shift_mm)
            document[name] = {"rotation_deg": round(t.rotation_deg, 4), "dx_mm": dx_mm, "dz_mm": dz_mm}
            if iou is not None:
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
    """Align a projected MRI [2, h, w] (water and fat) with a DXA [1, H, W].

    Without ``masks`` there is no stage 2, and no pair is rejected. ``features`` are trained encoders for a
    coarse registration, which edge directions refine; without encoders edge directions search everywhere.
    Raises NoSpineError if a mask is empty or too short.
    """
    shift = dxa.grid.centre_mm - mri.grid.centre_mm
    before = RigidTransform2D.about(np.zeros(2), 0.0, shift, source=MRI, target=DXA)
    edges = GradientFeatures()
    if features:
        image = search(edges, dxa, mri, near=search(features, dxa, mri), reach_mm=ENCODERS_REACH_MM)
    else:
        image = search(edges, dxa, mri)
    if masks is None:
        return Alignment(before, image, None, (), min_iou)
    spine = fit_spine(masks.dxa, masks.mri, start=image)
    spine = weigh_heights(spine, edges, (dxa, mri), (masks.dxa, masks.mri))
    first, second = (overlap(masks.dxa, masks.mri, t) for t in (before, image))
    return Alignment(before, image, spine, (first, second, spine.iou), min_iou)
