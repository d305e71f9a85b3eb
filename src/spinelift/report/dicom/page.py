"""A page of the overlay and a table of the measures, as PDF."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from matplotlib.figure import Figure
from matplotlib.image import imread

from spinelift.report import RESEARCH_USE
from spinelift.report.dicom.codes import Measured, groups

A4_INCHES = (8.27, 11.69)
SOFT = "#5f6b7a"


def page_pdf(overlay: bytes, document: Mapping[str, Any]) -> bytes:
    """One page A4 of a picture (PNG) and the measures of a ``curves.json``, without date."""
    figure = Figure(A4_INCHES)
    axes = figure.add_axes((0.06, 0.4, 0.88, 0.57))
    axes.imshow(imread(BytesIO(overlay), format="png"))
    axes.set_axis_off()
    rows = [
        [group.name if k == 0 else "", *_row(entry)]
        for group in groups(document)
        for k, entry in enumerate(group.measures)
    ]
    below = figure.add_axes((0.06, 0.05, 0.88, 0.34))
    below.set_axis_off()
    table = below.table(
        rows, colLabels=["", "measure", "value", "90 % interval"], colWidths=[0.12, 0.48, 0.16, 0.24],
        loc="upper center", cellLoc="left", edges="horizontal",
    )  # fmt: skip
    table.auto_set_font_size(False)
    table.set_fontsize(7.5 if len(rows) < 24 else 6)
    bundle = document["bundle"]
    made_by = f"{document['scan_id']}. Model {bundle['name']} {bundle['version']}. {RESEARCH_USE}"
    figure.text(0.06, 0.025, made_by, color=SOFT, size=7)
    data = BytesIO()
    metadata = {"CreationDate": None, "Producer": None, "Creator": "spinelift"}
    figure.savefig(data, format="pdf", metadata=metadata)
    return data.getvalue()


def _row(entry: Measured) -> tuple[str, str, str]:
    """Name, value and interval."""
    sign = {"deg": "°", "deg/cm": "°/cm"}.get(entry.unit.value, f" {entry.unit.value}")
    bounds = "" if entry.interval is None else "{:.1f} to {:.1f}".format(*entry.interval) + sign
    return entry.name.meaning, f"{entry.value:.1f}{sign}", bounds
