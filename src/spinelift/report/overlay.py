"""``overlay.png``, ``.svg``, ``.pdf``: the scan with the coronal curves on it, beside the side view.

The figure has the same size for everyone, 178 mm × 229 mm, so that it fits a page of a journal; scale bars
show its scale. Colours are of the palette of Okabe and Ito (2008), and lines differ in dashes and brightness.
"""

import io
import textwrap
from collections.abc import Iterable

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from spinelift.report import RESEARCH_USE
from spinelift.report.front_view import draw_front
from spinelift.report.scene import SpineScene
from spinelift.report.side_view import draw_side
from spinelift.report.style import INK, INK_SIZE, SOFT, WARN

DPI = 300
WIDTH_IN, HEIGHT_IN = 7.0, 9.0
LEFT, RIGHT, TOP, BOTTOM, GUTTER = 0.5, 0.12, 0.82, 0.5, 0.34
"""Margins of the panels and the space between them, inches."""
FRONT_SHARE = 0.53
"""Width of the front view over that of both panels."""
ABOVE_MM, BELOW_MM = 30.0, 95.0
"""Height that is shown beyond the spine; the legends are below it."""
SHOWN_BELOW_MM = 20.0
"""Part of it that a contact sheet shows."""
FRONT_KEY = "spinelift front view"
"""Text of the PNG with the pixels that a contact sheet shows."""
NOTE_CHARS, NOTE_IN, MAX_NOTES = 142, 0.125, 7
"""Longest line of the notes, height of one, and how many are shown."""
STYLE = {"svg.hashsalt": "spinelift", "svg.fonttype": "path", "pdf.fonttype": 42, "path.simplify": True}
"""The same scene gives the same bytes."""


def overlay_files(scene: SpineScene, formats: Iterable[str]) -> dict[str, bytes]:
    """The figure by format: png (300 dpi), svg, pdf."""
    figure = overlay_figure(scene)
    return {kind: _saved(figure, kind) for kind in formats}


def overlay_png(scene: SpineScene) -> bytes:
    """The figure as PNG, 2100 × 2700 pixels."""
    return overlay_files(scene, ("png",))["png"]


def overlay_figure(scene: SpineScene) -> Figure:
    """Two panels on the same scale and height axis, mm as in ``curves.json``."""
    notes = _notes(scene)
    bottom = BOTTOM + NOTE_IN * len(notes)
    high, wide = HEIGHT_IN - TOP - bottom, WIDTH_IN - LEFT - GUTTER - RIGHT
    z = scene.curves.z_mm
    mm_per_in = (z[-1] - z[0] + ABOVE_MM + BELOW_MM) / high
    front_in, side_in = wide * FRONT_SHARE, wide * (1 - FRONT_SHARE)
    figure = Figure((WIDTH_IN, HEIGHT_IN), dpi=DPI, facecolor="white")
    front, side = (
        figure.add_axes((x / WIDTH_IN, bottom / HEIGHT_IN, across / WIDTH_IN, high / HEIGHT_IN))
        for x, across in ((LEFT, front_in), (LEFT + front_in + GUTTER, side_in))
    )
    image, (right, left, head, feet) = scene.region(
        side_mm=front_in * mm_per_in / 2, margin_mm=ABOVE_MM, below_mm=BELOW_MM
    )
    front.imshow(
        image, cmap="gray", vmin=0, vmax=255, extent=(right, left, feet, head), interpolation="bilinear"
    )
    draw_front(front, scene)
    front.set_xlim(right, left)
    draw_side(side, scene, width_mm=side_in * mm_per_in)
    for axes in (front, side):
        axes.set_ylim(z[-1] + BELOW_MM, z[0] - ABOVE_MM)
        axes.tick_params(colors=SOFT, labelsize=INK_SIZE - 1, length=2.5, width=0.5)
        for spine in axes.spines.values():
            spine.set(color="#9aa7b5", linewidth=0.5)
    side.tick_params(labelleft=False)
    _level_names(figure, front, side, scene)
    _words(figure, scene, notes)
    return figure


def _level_names(figure: Figure, front: Axes, side: Axes, scene: SpineScene) -> None:
    """Names of the levels between the panels, at their common heights."""
    x = (front.get_position().x1 + side.get_position().x0) / 2
    (low, high), box = front.get_ylim(), front.get_position()
    for level, z in scene.levels_mm.items():
        y = box.y0 + (z - low) / (high - low) * box.height
        figure.text(x, y, level.name, color=INK, size=INK_SIZE - 0.5, ha="center", va="center")


def _words(figure: Figure, scene: SpineScene, notes: list[tuple[str, str]]) -> None:
    x = LEFT / WIDTH_IN
    figure.text(x, 1 - 0.26 / HEIGHT_IN, "3D spine from one DXA", color=INK, size=11, weight="bold")
    about = f"{scene.scan_id}   T1 to L5, supine"
    figure.text(x, 1 - 0.45 / HEIGHT_IN, about, color=SOFT, size=INK_SIZE)
    for k, (text, colour) in enumerate(notes):
        y = (0.1 + NOTE_IN * (len(notes) - 1 - k)) / HEIGHT_IN
        figure.text(x, y, text, color=colour, size=INK_SIZE - 1)


def _notes(scene: SpineScene) -> list[tuple[str, str]]:
    """Lines beneath the panels and their colours: warnings, the first limit of the card, bundle and use."""
    warnings: list[str] = []
    for warning in scene.warnings:
        warnings += textwrap.wrap(f"Warning: {warning}", NOTE_CHARS, subsequent_indent="   ")
    if len(warnings) > MAX_NOTES:
        warnings = [*warnings[: MAX_NOTES - 1], "   More warnings are in curves.json."]
    made_by = f"Model {scene.made_by}. " if scene.made_by else ""
    limit = [f"Limits: {scene.limits[0]} (all of them: spinelift info)"] if scene.limits else []
    return [
        *((line, WARN) for line in warnings),
        *((line, SOFT) for line in [*limit, made_by + RESEARCH_USE]),
    ]


def _front_box(figure: Figure, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Pixels of the front view from its top to just below the spine: left, top, right, bottom."""
    rows, columns = shape
    box, below = figure.axes[0].get_position(), figure.axes[0].get_ylim()
    share = (BELOW_MM - SHOWN_BELOW_MM) / (below[0] - below[1])
    top, bottom = (1 - box.y1) * rows, (1 - box.y0 - share * box.height) * rows
    return round(box.x0 * columns) + 2, round(top) + 2, round(box.x1 * columns) - 2, round(bottom)


def _saved(figure: Figure, kind: str) -> bytes:
    data = io.BytesIO()
    if kind == "png":
        # Without the opacity and hardly compressed: half of the time of savefig.
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pixels = np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])
        about = PngInfo()
        about.add_text("Software", "spinelift")
        about.add_text(FRONT_KEY, " ".join(map(str, _front_box(figure, pixels.shape[:2]))))
        Image.fromarray(pixels).save(data, "PNG", compress_level=1, dpi=(DPI, DPI), pnginfo=about)
        return data.getvalue()
    names = {"svg": ("Date",), "pdf": ("Producer", "CreationDate")}[kind]
    with rc_context(STYLE):
        figure.savefig(data, format=kind, metadata={"Creator": "spinelift", **dict.fromkeys(names)})
    return data.getvalue()
