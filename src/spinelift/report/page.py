"""``report.html`` and ``report.pdf``: one page a patient, of one A4 or Letter sheet.

The HTML is one file without scripts. The PDF is made of it by WeasyPrint, with the fonts that matplotlib
ships, so that it does not depend on those of the machine. Nothing is fetched.
"""

import logging
from bisect import bisect
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from math import ceil
from typing import TYPE_CHECKING, Any

import jinja2
import matplotlib
from PIL import ImageFont

from spinelift.errors import MissingExtraError
from spinelift.measures import CurveMeasures, Measured
from spinelift.report import RESEARCH_USE
from spinelift.report.page_views import FONT, VIEWS_WIDTH, top_svg, views_svg
from spinelift.report.scene import SpineScene
from spinelift.version import __version__

if TYPE_CHECKING:
    from weasyprint.urls import URLFetcher

MEASURES = {
    "ferguson_deg": ("Modified Ferguson angle", "front", "scoliosis from 10°; none below 6° [1]"),
    "cobb_equivalent_deg": ("Cobb-equivalent, tangents", "front", ""),
    "kyphosis_deg": ("Kyphosis T4–T12, tangents", "side", "31 ± 8° [2]"),
    "lordosis_deg": ("Lordosis L1–L5, tangents", "side", "25 ± 13° [2]"),
    "coronal_offset_mm": ("T1 over L5, to the left", "front", ""),
    "sagittal_offset_mm": ("T1 over L5, to posterior", "side", ""),
}
"""Name on the page, view, and values of supine adults, of the measures of the whole spine."""
CLASSES = {"none": "below 6°", "6-10": "6 to 10°", ">=10": "10° or more"}
MAX_CURVES, MAX_NOTES = 5, 4
WARNING_LINES, REASON_LINES = 2, 1
"""What is shown of curves, warnings and reasons, and lines of one; ``curves.json`` has all of it."""
VIEWS_HEIGHT, LEAST_HEIGHT, LINE = 138.0, 76.0, 3.5
"""Height of the views when there is room, the least one, and height of a line of text; mm of the paper."""
LINE_MM, NOTE_PT = 172.0, 7.4
"""Width of a line of the notes, less what its last word may leave free, and their size."""
FONT_PX = 64
ABOVE_TOP = 72.0
"""Height of the right column without the top view, mm of the paper."""
_PDF_STYLE = """
@font-face {{ font-family: 'spinelift page'; src: url({folder}/DejaVuSans.ttf); }}
@font-face {{ font-family: 'spinelift page'; font-weight: bold; src: url({folder}/DejaVuSans-Bold.ttf); }}
@page {{ size: {paper}; }}
"""


def page_html(scene: SpineScene) -> str:
    """The page of a spine, the same text for the same spine."""
    found = scene.measures
    reasons = [reason for reason in found.screening.reasons if reason not in scene.warnings]
    largest = sorted(range(len(found.curves)), key=lambda k: -found.curves[k].ferguson_deg.value)
    curves = [found.curves[k] for k in sorted(largest[:MAX_CURVES])]
    rows = [
        (name, _value(value, unit), _interval(value, unit), view, reference)
        for key, (name, view, reference) in MEASURES.items()
        for value, unit in [(getattr(found, key), "°" if key.endswith("deg") else " mm")]
    ]
    length = float(scene.curves.z_mm[-1] - scene.curves.z_mm[0])
    rows.append(("Height T1 to L5", f"{length:.0f} mm", "", "front", ""))
    warnings = _shown(scene.warnings, WARNING_LINES)
    reasons = _shown(reasons, REASON_LINES)
    # Notes beyond two lines, curves beyond two rows and long ids take their room from the views.
    lines = sum(map(_lines, (*warnings, *reasons))) + bool(warnings) + bool(reasons)
    extra = max(lines - 2, 0) + 1.4 * max(len(curves) - 2, 0) + len(scene.scan_id) // 50
    height = round(max(VIEWS_HEIGHT - LINE * extra, LEAST_HEIGHT), 1)
    template = (files("spinelift.report") / "assets" / "page.html").read_text("utf-8")
    return jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(template).render(
        font=FONT,
        scan_id=scene.scan_id,
        warnings=warnings,
        reasons=reasons,
        views=views_svg(scene, height),
        views_width=VIEWS_WIDTH,
        top=top_svg(scene, max(height - ABOVE_TOP, 24.0)),
        share=scene.share_sentence,
        finding=CLASSES[found.screening.finding],
        chances=_chances(found.screening.probability),
        side_chance=found.screening.direction_probability,
        change=found.screening.minimal_detectable_change_deg,
        main=found.main,
        angle=_value(found.ferguson_deg, "°"),
        interval=_interval(found.ferguson_deg, "°"),
        rows=rows,
        curves=[_curve(c, is_main=c is found.main) for c in curves],
        hidden_curves=len(found.curves) - len(curves),
        has_mean=scene.mean is not None,
        has_plausible=bool(scene.plausible),
        has_interval=scene.half_width_mm is not None,
        limit=_cut(scene.limits[0], 1) if scene.limits else "",
        made_by=scene.made_by,
        sha256=scene.bundle_sha256,
        version=__version__,
        research_use=RESEARCH_USE,
    )  # fmt: skip


