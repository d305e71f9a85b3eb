"""``spine.mrk.json``: centre line and levels as markups of 3D Slicer, mm, LPS.

Axes and origin are those of the STL files. Format: Slicer's ``markups-schema-v1.0.3.json``.
"""

import json

import numpy as np

from spinelift.geometry.arrays import Float
from spinelift.report import RESEARCH_USE
from spinelift.report.scene import SpineScene, patient_to_lps
from spinelift.report.vertebrae import place_vertebrae

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
"""Name by which Slicer knows the format; nothing is read from there."""
STEP = 4
"""Rows from one control point of the curve to the next."""


def markups_json(scene: SpineScene) -> str:
    """A curve from T1's upper to L5's lower endplate, and a point at the centre of each vertebra."""
    line = scene.curves.centreline_mm[::STEP]
    placed = place_vertebrae(scene)
    names = [one.level.name for one in placed]
    curve = _markup("Curve", "centre line", line, [""] * len(line), labels=False)
    levels = _markup("Fiducial", "levels", np.stack([one.centre_mm for one in placed]), names, labels=True)
    about = {"scan_id": scene.scan_id, "bundle": scene.made_by, "use": RESEARCH_USE}
    return json.dumps({"@schema": SCHEMA, "spinelift": about, "markups": [curve, levels]}, indent=1) + "\n"


def _markup(
    kind: str, name: str, patient_mm: Float, labels_of: list[str], *, labels: bool
) -> dict[str, object]:
    points = [
        {"id": str(k), "label": label, "position": point, "positionStatus": "defined", "locked": True}
        for k, (label, point) in enumerate(
            zip(labels_of, np.round(patient_to_lps(patient_mm), 3).tolist(), strict=True), start=1
        )
    ]
    display = {"visibility": True, "pointLabelsVisibility": labels, "propertiesLabelVisibility": True}
    return {
        "type": kind, "name": name, "coordinateSystem": "LPS", "coordinateUnits": "mm", "locked": True,
        "controlPoints": points, "display": display,
    }  # fmt: skip
