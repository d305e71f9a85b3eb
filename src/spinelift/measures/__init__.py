"""Clinical measures of centre lines: the only definition of each angle and of its thresholds."""

from spinelift.measures.angles import (
    COBB_PER_FERGUSON,
    SCOLIOSIS_DEG,
    SCOLIOSIS_LOWER_DEG,
    Convexity,
    CoronalAngles,
    CoronalCurve,
    coronal_angles,
)
from spinelift.measures.levels import LEVEL_HEIGHTS, lower_endplate, upper_endplate
from spinelift.measures.sagittal import kyphosis_deg, lordosis_deg

__all__ = [
    "COBB_PER_FERGUSON", "LEVEL_HEIGHTS", "SCOLIOSIS_DEG", "SCOLIOSIS_LOWER_DEG", "Convexity",
    "CoronalAngles", "CoronalCurve", "coronal_angles", "kyphosis_deg", "lordosis_deg", "lower_endplate",
    "upper_endplate",
]  # fmt: skip
