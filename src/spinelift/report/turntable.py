"""``spine.gif``: the spine rotating about its long axis, with the scan behind it.

The spine is a stack of axis-aligned ellipses and the projection is horizontal and parallel, so each picture
row shows exactly one ellipse, which rays intersect in closed form.
"""

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

from spinelift.curves import ellipses_mm, resample_rows
from spinelift.geometry.arrays import Float, Float32, UInt8
from spinelift.report import RESEARCH_USE
from spinelift.report.scene import UNCERTAIN_MM, SpineScene, uncertainty_colour

FRAMES = 40
FRAME_MS = 80
SIZE = (400, 620)
"""Columns and rows of the GIF."""
_TOP, _BOTTOM, _WORDS = 46, 84, 44
"""Rows above and below the spine, and rows of the words at the bottom."""
_BACKGROUND = (14, 19, 29)
_SCAN_TINT = np.array([0.38, 0.44, 0.54], np.float32)
_LIGHT = np.array([-0.45, 0.75, 0.48])
"""Direction to the light: picture right, towards the viewer, up."""
_AMBIENT, _DIFFUSE, _SPECULAR = 0.28, 0.78, 70.0
"""Phong shading: factors of the colour, and grey levels of the highlight, whose exponent is 18."""
_LINE_COLOUR, _LINE_OPACITY, _LINE_HALF_PX = np.array([40, 26, 22], np.float32), 0.75, 1.3
_EDGE_ON, _FADE = 0.02, 2.5
"""The scan is left out where the cosine of the angle is less, and dimmed below the inverse of the second."""


@dataclass(frozen=True)
class _Stage:
    """The spine by picture row, centred on its axis, mm; and the scan's plane."""

    mm_per_px: float
    z0: float
    rows: slice
    centre: Float32
    axes: Float32
    slope: Float32
    growth: Float32
    colour: Float32
    scan: Float32
    scan_x0: float
    scan_step: float
    plane_y: float


