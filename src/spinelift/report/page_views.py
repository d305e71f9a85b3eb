"""The three views of the page of a result, as SVG in millimetres of the paper.

Lines differ in dashes and brightness, so that no line needs its colour.
"""

import base64
import io
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from PIL import Image

from spinelift.curves import Curve
from spinelift.geometry.arrays import Float, Float32
from spinelift.measures import CurveMeasures
from spinelift.report.scene import SpineScene
from spinelift.report.style import BLUE, INK, ORANGE, SKY, SOFT, YELLOW

FONT = "'spinelift page', 'Helvetica Neue', Helvetica, Arial, sans-serif"
VIEWS_WIDTH, FRONT_WIDTH, NAMES_WIDTH, TOP_WIDTH = 124.0, 70.0, 7.0, 60.0
"""Both panels with the names of the levels between them; the front view; the names; the top view. mm."""
ABOVE_MM, BELOW_MM = 22.0, 22.0
"""Height of the body that is shown beyond the spine."""
MAX_PLAUSIBLE = 12
MAX_SCALE = 0.8
"""Of the top view: paper over body."""
TOP_ROOM = 22.0, 13.0
"""Room for the letters and names of the top view, across and along."""


@dataclass(frozen=True)
class _Panel:
    """A rectangle on the paper: mm of the body to mm of the paper, rightwards and downwards."""

    left: float
    width: float
    height: float
    scale: float
    origin: tuple[float, float]
    """Body's coordinates of the upper left corner."""

    def xy(self, x: Float, y: Float) -> list[tuple[float, float]]:
        """Positions on the paper."""
        px, py = self.left + (x - self.origin[0]) * self.scale, (y - self.origin[1]) * self.scale
        return list(zip(px.tolist(), py.tolist(), strict=True))

    def points(self, x: Float, y: Float) -> str:
        """The same as SVG writes them."""
        return " ".join(f"{a:.2f},{b:.2f}" for a, b in self.xy(x, y))

    def line(self, x: Float, y: Float, name: str, **style: object) -> str:
        """A polyline of a class."""
        return f'<polyline class="{name}" points="{self.points(x, y)}" {_look(fill="none", **style)}/>'

    def band(self, low: Float, high: Float, y: Float, name: str, **style: object) -> str:
        """The area between two lines of the same heights."""
        outline = self.points(np.r_[low, high[::-1]], np.r_[y, y[::-1]])
        return f'<polygon class="{name}" points="{outline}" {_look(**style)}/>'

    def corners(self, left: str, right: str, colour: str) -> list[str]:
        """Sides of the patient in the upper corners."""
        look = {"fill": colour, "font_size": 4, "font_weight": "bold"}
        return [
            _text(self.left + 2, 5.2, left, **look),
            _text(self.left + self.width - 2, 5.2, right, text_anchor="end", **look),
        ]

    def bar(self, mm: float, colour: str) -> list[str]:
        """A scale bar in the lower right corner."""
        x, y = self.left + self.width - 2.5, self.height - 2.5
        start = x - mm * self.scale
        look = _look(stroke=colour, stroke_width=0.7)
        return [
            f'<line x1="{start:.2f}" y1="{y}" x2="{x}" y2="{y}" {look}/>',
            _text(x, y - 1, f"{mm:.0f} mm", fill=colour, font_size=2.4, text_anchor="end"),
        ]

    def frame(self) -> str:
        """The border."""
        size = f'x="{self.left}" y="0" width="{self.width}" height="{self.height}"'
        return f"<rect {size} {_look(fill='none', stroke='#9aa7b5', stroke_width=0.2)}/>"


def views_svg(scene: SpineScene, height: float) -> Markup:
    """Front view on the scan and side view, on one scale; ``height`` of the panels, mm of the paper."""
    z = scene.curves.z_mm
    head = z[0] - ABOVE_MM
    scale = height / (z[-1] + BELOW_MM - head)
    image, (right, _, head, _) = scene.region(
        side_mm=FRONT_WIDTH / scale / 2, margin_mm=ABOVE_MM, below_mm=BELOW_MM
    )
    front = _Panel(0.0, FRONT_WIDTH, height, scale, (right, head))
    start = FRONT_WIDTH + NAMES_WIDTH
    width = VIEWS_WIDTH - start
    mm = scene.curves.mm
    middle = (mm[Curve.ANTERIOR].min() + mm[Curve.POSTERIOR].max()) / 2
    side = _Panel(start, width, height, scale, (middle - width / scale / 2, head))
    names = [
        _text(
            FRONT_WIDTH + NAMES_WIDTH / 2, (level - head) * scale + 0.8, name.name,
            fill=INK, font_size=2.3, text_anchor="middle",
        )
        for name, level in scene.levels_mm.items()
    ]  # fmt: skip
    parts = [*_front(scene, front, image), *names, *_side(scene, side)]
    return _svg("views", (VIEWS_WIDTH, height), "Front view on the scan, and side view", parts)


