"""Front view of the overlay: curves, levels and the main angle on the scan."""

import numpy as np
from matplotlib.axes import Axes

from spinelift.curves import Curve
from spinelift.measures import CurveMeasures
from spinelift.report.scene import SpineScene
from spinelift.report.style import INK_SIZE, ORANGE, SKY, YELLOW, halo, scale_bar, sides

TICK_MM = 3.0
"""Half length of a level's mark on the centre line."""


def draw_front(axes: Axes, scene: SpineScene) -> None:
    """Draw the coronal curves, mm, on axes that show the scan."""
    mm, z = scene.curves.mm, scene.curves.z_mm
    centre = mm[Curve.CENTRE]
    for curve, label in ((Curve.LEFT, "edges of the spine"), (Curve.RIGHT, None)):
        axes.plot(mm[curve], z, color=YELLOW, lw=0.9, ls=(0, (4, 2)), path_effects=halo(), label=label)
    if scene.half_width_mm is not None:
        half = scene.half_width_mm[Curve.CENTRE]
        label = "90 % interval of the centre line"
        axes.fill_betweenx(z, centre - half, centre + half, color=SKY, alpha=0.85, lw=0, label=label)
    axes.plot(centre, z, color=ORANGE, lw=1.1, label="centre line")
    heights = np.array(list(scene.levels_mm.values()))
    x = np.interp(heights, z, centre)
    axes.hlines(heights, x - TICK_MM, x + TICK_MM, color="white", lw=0.7, path_effects=halo(width=1.2))
    main = scene.measures.main
    if main is not None:
        _main_angle(axes, main, z, centre)
    axes.set_title("Front view on the scan", size=INK_SIZE + 1, pad=4)
    axes.set_xlabel("x, mm (to the patient's left)", size=INK_SIZE)
    axes.set_ylabel("z, mm (to the feet)", size=INK_SIZE, labelpad=2)
    sides(axes, "R", "L", colour="white", path_effects=halo())
    _legend(axes)
    right, _, feet, _ = axes.images[0].get_extent()
    scale_bar(axes, right + 62, feet - 72, "white", path_effects=halo())


def _main_angle(axes: Axes, main: CurveMeasures, z: np.ndarray, centre: np.ndarray) -> None:
    """Lines upper end–apex–lower end, and their angle on the convex side."""
    heights = np.array([main.upper_end_mm, main.apex_mm, main.lower_end_mm])
    x = np.interp(heights, z, centre)
    axes.plot(
        x, heights, color="white", lw=0.8, ls=(0, (1, 1.2)), marker="D", ms=3.2, mfc="white", mec="black",
        mew=0.6, path_effects=halo(width=1.4), label="modified Ferguson angle of the main curve",
    )  # fmt: skip
    side = 1 if main.direction == "left" else -1
    angle, bounds = main.ferguson_deg.value, main.ferguson_deg.interval90
    words = f"{angle:.1f}°\n" + (f"({bounds[0]:.1f} to {bounds[1]:.1f})\n" if bounds else "")
    words += f"apex {main.apex}\n{main.upper_end} to {main.lower_end}\nconvex {main.direction}"
    axes.text(
        x[1] + side * 42, heights[1], words, color="white", size=INK_SIZE, va="center",
        ha="left" if side > 0 else "right", linespacing=1.25,
        bbox={"boxstyle": "round,pad=0.3", "fc": "#000000b0", "ec": "none"},
    )  # fmt: skip


def _legend(axes: Axes) -> None:
    legend = axes.legend(
        loc="lower left", fontsize=INK_SIZE - 0.8, framealpha=0.75, facecolor="black", edgecolor="none",
        labelcolor="white", handlelength=2.2, borderaxespad=0.6,
    )  # fmt: skip
    legend.set_zorder(5)
