"""Side view of the overlay: the sagittal curves with their interval, beside the mean of people like this."""

import numpy as np
from matplotlib.axes import Axes

from spinelift.curves import Curve
from spinelift.report.scene import SpineScene
from spinelift.report.style import BLUE, INK, INK_SIZE, ORANGE, SKY, scale_bar, sides

MAX_PLAUSIBLE = 12
"""Most plausible spines that are drawn."""
TICK_MM = 2.5


def draw_side(axes: Axes, scene: SpineScene, *, width_mm: float) -> None:
    """Draw the sagittal curves, mm, with the spine in the middle of ``width_mm``."""
    mm, z = scene.curves.mm, scene.curves.z_mm
    centre = mm[Curve.SAGITTAL]
    axes.set_axisbelow(True)
    axes.grid(True, color="#e3e8ee", lw=0.4)
    front, back = mm[Curve.ANTERIOR], mm[Curve.POSTERIOR]
    axes.fill_betweenx(z, front, back, color="#e2e6ea", lw=0)
    for curve, label in ((front, "edges of the vertebral bodies"), (back, None)):
        axes.plot(curve, z, color="#5f6b7a", lw=0.7, ls=(0, (4, 2)), label=label)
    if scene.half_width_mm is not None:
        half = scene.half_width_mm[Curve.SAGITTAL]
        label = "90 % interval of the centre line"
        axes.fill_betweenx(
            z, centre - half, centre + half, facecolor=SKY + "55", edgecolor=BLUE, lw=0.6, label=label
        )
    for k, other in enumerate(scene.plausible[:MAX_PLAUSIBLE]):
        label = "plausible spines" if k == 0 else None
        axes.plot(other.mm[Curve.SAGITTAL], z, color="#3c4650", lw=0.3, alpha=0.5, label=label)
    if scene.mean is not None:
        mean = scene.mean.mm[Curve.SAGITTAL]
        axes.plot(mean, z, color="black", lw=1.0, ls=(0, (5, 1.5, 1, 1.5)), label="mean of people like this")
    axes.plot(centre, z, color=ORANGE, lw=1.5, label="centre line")
    heights = np.array(list(scene.levels_mm.values()))
    y = np.interp(heights, z, centre)
    axes.hlines(heights, y - TICK_MM, y + TICK_MM, color=INK, lw=0.6)
    share = scene.share_sentence.replace(", ", ",\n")
    axes.set_title(share or "Side view, predicted", size=INK_SIZE + 1, pad=4)
    axes.set_xlabel("y, mm (to posterior)", size=INK_SIZE)
    middle = (front.min() + back.max()) / 2
    axes.set_xlim(middle - width_mm / 2, middle + width_mm / 2)
    sides(axes, "A", "P", colour=INK)
    axes.legend(
        loc="lower left", fontsize=INK_SIZE - 0.8, framealpha=0.85, edgecolor="none", handlelength=2.2,
        borderaxespad=0.6,
    ).set_zorder(5)  # fmt: skip
    scale_bar(axes, middle - width_mm / 2 + 62, z[-1] + 95 - 72, INK)