def _front(scene: SpineScene, panel: _Panel, image: Float32) -> list[str]:
    mm, z = scene.curves.mm, scene.curves.z_mm
    centre = mm[Curve.CENTRE]
    parts = [
        f'<image href="{_data_url(image)}" x="0" y="0" width="{panel.width}" height="{panel.height}" '
        'preserveAspectRatio="none"/>'
    ]
    for curve in (Curve.LEFT, Curve.RIGHT):
        name = f"front {curve.name.lower()}"
        parts.append(panel.line(mm[curve], z, f"{name} halo", stroke="#000", stroke_width=0.7))
        parts.append(
            panel.line(mm[curve], z, name, stroke=YELLOW, stroke_width=0.32, stroke_dasharray="1.4 0.7")
        )
    if scene.half_width_mm is not None:
        half = scene.half_width_mm[Curve.CENTRE]
        parts.append(panel.band(centre - half, centre + half, z, "front interval", fill=SKY))
    parts.append(panel.line(centre, z, "front centre halo", stroke="#000", stroke_width=0.75))
    parts.append(panel.line(centre, z, "front centre", stroke=ORANGE, stroke_width=0.42))
    for level in scene.levels_mm.values():
        x = np.interp(level, z, centre) + np.array([-3.5, 3.5])
        parts.append(panel.line(x, np.full(2, level), "front level", stroke="#fff", stroke_width=0.25))
    main = scene.measures.main
    if main is not None:
        parts += _angle(panel, main, z, centre)
    return [*parts, *panel.corners("R", "L", "#fff"), *panel.bar(50, "#fff"), panel.frame()]


def _angle(panel: _Panel, main: CurveMeasures, z: Float, centre: Float) -> list[str]:
    """Lines upper end–apex–lower end, and their angle on the convex side."""
    heights = np.array([main.upper_end_mm, main.apex_mm, main.lower_end_mm])
    x = np.interp(heights, z, centre)
    parts = [
        panel.line(x, heights, "angle halo", stroke="#000", stroke_width=0.7),
        panel.line(x, heights, "angle", stroke="#fff", stroke_width=0.35, stroke_dasharray="0.4 0.5"),
    ]
    for px, py in panel.xy(x, heights):
        look = _look(fill="#fff", stroke="#000", stroke_width=0.25)
        parts.append(f'<circle cx="{px:.2f}" cy="{py:.2f}" r="0.75" {look}/>')
    side = 1 if main.direction == "left" else -1
    words = [
        (f"{main.ferguson_deg.value:.1f}°", 3.6, "bold"),
        (f"apex {main.apex}", 2.4, "normal"),
        (f"convex {main.direction}", 2.4, "normal"),
    ]
    px, py = panel.xy(x, heights)[1]
    edge, top = px + side * 9, py - 5.2
    box = _look(fill="#000", fill_opacity=0.72)
    left = edge if side > 0 else edge - 19
    parts.append(f'<rect x="{left:.2f}" y="{top:.2f}" width="19" height="11" rx="0.8" {box}/>')
    for k, (text, size, weight) in enumerate(words):
        y = top + (4, 7, 9.9)[k]
        parts.append(_text(left + 1.3, y, text, fill="#fff", font_size=size, font_weight=weight))
    return parts


def _side(scene: SpineScene, panel: _Panel) -> list[str]:
    mm, z = scene.curves.mm, scene.curves.z_mm
    centre, front, back = mm[Curve.SAGITTAL], mm[Curve.ANTERIOR], mm[Curve.POSTERIOR]
    parts = [panel.band(front, back, z, "side column", fill="#e2e6ea")]
    for curve in (Curve.ANTERIOR, Curve.POSTERIOR):
        parts.append(
            panel.line(
                mm[curve], z, f"side {curve.name.lower()}", stroke=SOFT, stroke_width=0.25,
                stroke_dasharray="1.4 0.7",
            )
        )  # fmt: skip
    if scene.half_width_mm is not None:
        half = scene.half_width_mm[Curve.SAGITTAL]
        parts.append(
            panel.band(
                centre - half, centre + half, z, "side interval", fill=SKY, fill_opacity=0.35, stroke=BLUE,
                stroke_width=0.2,
            )
        )  # fmt: skip
    for other in scene.plausible[:MAX_PLAUSIBLE]:
        line = other.mm[Curve.SAGITTAL]
        parts.append(
            panel.line(line, z, "side plausible", stroke="#3c4650", stroke_width=0.1, stroke_opacity=0.5)
        )
    if scene.mean is not None:
        parts.append(
            panel.line(
                scene.mean.mm[Curve.SAGITTAL], z, "side mean", stroke="#000", stroke_width=0.4,
                stroke_dasharray="1.8 0.6 0.4 0.6",
            )
        )  # fmt: skip
    parts.append(panel.line(centre, z, "side centre", stroke=ORANGE, stroke_width=0.6))
    for level in scene.levels_mm.values():
        y = np.interp(level, z, centre) + np.array([-3.0, 3.0])
        parts.append(panel.line(y, np.full(2, level), "side level", stroke=INK, stroke_width=0.25))
    return [*parts, *panel.corners("A", "P", INK), *panel.bar(50, INK), panel.frame()]


