"""Colours and sizes of the figures, and what both views draw alike."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.patheffects import Stroke, withStroke

INK, SOFT, WARN = "#1d2733", "#4d5a69", "#a13b00"
ORANGE, SKY, BLUE, YELLOW = "#d55e00", "#56b4e9", "#0072b2", "#f0e442"
"""Of the palette of Okabe and Ito."""
INK_SIZE = 7.0
"""Points."""
SCALE_MM = 50.0
"""Length of the scale bars."""


def halo(colour: str = "black", width: float = 1.6) -> list[Stroke]:
    """Outline that keeps a line or a letter visible on any background."""
    return [withStroke(linewidth=width, foreground=colour, alpha=0.75)]


def scale_bar(axes: Axes, x_mm: float, z_mm: float, colour: str, **style: Any) -> None:
    """A bar of 50 mm that ends at ``x_mm``, with its length above it."""
    axes.plot([x_mm - SCALE_MM, x_mm], [z_mm, z_mm], color=colour, lw=2.0, solid_capstyle="butt", **style)
    axes.text(
        x_mm - SCALE_MM / 2,
        z_mm - 3,
        f"{SCALE_MM:.0f} mm",
        color=colour,
        size=INK_SIZE - 0.5,
        ha="center",
        **style,
    )


def sides(axes: Axes, left: str, right: str, *, colour: str, **style: Any) -> None:
    """Sides of the patient, in the upper corners of a view."""
    look = {"transform": axes.transAxes, "color": colour, "size": 10, "weight": "bold", "va": "top", **style}
    axes.text(0.03, 0.985, left, ha="left", **look)
    axes.text(0.97, 0.985, right, ha="right", **look)
