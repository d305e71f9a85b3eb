"""Change of each measure between two visits, beside the least change that noise allows to detect."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from spinelift.measures.results import Measured, SpineMeasures
from spinelift.measures.screening import REPEATABILITY_DEG

PUBLISHED = {"ferguson_deg": REPEATABILITY_DEG}
"""Published 95 % minimal detectable changes by measure."""
Z95_OVER_Z90 = 1.96 / 1.645
TITLES = {
    "ferguson_deg": "modified Ferguson angle", "cobb_equivalent_deg": "Cobb-equivalent",
    "kyphosis_deg": "kyphosis T4-T12", "lordosis_deg": "lordosis L1-L5",
    "coronal_offset_mm": "coronal offset T1-L5", "sagittal_offset_mm": "sagittal offset T1-L5",
}  # fmt: skip
"""Measures of the whole spine in words."""
UNITS = {"deg": "°", "mm": " mm"}


@dataclass(frozen=True)
class Change:
    """Change of one measure, in its unit.

    ``detectable`` is the 95 % minimal detectable change: the larger of the published one and that of both
    90 % intervals taken as independent errors; None if neither is known. ``beyond`` is whether the change
    exceeds it; None likewise.
    """

    name: str
    first: float
    second: float
    change: float
    detectable: float | None
    beyond: bool | None

    def __str__(self) -> str:
        unit = UNITS[self.name.rsplit("_", 1)[1]]
        text = f"{TITLES[self.name]}: {self.first:.1f} to {self.second:.1f}{unit}"
        if not self.change:
            return f"{text}: no change"
        text += f", change {self.change:+.1f}{unit}"
        if self.detectable is None:
            return f"{text}: its repeatability is not known"
        return f"{text}, {'more' if self.beyond else 'less'} than the detectable {self.detectable:.1f}{unit}"


@dataclass(frozen=True)
class SpineChange:
    """Changes of a spine from a first to a second visit; ``main_curves`` describes both main curves."""

    changes: tuple[Change, ...]
    main_curves: tuple[str, str]

    def __getitem__(self, name: str) -> Change:
        return next(change for change in self.changes if change.name == name)

    def __str__(self) -> str:
        first, second = (curve or "none" for curve in self.main_curves)
        main = f"main curve: {first}" + ("" if first == second else f"; then {second}")
        found = [TITLES[c.name] for c in self.changes if c.beyond]
        beyond = "changed beyond repeatability: " + (", ".join(found) or "nothing")
        return "\n".join([*map(str, self.changes), main, beyond])

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and texts, rounded to 0.001."""
        rows = [asdict(change) for change in self.changes]
        rounded = [{k: round(v, 3) if type(v) is float else v for k, v in row.items()} for row in rows]
        return {"changes": rounded, "main_curves": list(self.main_curves)}


def compare_spines(first: SpineMeasures, second: SpineMeasures) -> SpineChange:
    """Change of each measure of the whole spine from a first to a second visit."""
    later = second.values()
    changes = tuple(_change(name, one, later[name]) for name, one in first.values().items())
    return SpineChange(changes, (str(first.main or ""), str(second.main or "")))


def _change(name: str, first: Measured, second: Measured) -> Change:
    known = [PUBLISHED[name]] if name in PUBLISHED else []
    if first.interval90 and second.interval90:
        (a, b), (c, d) = first.interval90, second.interval90
        known.append(float(Z95_OVER_Z90 * np.hypot(b - a, d - c) / 2))
    detectable = max(known, default=None)
    change = second.value - first.value
    beyond = None if detectable is None else abs(change) > detectable
    return Change(name, first.value, second.value, change, detectable, beyond)
