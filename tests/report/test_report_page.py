"""report.html and report.pdf: sides, one page, escaped texts, and nothing that is fetched."""

import base64
import io
import re
import socket
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from report_cases import bent, needs_pango, pdf_pages, scene

from spinelift.curves import Curve, SpineCurves
from spinelift.errors import MissingExtraError
from spinelift.report.page import MAX_CURVES, page_html, page_pdf
from spinelift.report.page_views import FRONT_WIDTH, TOP_WIDTH, VIEWS_WIDTH

HOSTILE = "<script src=http://example.org/a.js></script><img src=http://example.org/b.png>&\"'"


@pytest.fixture(scope="module")
def html():
    return page_html(scene(mean=scene().curves, image_share=0.3, bundle_sha256="ab" * 32))


def lines(html, name):
    """Positions of the polylines of a class, mm of the paper [n, 2]."""
    found = re.findall(rf'<polyline class="{name}" points="([^"]*)"', html)
    return [np.array([point.split(",") for point in one.split()], float) for one in found]


def letters(html, svg):
    """Letter → its x and y, of the one-letter texts of a drawing."""
    drawing = re.search(rf'<svg [^>]*id="{svg}".*?</svg>', html, re.DOTALL)[0]
    found = re.findall(r'<text x="([\d.-]+)" y="([\d.-]+)"[^>]*>([A-Z])</text>', drawing)
    return {letter: (float(x), float(y)) for x, y, letter in found}


class Texts(HTMLParser):
    """Names of the tags, values of the attributes, and texts."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.values, self.texts = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.values += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]

    def handle_data(self, data):
        self.texts.append(data)


def test_left_and_right_front_and_back(html):
    """T1 lies to the patient's left and the front of L5; left is on the right, as on the scan."""
    (front,), (side,), (top,) = (lines(html, f"{view} centre") for view in ("front", "side", "top"))
    assert front[0, 0] > front[-1, 0] + 3
    assert side[0, 0] < side[-1, 0] - 3
    assert top[0, 0] > top[-1, 0] + 3
    assert top[0, 1] < top[-1, 1] - 3, "anterior is at the top"
    (left,), (right,) = lines(html, "front left"), lines(html, "front right")
    assert (left[:, 0] > front[:, 0]).all()
    assert (right[:, 0] < front[:, 0]).all()
    views, top_view = letters(html, "views"), letters(html, "top")
    assert views["R"][0] < FRONT_WIDTH / 2 < views["L"][0] < FRONT_WIDTH
    assert FRONT_WIDTH < views["A"][0] < (FRONT_WIDTH + VIEWS_WIDTH) / 2 < views["P"][0]
    assert top_view["R"][0] < TOP_WIDTH / 2 < top_view["L"][0]
    assert top_view["A"][1] < top_view["P"][1]


def test_a_mirrored_spine_gives_a_mirrored_page(html):
    mm, frame = scene().curves.mm, scene().curves.frame
    middle = mm[Curve.CENTRE].mean()
    mirrored = np.stack([*(2 * middle - mm[[Curve.RIGHT, Curve.CENTRE, Curve.LEFT]]), *mm[3:]])
    other = page_html(scene(curves=SpineCurves.from_mm(mirrored, frame)))
    (one,), (two,) = lines(html, "front centre"), lines(other, "front centre")
    np.testing.assert_allclose(one[:, 0] - one[:, 0].mean(), two[:, 0].mean() - two[:, 0], atol=0.02)
    np.testing.assert_allclose(one[:, 1], two[:, 1], atol=0.02)


def test_the_curves_lie_on_the_scan():
    """A scan that is bright along the centre line alone is bright beneath the drawn line."""
    picture = scene()
    spacing = picture.curves.frame.spacing
    image = np.zeros_like(picture.image)
    columns = np.rint(picture.curves.mm[Curve.CENTRE] / spacing.col_mm).astype(int)
    rows = picture.curves.z_mm / spacing.row_mm
    for row in range(int(rows[0]), int(rows[-1]) + 1):
        column = int(np.interp(row, rows, columns))
        image[row, column - 2 : column + 3] = 255
    html = page_html(scene(image=image))
    width, height = (
        float(re.search(rf'<image [^>]* {name}="([\d.]+)"', html)[1]) for name in ("width", "height")
    )
    data = re.search(r'<image href="data:image/png;base64,([^"]*)"', html)[1]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    (front,) = lines(html, "front centre")
    x, y = front[5:-5].T
    assert (
        pixels[(y / height * pixels.shape[0]).astype(int), (x / width * pixels.shape[1]).astype(int)].min()
        > 150
    )