def turntable_gif(scene: SpineScene, *, frames: int = FRAMES) -> bytes:
    """Looping GIF of one full turn, starting from the front."""
    stage = _stage(scene)
    angles = np.linspace(0, 2 * np.pi, frames, endpoint=False)
    words = _words(scene)
    pictures = [_annotate(render(stage, angle), words, angle) for angle in angles]
    strip = np.concatenate([np.asarray(p) for p in pictures[:: max(frames // 4, 1)]], 1)
    palette = Image.fromarray(strip[::2, ::2]).quantize(255, method=Image.Quantize.MEDIANCUT)
    indexed = [p.quantize(palette=palette, dither=Image.Dither.NONE) for p in pictures]
    data = io.BytesIO()
    options = {"append_images": indexed[1:], "duration": FRAME_MS, "loop": 0, "optimize": False}
    indexed[0].save(data, "GIF", save_all=True, **options)
    return data.getvalue()


def _stage(scene: SpineScene) -> _Stage:
    rows, z, mm = SIZE[1], scene.curves.z_mm, scene.curves.mm
    scan, (right, left, head, feet) = scene.region(side_mm=100.0, margin_mm=12.0)
    mm_per_px = (feet - head) / (rows - _TOP - _BOTTOM)
    z_rows: Float = head + (np.arange(rows, dtype=np.float64) - _TOP + 0.5) * mm_per_px
    inside = np.flatnonzero((z_rows >= z[0]) & (z_rows <= z[-1]))
    part = slice(int(inside[0]), int(inside[-1]) + 1)
    centres, axes = ellipses_mm(resample_rows(z, mm, z_rows[part]))
    axes = np.maximum(axes, 1.0)
    middle = np.array([(right + left) / 2, centres[:, 1].mean()])
    colour = resample_rows(z, scene.colours.T, z_rows[part]).T
    scan_z: Float = head + (np.arange(len(scan), dtype=np.float64) + 0.5) * (feet - head) / len(scan)
    scan_rows = resample_rows(scan_z, scan.T.astype(np.float64), z_rows).T.astype(np.float32)
    scan_rows[(z_rows < head) | (z_rows > feet)] = 0
    step = (left - right) / scan.shape[1]
    slope, growth = (np.gradient(v, mm_per_px, axis=0) for v in (centres, axes))
    moved: list[Float32] = [v.astype(np.float32) for v in (centres - middle, axes, slope, growth, colour)]
    return _Stage(
        mm_per_px=float(mm_per_px), z0=float(z_rows[0]), rows=part,
        centre=moved[0], axes=moved[1], slope=moved[2], growth=moved[3], colour=moved[4],
        scan=scan_rows, scan_x0=right + step / 2 - middle[0], scan_step=step,
        plane_y=scene.plane_y_mm - middle[1],
    )  # fmt: skip


def render(stage: _Stage, angle: float) -> UInt8:
    """Picture [rows, cols, 3] from the front (0) turned by ``angle``; at 90° the patient's right side."""
    cols, rows = SIZE
    u: Float32 = (np.arange(cols, dtype=np.float32) - (cols - 1) / 2) * stage.mm_per_px
    picture = np.tile(np.array(_BACKGROUND, np.float32), (rows, cols, 1))
    behind = np.cos(angle) >= 0
    if behind:
        _add_scan(picture, stage, angle, u, 1.0)
    _draw_spine(picture[stage.rows], stage, angle, u)
    if not behind:
        _add_scan(picture, stage, angle, u, 0.5)
    return np.clip(picture, 0, 255, out=picture).astype(np.uint8)


def _add_scan(picture: Float32, stage: _Stage, angle: float, u: Float32, strength: float) -> None:
    cos, sin = np.cos(angle), np.sin(angle)
    if abs(cos) < _EDGE_ON:
        return
    index = ((u + stage.plane_y * sin) / cos - stage.scan_x0) / stage.scan_step
    columns = np.flatnonzero((index >= 0) & (index <= stage.scan.shape[1] - 1))
    if len(columns) == 0:
        return
    window = slice(int(columns[0]), int(columns[-1]) + 1)
    left = np.minimum(index[window].astype(int), stage.scan.shape[1] - 2)
    part = (index[window] - left).astype(np.float32)
    grey = stage.scan[:, left] * (1 - part) + stage.scan[:, left + 1] * part
    grey *= strength * min(1.0, abs(cos) * _FADE)
    picture[:, window] += grey[..., None] * _SCAN_TINT


def _draw_spine(picture: Float32, stage: _Stage, angle: float, u: Float32) -> None:
    """Draw the ellipses into picture rows [n, cols, 3], shaded, with soft edges, and the centre line."""
    right = np.array([np.cos(angle), -np.sin(angle)], np.float32)
    toward = np.array([-np.sin(angle), -np.cos(angle)], np.float32)
    a, b = stage.axes[:, :1], stage.axes[:, 1:]
    half = np.hypot(a * right[0], b * right[1])
    offset = u[None] - (stage.centre @ right)[:, None]
    columns = np.flatnonzero((np.abs(offset) < half + stage.mm_per_px).any(0))
    window = slice(int(columns[0]), int(columns[-1]) + 1)
    offset = offset[:, window]
    cover = np.clip((half - np.abs(offset)) / stage.mm_per_px + 0.5, 0, 1)
    offset = np.clip(offset, -0.999 * half, 0.999 * half)
    # Ray p = offset · right + t · toward on the unit circle of the scaled plane: a quadratic in t.
    px, py = right[0] / a, right[1] / b
    dx, dy = toward[0] / a, toward[1] / b
    qa, qb = dx**2 + dy**2, (px * dx + py * dy) * offset
    qc = (px**2 + py**2) * offset**2 - 1
    t = (-qb + np.sqrt(np.maximum(qb**2 - qa * qc, 0))) / qa
    x, y = offset * right[0] + t * toward[0], offset * right[1] + t * toward[1]
    gx, gy = x / a**2, y / b**2
    gz = -(gx * stage.slope[:, :1] + gy * stage.slope[:, 1:])
    gz = gz - (x**2 / a**3 * stage.growth[:, :1] + y**2 / b**3 * stage.growth[:, 1:])
    norm = np.sqrt(gx**2 + gy**2 + gz**2)
    # In the picture's axes: right, toward the viewer, up (gz grows to the feet).
    n_right = (gx * right[0] + gy * right[1]) / norm
    n_toward = (gx * toward[0] + gy * toward[1]) / norm
    n_up = -gz / norm
    light = (_LIGHT / np.linalg.norm(_LIGHT)).astype(np.float32)
    diffuse = np.maximum(n_right * light[0] + n_toward * light[1] + n_up * light[2], 0)
    bright = _AMBIENT + _DIFFUSE * diffuse
    square = np.square(np.maximum(diffuse * 2 * n_toward - light[1], 0))
    shine = _SPECULAR * square * np.square(np.square(np.square(square)))
    surface = stage.colour[:, None] * bright[..., None] + shine[..., None]
    away = np.abs(u[None, window] - (stage.centre @ right)[:, None]) / stage.mm_per_px
    line = np.clip(_LINE_HALF_PX - away, 0, 1)
    surface += (_LINE_COLOUR - surface) * (_LINE_OPACITY * line)[..., None]
    picture[:, window] += (surface - picture[:, window]) * cover[..., None]


def _annotate(pixels: UInt8, words: UInt8, angle: float) -> Image.Image:
    """The picture with the words above and below it, and the compass of the patient's sides."""
    pixels[:_TOP], pixels[-_WORDS:] = words[:_TOP], words[-_WORDS:]
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    cols, rows = SIZE
    for name, x, y in (("L", 1, 0), ("R", -1, 0), ("P", 0, 1), ("A", 0, -1)):
        across = x * np.cos(angle) - y * np.sin(angle)
        depth = -(x * np.sin(angle) + y * np.cos(angle))
        grey = int(150 + 90 * depth) if depth > -0.3 else 70
        position = (cols / 2 + across * 52, rows - 62 + 9 * depth)
        draw.text(position, name, (grey, grey, grey + 15), _font(14), anchor="mm")
    draw.ellipse((cols / 2 - 36, rows - 68, cols / 2 + 36, rows - 56), outline=(70, 82, 100))
    return picture


def _words(scene: SpineScene) -> UInt8:
    """What is written on every frame, on the background [rows, cols, 3]."""
    cols, rows = SIZE
    picture = Image.new("RGB", SIZE, _BACKGROUND)
    draw = ImageDraw.Draw(picture)
    draw.text((14, 10), "3D spine from one DXA", (236, 240, 245), _font(15))
    draw.text((14, 28), scene.scan_id, (140, 152, 168), _font(11))
    if scene.half_width_mm is not None:
        _legend(picture, draw, _font(11))
    draw.text((cols / 2, rows - 9), RESEARCH_USE, (110, 122, 138), _font(10), anchor="ms")
    return np.asarray(picture)


def _legend(picture: Image.Image, draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont) -> None:
    cols, rows = SIZE
    width, y = 120, rows - 36
    scale = uncertainty_colour(np.linspace(0, UNCERTAIN_MM, width))
    bar = np.tile(scale.round().astype(np.uint8), (6, 1, 1))
    picture.paste(Image.fromarray(bar), ((cols - width) // 2, y))
    ink = (160, 171, 186)
    draw.text(((cols - width) / 2 - 6, y + 3), "depth ± 0", ink, font, anchor="rm")
    draw.text(((cols + width) / 2 + 6, y + 3), f"{UNCERTAIN_MM:.0f} mm (90 %)", ink, font, anchor="lm")


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which is installed with matplotlib."""
    return ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
