"""``overlay.png``: the scan with the coronal curves on it, beside the side view of the spine."""

import io
import textwrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spinelift.curves import Curve
from spinelift.report import RESEARCH_USE
from spinelift.report.scene import SpineScene

INK, SOFT, PAPER = "#1d2733", "#5f6b7a", "#ffffff"
LINE, EDGE, BAND, BODY = "#d9480f", "#f59f00", "#f08c4b", "#dfe7ef"
ON_SCAN, ON_SCAN_EDGE = "#ffa94d", "#ffe066"
INCHES_PER_MM = 1 / 84.0
"""Scale of the picture; the fonts suit it."""
MAX_PLAUSIBLE = 12
"""Most plausible spines that are drawn."""
MIN_HALF_DEPTH_MM, DEPTH_MARGIN_MM = 85.0, 18.0
"""Least half width of the side view, and its margin around the spine."""


def overlay_png(scene: SpineScene) -> bytes:
    """The figure of the two views as PNG."""
    data = io.BytesIO()
    overlay_figure(scene).savefig(data, format="png", metadata={"Software": "spinelift"})
    return data.getvalue()


def overlay_figure(scene: SpineScene) -> Figure:
    """Two panels on the same scale and height axis, mm as in ``curves.json``."""
    image, (right, left, head, feet) = scene.region(side_mm=105.0, margin_mm=30.0)
    y_low, y_high = _sagittal_limits(scene)
    w, d, h = ((b - a) * INCHES_PER_MM for a, b in ((right, left), (y_low, y_high), (head, feet)))
    notes = _notes(scene)
    pad_left, pad_mid, pad_right, pad_top = 0.75, 0.5, 0.3, 1.0
    pad_bottom = 1.08 + 0.17 * len(notes)
    total_w, total_h = pad_left + w + pad_mid + d + pad_right, pad_top + h + pad_bottom
    figure = Figure((total_w, total_h), dpi=130, facecolor=PAPER)
    front, side = (
        figure.add_axes((x / total_w, pad_bottom / total_h, across / total_w, h / total_h))
        for x, across in ((pad_left, w), (pad_left + w + pad_mid, d))
    )
    edges = (right, left, feet, head)
    front.imshow(image, cmap="gray", vmin=0, vmax=255, extent=edges, interpolation="bilinear")
    _front(front, scene)
    _side(side, scene)
    for axes, (low, high) in ((front, (right, left)), (side, (y_low, y_high))):
        axes.set_xlim(low, high)
        axes.set_ylim(feet, head)
        axes.tick_params(colors=SOFT, labelsize=8, length=3)
        for spine in axes.spines.values():
            spine.set_color("#c5ced8")
    side.set_yticklabels([])
    left_x = pad_left / total_w
    figure.text(left_x, 1 - 0.32 / total_h, "3D spine from one DXA", color=INK, size=13, weight="bold")
    figure.text(left_x, 1 - 0.55 / total_h, f"{scene.scan_id}   T1 to L5, supine", color=SOFT, size=8.5)
    for k, note in enumerate(notes):
        colour = SOFT if k == len(notes) - 1 else "#a13b00"
        figure.text(left_x, (0.12 + 0.17 * (len(notes) - 1 - k)) / total_h, note, color=colour, size=6.5)
    return figure


def _front(axes: Axes, scene: SpineScene) -> None:
    mm, z = scene.curves.mm, scene.curves.z_mm
    if scene.half_width_mm is not None:
        half = scene.half_width_mm[Curve.CENTRE]
        axes.fill_betweenx(z, mm[Curve.CENTRE] - half, mm[Curve.CENTRE] + half, color=BAND, alpha=0.45, lw=0)
    for curve in (Curve.LEFT, Curve.RIGHT):
        axes.plot(mm[curve], z, color=ON_SCAN_EDGE, lw=0.9, alpha=0.9)
    axes.plot(mm[Curve.CENTRE], z, color=ON_SCAN, lw=1.6)
    axes.set_title("Front view on the scan", color=INK, size=9.5, pad=6)
    axes.set_xlabel("x, mm (to the patient's left)", color=SOFT, size=8)
    axes.set_ylabel("z, mm (to the feet)", color=SOFT, size=8)
    _sides(axes, "R", "L", colour="white", inset=0.03)


def _side(axes: Axes, scene: SpineScene) -> None:
    mm, z = scene.curves.mm, scene.curves.z_mm
    axes.set_facecolor("#fafbfc")
    axes.grid(True, color="#e6ebf0", lw=0.6)
    axes.set_axisbelow(True)
    axes.fill_betweenx(z, mm[Curve.ANTERIOR], mm[Curve.POSTERIOR], color=BODY, lw=0, label="vertebral column")
    for curve in (Curve.ANTERIOR, Curve.POSTERIOR):
        axes.plot(mm[curve], z, color="#90a4b8", lw=0.9)
    if scene.half_width_mm is not None:
        half = scene.half_width_mm[Curve.SAGITTAL]
        low, high = mm[Curve.SAGITTAL] - half, mm[Curve.SAGITTAL] + half
        axes.fill_betweenx(z, low, high, color=BAND, alpha=0.35, lw=0, label="90 % interval")
    for k, other in enumerate(scene.plausible[:MAX_PLAUSIBLE]):
        label = "plausible spines" if k == 0 else None
        axes.plot(other.mm[Curve.SAGITTAL], z, color="#7a4a2b", lw=0.4, alpha=0.35, label=label)
    axes.plot(mm[Curve.SAGITTAL], z, color=LINE, lw=1.8, label="centre line")
    style = {"color": INK, "size": 8, "weight": "bold", "ha": "center"}
    for row, name, align, step in ((0, "T1", "bottom", -4.0), (-1, "L5", "top", 4.0)):
        axes.text(mm[Curve.SAGITTAL, row], z[row] + step, name, style, va=align)
    axes.set_title("Side view, lifted", color=INK, size=9.5, pad=6)
    axes.set_xlabel("y, mm (to posterior)", color=SOFT, size=8)
    _sides(axes, "A", "P", colour=SOFT, inset=0.04)
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.085), ncols=2, fontsize=7, frameon=False,
        labelcolor=SOFT, handlelength=1.4, columnspacing=1.0,
    )  # fmt: skip


def _sides(axes: Axes, left: str, right: str, *, colour: str, inset: float) -> None:
    """Sides of the patient, in the upper corners of a view."""
    style = {"transform": axes.transAxes, "color": colour, "size": 12, "weight": "bold", "va": "top"}
    axes.text(inset, 0.985, left, style, ha="left")
    axes.text(1 - inset, 0.985, right, style, ha="right")


def _sagittal_limits(scene: SpineScene) -> tuple[float, float]:
    mm = scene.curves.mm
    low, high = mm[Curve.ANTERIOR].min(), mm[Curve.POSTERIOR].max()
    if scene.half_width_mm is not None:
        half = scene.half_width_mm[Curve.SAGITTAL]
        low = min(low, (mm[Curve.SAGITTAL] - half).min())
        high = max(high, (mm[Curve.SAGITTAL] + half).max())
    centre, reach = (low + high) / 2, max((high - low) / 2 + DEPTH_MARGIN_MM, MIN_HALF_DEPTH_MM)
    return float(centre - reach), float(centre + reach)


def _notes(scene: SpineScene) -> list[str]:
    lines: list[str] = []
    for warning in scene.warnings:
        lines += textwrap.wrap(f"Warning: {warning}", 112, subsequent_indent="   ")
    made_by = f"Model {scene.made_by}. " if scene.made_by else ""
    return [*lines, f"{made_by}{RESEARCH_USE}"]