def test_warnings_come_first_and_are_text():
    html = page_html(scene(scan_id=HOSTILE, warnings=(f"cut spine {HOSTILE}",)))
    page = Texts(html)
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert all(value.startswith("data:") for value in page.values)
    assert not re.search(r"url\(", html)
    texts = " ".join(page.texts)
    assert HOSTILE in texts
    first = [texts.index(word) for word in ("Warning", "Front view", "Modified Ferguson angle", "Screening")]
    assert first == sorted(first)
    assert texts.count("cut spine") == 1, "not among the reasons again"


def test_what_a_reader_must_know_is_on_the_page(html):
    texts = " ".join(" ".join(Texts(html).texts).split())
    found = scene().measures
    kyphosis = f"{found.kyphosis_deg.value:.1f}°".replace("-", "−")
    for wanted in (
        "Research use only", "fake 1", "ab" * 32, "1234567_2", "Side view: 30 % from this image", "supine",
        f"{found.ferguson_deg.value:.1f}°", kyphosis, "31 ± 8° [2]", "T1", "L5",
        "mean of people like this", "90 % interval", *found.screening.reasons,
    ):  # fmt: skip
        assert wanted in texts
    assert found.screening.reasons
    assert "No warnings" in page_html(scene(warnings=()))
    assert "not calibrated" in page_html(scene(half_width_mm=None, plausible=()))


def test_the_largest_curves_are_listed():
    found = scene(curves=bent()).measures
    template = found.curves[0]
    angles = [3.0, 9.0, 1.0, 2.0, 5.0, 8.0, 4.0]
    curves = tuple(
        template.model_copy(
            update={"ferguson_deg": template.ferguson_deg.model_copy(update={"value": angle})}
        )
        for angle in angles
    )
    html = page_html(scene(measured=found.model_copy(update={"curves": curves})))
    rows = re.findall(r'<td class="n">([\d.]+)°</td><td class="n">[^<]*</td><td class="n">', html)
    assert [float(row) for row in rows] == [3.0, 9.0, 5.0, 8.0, 4.0]
    assert len(rows) == MAX_CURVES
    assert "2 smaller curves" in html


@needs_pango
@pytest.mark.parametrize("paper", ["A4", "letter"])
def test_one_page_even_with_all_there_can_be(paper):
    found = scene(curves=bent()).measures
    long = tuple(f"warning {k} " + "WIDE WORDS " * 40 for k in range(9))
    screening = found.screening.model_copy(
        update={"reasons": (*long, *(f"{k} " + "REASON " * 60 for k in range(9)))}
    )
    measured = found.model_copy(update={"curves": found.curves[:1] * 9, "screening": screening})
    limits = ("Simulated people only, and " + "no others " * 30,)
    full = page_html(
        scene(scan_id="W" * 100, warnings=long, measured=measured, limits=limits, made_by="b" * 60)
    )
    assert pdf_pages(page_pdf(full, paper=paper)) == 1


@needs_pango
def test_the_pdf_repeats_and_nothing_is_fetched(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    html = page_html(scene(scan_id=HOSTILE))
    data = page_pdf(html)
    assert data == page_pdf(html)
    assert data.startswith(b"%PDF")
    assert pdf_pages(data) == 1
    assert b"CreationDate" not in data
    outside = html.replace(
        "</body>", '<img src="http://example.org/b.png"><img src="file:///etc/hostname"></body>'
    )
    assert b"/Subtype /Image" in page_pdf(outside)


def test_without_weasyprint_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "weasyprint", None)
    with pytest.raises(MissingExtraError, match=r"spinelift\[report\]"):
        page_pdf("<p>")
