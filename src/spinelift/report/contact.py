"""``contact.html`` and ``contact.png``: all results of a folder, the largest Ferguson angle first."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from spinelift.curves import Curve, mm_from_json
from spinelift.measures import SpineMeasures
from spinelift.report import OVERLAY, PAGE, RESEARCH_USE
from spinelift.report.overlay import FRONT_KEY
from spinelift.report.page import CLASSES
from spinelift.report.style import ORANGE, SOFT, WARN, YELLOW
from spinelift.version import __version__

SIZE = 200, 370
"""Pixels of a picture."""
DRAWN_MM = 620.0
"""Height of what is drawn where there is no overlay."""
COLUMNS, CAPTION, GAP = 8, 64, 8
"""Of the PNG: pictures in a row, height of the words beneath one, and space between them, pixels."""
JPEG_QUALITY = 82


@dataclass(frozen=True)
class Card:
    """One result: its measures and warnings, a picture of ``SIZE``, and a link to its page or None."""

    scan_id: str
    measures: SpineMeasures
    warnings: tuple[str, ...]
    picture: Image.Image
    link: str | None = None

    @property
    def angle(self) -> str:
        """Modified Ferguson angle in words."""
        return f"{self.measures.ferguson_deg.value:.1f}°"

    @property
    def interval(self) -> str:
        """Its 90 % interval, or nothing."""
        bounds = self.measures.ferguson_deg.interval90
        return f"{bounds[0]:.1f} to {bounds[1]:.1f}°" if bounds else ""

    @property
    def finding(self) -> str:
        """Class of the screening."""
        return CLASSES[self.measures.screening.finding]

    @property
    def data(self) -> str:
        """The picture as JPEG, base64."""
        data = io.BytesIO()
        self.picture.save(data, "JPEG", quality=JPEG_QUALITY)
        return base64.b64encode(data.getvalue()).decode()


def make_card(folder: Path, document: Mapping[str, Any], measures: SpineMeasures) -> Card:
    """The card of a result: the front view of its overlay, else the lines of its ``curves.json``."""
    link = f"{quote(folder.name)}/{PAGE}" if (folder / PAGE).is_file() else None
    picture = _front_of(folder / OVERLAY) or _drawn(document)
    return Card(
        str(document.get("scan_id", folder.name)),
        measures,
        tuple(map(str, document.get("warnings", ()))),
        picture,
        link,
    )


def contact_html(cards: Sequence[Card], total: int) -> str:
    """The sheet as one file; ``total`` results are in the folder."""
    template = (files("spinelift.report") / "assets" / "contact.html").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(template).render(
        cards=cards, total=total, size=SIZE, version=__version__, research_use=RESEARCH_USE
    )


def contact_png(cards: Sequence[Card]) -> bytes:
    """The same cards as a picture, row by row."""
    across, down = SIZE[0] + GAP, SIZE[1] + CAPTION + GAP
    columns = max(1, min(COLUMNS, len(cards)))
    rows = -(-len(cards) // columns)
    sheet = Image.new("RGB", (columns * across + GAP, rows * down + GAP + 20), "white")
    draw = ImageDraw.Draw(sheet)
    bold, plain = (
        ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans{kind}.ttf", size)
        for kind, size in (("-Bold", 17), ("", 12))
    )
    for k, card in enumerate(cards):
        x, y = GAP + k % columns * across, GAP + k // columns * down
        sheet.paste(card.picture, (x, y))
        count = len(card.warnings)
        lines = [
            (card.angle, bold, "black"),
            (_fit(card.scan_id, plain), plain, "black"),
            (f"{count} warning{'' if count == 1 else 's'}" if count else "", plain, WARN),
        ]
        for line, (text, font, colour) in enumerate(lines):
            draw.text((x + 2, y + SIZE[1] + (2, 24, 42)[line]), text, colour, font)
        words = f"90 %: {card.interval}" if card.interval else ""
        draw.text((x + SIZE[0], y + SIZE[1] + 6), words, SOFT, plain, anchor="ra")
    draw.text((GAP, sheet.height - 20), f"{RESEARCH_USE} spinelift {__version__}", SOFT, plain)
    data = io.BytesIO()
    sheet.save(data, "PNG", optimize=True)
    return data.getvalue()


def _fit(text: str, font: ImageFont.FreeTypeFont) -> str:
    """The text, or its beginning and end that are as wide as a picture."""
    if font.getlength(text) <= SIZE[0]:
        return text
    kept = next(
        n for n in range(len(text) // 2, 0, -1) if font.getlength(f"{text[:n]}…{text[-n:]}") <= SIZE[0]
    )
    return f"{text[:kept]}…{text[-kept:]}"


def _front_of(overlay: Path) -> Image.Image | None:
    """Front view of an ``overlay.png``; None without one that says where it is."""
    try:
        with Image.open(overlay, formats=("PNG",)) as picture:
            left, top, right, bottom = map(int, picture.info[FRONT_KEY].split())
            return _letters(_inside(picture.convert("RGB").crop((left, top, right, bottom))))
    except (OSError, KeyError, ValueError, AttributeError, SyntaxError):
        return None


def _drawn(document: Mapping[str, Any]) -> Image.Image:
    """Coronal curves on black, the patient's left on the right."""
    try:
        z, mm = mm_from_json(document)
    except (KeyError, TypeError, ValueError):
        return Image.new("RGB", SIZE, "black")
    scale = SIZE[1] / DRAWN_MM
    middle = (mm[Curve.RIGHT].min() + mm[Curve.LEFT].max()) / 2
    x = (mm - middle) * scale + SIZE[0] / 2
    y = (z - z.mean()) * scale + SIZE[1] / 2
    picture = Image.new("RGB", SIZE, "black")
    draw = ImageDraw.Draw(picture)
    for curve, colour, width in (
        (Curve.LEFT, YELLOW, 1), (Curve.RIGHT, YELLOW, 1), (Curve.CENTRE, ORANGE, 3)
    ):  # fmt: skip
        draw.line(np.stack([x[curve], y], 1).ravel().tolist(), colour, width)
    return _letters(picture)


def _inside(picture: Image.Image) -> Image.Image:
    """A picture within ``SIZE``, on black."""
    picture.thumbnail(SIZE, Image.Resampling.LANCZOS, reducing_gap=3.0)
    whole = Image.new("RGB", SIZE, "black")
    whole.paste(picture, ((SIZE[0] - picture.width) // 2, (SIZE[1] - picture.height) // 2))
    return whole


def _letters(picture: Image.Image) -> Image.Image:
    """With the sides of the patient."""
    font = ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans-Bold.ttf", 16)
    draw = ImageDraw.Draw(picture)
    for x, letter, anchor in ((5, "R", "ld"), (SIZE[0] - 5, "L", "rd")):
        draw.text((x, SIZE[1] - 3), letter, "white", font, anchor=anchor, stroke_width=2, stroke_fill="black")
    return picture