def page_pdf(html: str, *, paper: str = "A4") -> bytes:
    """The page as PDF on A4 or Letter, the same bytes for the same page.

    Raises MissingExtraError without WeasyPrint, or without the Pango library that it needs.
    """
    try:
        from weasyprint import CSS, HTML
    except (ModuleNotFoundError, OSError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name != "weasyprint":
            raise
        has_package = isinstance(error, OSError)
        raise MissingExtraError(
            found="no Pango library" if has_package else "no package weasyprint",
            expected="WeasyPrint and Pango, which make the PDF",
            do="Install Pango, on Debian and Ubuntu: apt-get install libpango-1.0-0 libpangoft2-1.0-0"
            if has_package
            else "Run: pip install 'spinelift[report]'",
        ) from None
    from weasyprint.text.fonts import FontConfiguration

    for name in ("weasyprint", "fontTools"):
        logging.getLogger(name).setLevel(logging.ERROR)
    fonts = FontConfiguration()
    folder = f"file://{matplotlib.get_data_path()}/fonts/ttf"
    style = CSS(string=_PDF_STYLE.format(folder=folder, paper=paper), font_config=fonts)
    page = HTML(string=html, url_fetcher=_no_fetcher())
    data = page.write_pdf(stylesheets=[style], font_config=fonts)
    assert data is not None
    return bytes(data)


@cache
def _no_fetcher() -> "URLFetcher":
    """Of the addresses in a page only data URLs are read."""
    from weasyprint.urls import URLFetcher

    return URLFetcher(allowed_protocols=("data",))


def _lines(text: str) -> int:
    """Lines that a note takes on the page."""
    return ceil(_font().getlength(text) / FONT_PX * NOTE_PT / 72 * 25.4 / LINE_MM)


@cache
def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", FONT_PX)


def _cut(text: str, lines: int) -> str:
    """The text, or its beginning that fills so many lines."""
    if _lines(text) <= lines:
        return text
    return text[: bisect(range(len(text)), lines, key=lambda n: _lines(text[:n] + " …")) - 1] + " …"


def _shown(texts: Iterable[str], lines: int) -> list[str]:
    """The first texts, shortened, and how many there are besides."""
    shown = [_cut(text, lines) for text in texts]
    if len(shown) > MAX_NOTES:
        shown = [*shown[: MAX_NOTES - 1], f"{len(shown) - MAX_NOTES + 1} more are in curves.json."]
    return shown


def _value(measured: Measured, unit: str) -> str:
    return f"{measured.value:.1f}{unit}".replace("-", "−")


def _interval(measured: Measured, unit: str) -> str:
    if measured.interval90 is None:
        return ""
    low, high = measured.interval90
    return f"{low:.1f} to {high:.1f}{unit}".replace("-", "−")


def _chances(probability: Mapping[Any, float] | None) -> list[tuple[str, int]]:
    """Class and probability in per cent; empty without plausible spines."""
    if probability is None:
        return []
    return [(words, round(100 * probability[name])) for name, words in CLASSES.items()]


def _curve(curve: CurveMeasures, *, is_main: bool) -> dict[str, object]:
    """Texts of a row of the table of curves."""
    return {
        "is_main": is_main,
        "type": curve.type.value,
        "side": curve.direction,
        "levels": f"{curve.upper_end} – {curve.lower_end}",
        "apex": curve.apex,
        "ferguson": _value(curve.ferguson_deg, "°"),
        "ferguson_interval": _interval(curve.ferguson_deg, "°"),
        "cobb": _value(curve.cobb_equivalent_deg, "°"),
        "cobb_levels": " – ".join(curve.cobb_levels),
        "plane": _value(curve.curvature_plane_deg, "°"),
        "torsion": _value(curve.torsion_deg_per_cm, "°/cm"),
    }
