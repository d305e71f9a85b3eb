"""A lateral vertebral view with its centre line and curves that were aligned with it."""

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from spinelift.geometry import PixelGrid, Spacing
from spinelift.geometry.arrays import Float, Float32
from spinelift.report import RESEARCH_USE

COLOURS = ("#ffa94d", "#74c0fc", "#8ce99a")
"""Of the curves, in order."""


def lateral_png(
    image: Float32, spacing: Spacing, line: Float, curves: Mapping[str, Float], *, title: str
) -> bytes:
    """Picture of a view [H, W] with its centre line, and of curves aligned with it, and their difference.

    ``line`` and ``curves`` are points [n, 2] (y, z), mm from the centre of the image's first pixel.
    """
    y0, y1, z0, z1 = PixelGrid.of_scan(spacing, image.shape).extent_mm
    figure = Figure((7.4, 7.6), dpi=110, layout="constrained")
    view, apart = figure.subplots(1, 2, sharey=True, width_ratios=(1.4, 1))
    view.imshow(image, cmap="gray", extent=(y0, y1, z1, z0), interpolation="bilinear")
    view.plot(*line.T, color="white", lw=1.0, label="LVA, centre line")
    for (name, curve), colour in zip(curves.items(), COLOURS, strict=False):
        view.plot(*curve.T, color=colour, lw=1.4, label=name)
        inside = (curve[:, 1] >= line[0, 1]) & (curve[:, 1] <= line[-1, 1])
        y, z = curve[inside].T
        apart.plot(y - np.interp(z, line[:, 1], line[:, 0]), z, color=colour, lw=1.6, label=name)
    view.legend(loc="lower right", fontsize=7)
    view.set_xlim(y0, y1)
    view.set_ylim(z1, z0)
    view.set_xlabel("y, mm (to posterior)", size=8)
    view.set_ylabel("z, mm (to the feet)", size=8)
    apart.axvline(0, color="#5f6b7a", lw=0.8)
    apart.set_xlabel("curve − LVA, mm", size=8)
    apart.grid(True, color="#e6ebf0", lw=0.6)
    figure.suptitle(f"{title}\nShape after rigid alignment. {RESEARCH_USE}", size=8)
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": "spinelift"})
    return data.getvalue()
