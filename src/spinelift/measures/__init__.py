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
from spinelift.measures.change import Change, SpineChange, compare_spines
from spinelift.measures.levels import LEVEL_HEIGHTS, lower_endplate, upper_endplate
from spinelift.measures.results import CurveMeasures, CurveType, Level, Measured, Screening, SpineMeasures
from spinelift.measures.sagittal import kyphosis_deg, lordosis_deg
from spinelift.measures.screening import REPEATABILITY_DEG
from spinelift.measures.spine import Plausible, measure_spine

__all__ = [
    "COBB_PER_FERGUSON", "LEVEL_HEIGHTS", "REPEATABILITY_DEG", "SCOLIOSIS_DEG", "SCOLIOSIS_LOWER_DEG",
    "Change", "Convexity", "CoronalAngles", "CoronalCurve", "CurveMeasures", "CurveType", "Level", "Measured",
    "Plausible", "Screening", "SpineChange", "SpineMeasures", "compare_spines",
    "coronal_angles", "kyphosis_deg", "lordosis_deg",
    "lower_endplate", "measure_spine", "upper_endplate",
]  # fmt: skip
