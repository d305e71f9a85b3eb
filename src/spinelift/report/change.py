"""Picture of two visits: both centre lines in the front and the side view."""

import io
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from spinelift.curves import Curve, mm_from_json
from spinelift.report import RESEARCH_USE

VISITS = (("#1c7ed6", "-"), ("#d9480f", "--"))
"""Colour and stroke of the first and the second visit, which differ without colour too."""
VIEWS = {
    Curve.CENTRE: ("coronal_mm", "Front view", "x, mm (to the patient's left)"),
    Curve.SAGITTAL: ("sagittal_mm", "Side view", "y, mm (to posterior)"),
}


def change_png(documents: tuple[Mapping[str, Any], Mapping[str, Any]], text: str) -> bytes:
    """Two ``curves.json`` with the change in words beneath.

    Each line is moved so that its mean position is zero, and L5's lower endplate at height zero; not turned.
    """
    lines = text.splitlines()
    bottom = 0.09 + 0.021 * len(lines)
    figure = Figure((7.4, 8.6), dpi=130)
    axes = figure.subplots(1, 2, sharey=True)
    figure.subplots_adjust(0.1, bottom, 0.97, 0.93, 0.08)
    for panel, (curve, (view, title, label)) in zip(axes, VIEWS.items(), strict=True):
        for document, (colour, stroke), visit in zip(documents, VISITS, ("first", "second"), strict=True):
            z, mm = mm_from_json(document)
            height, middle = z[-1] - z, mm[curve].mean()
            if bounds := document.get("interval90"):
                low, high = zip(*bounds[view]["centre"], strict=True)
                panel.fill_betweenx(height, low - middle, high - middle, color=colour, alpha=0.15, lw=0)
            name = f"{visit}: {document['scan_id']}"
            panel.plot(mm[curve] - middle, height, stroke, color=colour, lw=1.6, label=name)
        panel.set_title(title, size=10)
        panel.set_xlabel(label, size=8)
        panel.grid(True, color="#e6ebf0", lw=0.6)
        panel.set_aspect("equal", adjustable="datalim")
    axes[0].set_ylabel("height above L5's lower endplate, mm", size=8)
    axes[1].legend(fontsize=7, loc="upper right", title="band: 90 % interval", title_fontsize=7)
    figure.text(0.1, 0.02, f"{text}\n{RESEARCH_USE}", size=7.5, va="bottom")
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": "spinelift"})
    return data.getvalue()
