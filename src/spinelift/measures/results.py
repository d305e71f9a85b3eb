"""What is measured of a spine, as it stands in ``curves.json``."""

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer

from spinelift.geometry import Vertebra

Number = Annotated[float, AfterValidator(lambda value: round(value, 3) + 0.0)]
"""A number rounded to 0.001, so that all that is shown or written of it rounds alike."""
Interval = tuple[Number, Number]
LevelName = Annotated[
    Literal[
        "T1", "T2", "T3", "T4", "T5", "T6", "T7", "T8", "T9", "T10", "T11", "T12",
        "L1", "L2", "L3", "L4", "L5",
    ],
    PlainSerializer(str),
]  # fmt: skip


class CurveType(Enum):
    """Region of a curve by its apex (Lenke et al. 2001; terms of the Scoliosis Research Society)."""

    PROXIMAL_THORACIC = "proximal thoracic"
    THORACIC = "thoracic"
    THORACOLUMBAR = "thoracolumbar"
    LUMBAR = "lumbar"

    @classmethod
    def of(cls, apex: Vertebra) -> Self:
        """Proximal thoracic to T5, thoracic from T6 to T11, thoracolumbar T12 and L1, lumbar from L2."""
        lowest = {"proximal thoracic": Vertebra.T5, "thoracic": Vertebra.T11, "thoracolumbar": Vertebra.L1}
        return cls(next((name for name, last in lowest.items() if apex <= last), "lumbar"))


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Measured(_Part):
    """A value and the bounds of its 90 % interval; None without plausible spines."""

    value: Number
    interval90: Interval | None = None


class CurveMeasures(_Part):
    """One coronal curve: see docs/measures.md for the definitions. Heights are mm of the scan.

    ``direction`` is the side of its convexity, left or right. ``curvature_plane_deg`` and
    ``best_fit_plane_deg`` are directions: 0 kyphosis, 90 coronal, 180 lordosis.
    """

    type: CurveType
    direction: Literal["left", "right"]
    apex: LevelName
    upper_end: LevelName
    lower_end: LevelName
    apex_mm: Number
    upper_end_mm: Number
    lower_end_mm: Number
    ferguson_deg: Measured
    cobb_equivalent_deg: Measured
    cobb_levels: tuple[LevelName, LevelName]
    curvature_plane_deg: Measured
    curvature_deg: Measured
    best_fit_plane_deg: Measured
    torsion_deg_per_cm: Measured

    def __str__(self) -> str:
        return f"{self.type.value}, {self.direction}, {self.upper_end}-{self.apex}-{self.lower_end}"


class Level(_Part):
    """Height of a vertebral centre, mm of the scan, and its 90 % interval, if it is inferred."""

    z_mm: Number
    interval90: Interval | None = None


class Screening(_Part):
    """Scoliosis by the modified Ferguson angle; see docs/measures.md.

    ``finding`` is that of the angle's value; ``probability`` is the share of plausible spines in each class
    and ``direction_probability`` that of those whose main curve has the same side; None without them.
    ``deciding_curve`` is the index of the main curve, None for a straight spine. ``reasons`` are those to
    distrust the finding.
    """

    finding: Literal["none", "6-10", ">=10"]
    probability: dict[Literal["none", "6-10", ">=10"], float] | None
    deciding_curve: int | None = Field(ge=0)
    direction_probability: float | None
    minimal_detectable_change_deg: float
    reasons: tuple[str, ...]


class SpineMeasures(_Part):
    """All measures of one spine; docs/measures.md defines them.

    ``curves`` are from head to feet; ``curve_count`` of them are of 6° or more. ``thresholds_crossed_deg``
    are the thresholds inside the interval of the modified Ferguson angle.
    """

    ferguson_deg: Measured
    cobb_equivalent_deg: Measured
    kyphosis_deg: Measured
    lordosis_deg: Measured
    coronal_offset_mm: Measured
    sagittal_offset_mm: Measured
    curve_count: int = Field(ge=0)
    thresholds_crossed_deg: tuple[float, ...]
    curves: tuple[CurveMeasures, ...]
    levels: dict[LevelName, Level] = Field(exclude=True)
    screening: Screening = Field(exclude=True)

    @property
    def main(self) -> CurveMeasures | None:
        """The curve of the largest modified Ferguson angle; None for a straight spine."""
        return max(self.curves, key=lambda c: c.ferguson_deg.value, default=None)

    def values(self) -> dict[str, Measured]:
        """The measures of the whole spine by name and unit."""
        return {name: value for name, value in self if isinstance(value, Measured)}

    def columns(self) -> dict[str, float | None]:
        """Columns of a table: each of :meth:`values` with its bounds, ``_low`` and ``_high`` before the
        unit; the number of curves; and the probabilities of the screening. Rounded as in documents.
        """
        columns: dict[str, float | None] = {}
        for name, measured in self.values().items():
            stem, unit = name.rsplit("_", 1)
            rounded = measured.model_dump()
            low, high = rounded["interval90"] or (None, None)
            columns |= {name: rounded["value"], f"{stem}_low_{unit}": low, f"{stem}_high_{unit}": high}
        chance = self.screening.probability or {}
        columns |= {"curve_count": self.curve_count, "probability_6deg": None, "probability_10deg": None}
        if chance:
            columns["probability_6deg"] = round(chance["6-10"] + chance[">=10"], 3)
            columns["probability_10deg"] = chance[">=10"]
        return columns

    def to_dict(self) -> dict[str, Any]:
        """``measures``, ``levels`` and ``screening`` of ``curves.json``: plain numbers, lists and texts."""
        levels = {name: level.model_dump(mode="json") for name, level in self.levels.items()}
        return {
            "measures": self.model_dump(mode="json"),
            "levels": levels,
            "screening": self.screening.model_dump(mode="json"),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """The measures that a ``curves.json`` holds; KeyError or ValueError if it holds none that fit."""
        parts = {name: document[name] for name in ("levels", "screening")}
        return cls.model_validate({**document["measures"], **parts})
