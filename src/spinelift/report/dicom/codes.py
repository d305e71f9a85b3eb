"""What a report says of the measures in ``curves.json``, in codes, with units in UCUM.

Where there is a standard code it is used. Else the code is the name in ``curves.json``, in the private scheme
``99SPINELIFT``, which docs/dicom.md lists.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

SCHEME = "99SPINELIFT"
UNITS = {
    "_deg": codes.UCUM.Degree,
    "_mm": codes.UCUM.Millimeter,
    "_deg_per_cm": Code("deg/cm", "UCUM", "degrees per centimeter"),
}
"""By the end of a measure's name."""
MEANINGS = {
    "height_mm": "Height from T1 to L5",
    "ferguson_deg": "Modified Ferguson angle",
    "kyphosis_deg": "Kyphosis, T4 to T12",
    "lordosis_deg": "Lordosis, L1 to L5",
    "coronal_offset_mm": "Offset of T1 from L5, to the left",
    "sagittal_offset_mm": "Offset of T1 from L5, to posterior",
    "curvature_plane_deg": "Plane of maximum curvature",
    "curvature_deg": "Angle in the plane of maximum curvature",
    "best_fit_plane_deg": "Best-fit plane",
    "torsion_deg_per_cm": "Geometric torsion",
    "centre_line": "Tangents of the smoothed centre line, not endplates",
    "type": "Type of curve",
    "direction": "Side of the convexity",
    "apex": "Apex vertebra",
    "upper_end": "Upper end vertebra",
    "lower_end": "Lower end vertebra",
    "screening": "Scoliosis by the modified Ferguson angle, degrees",
}
_STANDARD = {"cobb_equivalent_deg": codes.SCT.CobbAngle}
_SIDES = {"left": Code("7771000", "SCT", "Left"), "right": Code("24028007", "SCT", "Right")}


@dataclass(frozen=True)
class Measured:
    """A number and the bounds of its 90 % interval, if known; ``method`` says what the name does not."""

    name: Code
    value: float
    unit: Code
    interval: tuple[float, float] | None = None
    method: Code | None = None


@dataclass(frozen=True)
class Group:
    """The whole spine, or one curve; ``findings`` are pairs of codes, name and value."""

    name: str
    measures: tuple[Measured, ...]
    findings: tuple[tuple[Code, Code], ...] = ()


def groups(document: Mapping[str, Any]) -> Iterator[Group]:
    """The whole spine, then each of its coronal curves from head to feet, of a ``curves.json``."""
    measures: Mapping[str, Any] = document.get("measures", {})
    z = document["z_mm"]
    height = {"height_mm": {"value": round(z[-1] - z[0], 3)}}
    screening = document.get("screening", {}).get("finding")
    found = ((own("screening"), own(screening)),) if screening else ()
    yield Group("spine", tuple(_measured({**height, **measures})), found)
    for number, curve in enumerate(measures.get("curves", ()), start=1):
        yield Group(f"curve {number}", tuple(_measured(curve)), tuple(_findings(curve)))


def own(value: str) -> Code:
    """A code of the private scheme."""
    return Code(value, SCHEME, MEANINGS.get(value, value.replace("_", " ")))


def _measured(entries: Mapping[str, Any]) -> Iterator[Measured]:
    """The entries that are numbers of a known unit."""
    for name, entry in entries.items():
        unit = next((code for end, code in UNITS.items() if name.endswith(end)), None)
        if unit is None or not isinstance(entry, Mapping) or entry.get("value") is None:
            continue
        standard, interval = _STANDARD.get(name), entry.get("interval90")
        yield Measured(
            standard or own(name), float(entry["value"]), unit, interval and (interval[0], interval[1]),
            own("centre_line") if standard else None,
        )  # fmt: skip


def _findings(curve: Mapping[str, Any]) -> Iterator[tuple[Code, Code]]:
    """Type, side and vertebrae of a curve."""
    yield own("type"), own(curve["type"])
    yield own("direction"), _SIDES[curve["direction"]]
    for name in ("apex", "upper_end", "lower_end"):
        yield own(name), getattr(codes.SCT, f"{curve[name]}Vertebra")