def top_svg(scene: SpineScene, height: float) -> Markup:
    """The centre line from above, as on an axial slice: right on the left, anterior at the top.

    Ellipses are the 90 % intervals at T1, L5 and the apex of the main curve.
    """
    mm, z = scene.curves.mm, scene.curves.z_mm
    lines = mm[[Curve.CENTRE, Curve.SAGITTAL]]
    main = scene.measures.main
    marked = {"T1": z[0], "L5": z[-1]} | ({f"apex {main.apex}": main.apex_mm} if main else {})
    at = np.array([[np.interp(level, z, line) for level in marked.values()] for line in lines])
    half = np.zeros_like(at)
    if scene.half_width_mm is not None:
        widths = scene.half_width_mm[[Curve.CENTRE, Curve.SAGITTAL]]
        half = np.array([[np.interp(level, z, width) for level in marked.values()] for width in widths])
    reach = np.concatenate([lines, at - half, at + half], 1)
    low, high = reach.min(1), reach.max(1)
    room = np.array([TOP_WIDTH, height]) - TOP_ROOM
    scale = float(min(MAX_SCALE, *(room / np.maximum(high - low, 1.0))))
    x0, y0 = (low + high) / 2 - np.array([TOP_WIDTH, height]) / 2 / scale
    panel = _Panel(0.0, TOP_WIDTH, height, scale, (x0, y0))
    parts = []
    for (px, py), (rx, ry) in zip(panel.xy(*at), half.T * scale, strict=True):
        look = _look(fill=SKY, fill_opacity=0.35, stroke=BLUE, stroke_width=0.2)
        parts.append(f'<ellipse cx="{px:.2f}" cy="{py:.2f}" rx="{rx:.2f}" ry="{ry:.2f}" {look}/>')
    parts.append(panel.line(lines[0], lines[1], "top centre", stroke=ORANGE, stroke_width=0.6))
    middle = at[0].mean()
    for name, x, (px, py), wide in zip(marked, at[0], panel.xy(*at), half[0] * scale, strict=True):
        parts.append(f'<circle cx="{px:.2f}" cy="{py:.2f}" r="0.8" {_look(fill=INK)}/>')
        away, anchor = (wide + 1.2, "start") if x >= middle else (-wide - 1.2, "end")
        parts.append(_text(px + away, py + 0.8, name, fill=INK, font_size=2.4, text_anchor=anchor))
    bold: dict[str, object] = {"fill": INK, "font_size": 3.6, "font_weight": "bold"}
    letters = [
        _text(2, height / 2 + 1.2, "R", **bold),
        _text(TOP_WIDTH - 2, height / 2 + 1.2, "L", text_anchor="end", **bold),
        _text(TOP_WIDTH / 2, 4.6, "A", text_anchor="middle", **bold),
        _text(TOP_WIDTH / 2, height - 1.8, "P", text_anchor="middle", **bold),
    ]
    return _svg(
        "top", (TOP_WIDTH, height), "Top view", [*parts, *letters, *panel.bar(10, INK), panel.frame()]
    )


def _svg(name: str, size: tuple[float, float], title: str, parts: list[str]) -> Markup:
    width, height = size
    return Markup(  # numbers, and texts that are escaped
        f'<svg xmlns="http://www.w3.org/2000/svg" id="{name}" role="img" aria-label="{title}" '
        f'viewBox="0 0 {width} {height}" width="{width}mm" height="{height}mm" font-family="{FONT}">'
        + "".join(parts)
        + "</svg>"
    )


def _text(x: float, y: float, words: object, **style: object) -> str:
    return f'<text x="{x:.2f}" y="{y:.2f}" {_look(**style)}>{escape(words)}</text>'


def _look(**style: object) -> str:
    return " ".join(f'{name.replace("_", "-")}="{value}"' for name, value in style.items())


def _data_url(image: Float32) -> str:
    """A grey picture [H, W], 0 to 255, as a PNG in a URL."""
    data = io.BytesIO()
    Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(data, "PNG")
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
