import io
import re

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from PIL import Image
from report_cases import bent, scene

from spinelift.curves import Curve
from spinelift.report.overlay import DPI, overlay_figure, overlay_files, overlay_png


def texts(figure):
    return [text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text")) if text.get_text()]


@pytest.fixture(scope="module")
def figure():
    return overlay_figure(
        scene(curves=bent(), mean=scene().curves, image_share=0.3, limits=("Simulated people only.", "More."))
    )


def test_a_300_dpi_picture_of_a_page_with_and_without_uncertainty():
    for picture in (scene(), scene(half_width_mm=None, plausible=(), warnings=())):
        image = Image.open(io.BytesIO(overlay_png(picture)))
        assert image.size == (2100, 2700)
        assert image.info["dpi"] == pytest.approx((DPI, DPI), abs=0.1)
        assert np.asarray(image).std() > 20


def test_every_format_repeats_and_names_no_host_that_is_asked():
    files = overlay_files(scene(), ("png", "svg", "pdf"))
    assert files == overlay_files(scene(), ("png", "svg", "pdf"))
    assert files["pdf"].startswith(b"%PDF")
    svg = files["svg"].decode()
    assert not re.search(r'(href|src)="http', svg)
    assert 'width="504pt"' in svg


def test_sides_in_the_picture():
    pixels = np.asarray(Image.open(io.BytesIO(overlay_png(scene()))).convert("L"), int)
    assert pixels[1250, 1000:1100].mean() > pixels[1250, 180:280].mean() + 60, "left is on the right"
    front, side = overlay_figure(scene()).axes
    assert front.get_xlim()[0] < front.get_xlim()[1], "x grows to the patient's left, on the right"
    assert side.get_xlim()[0] < side.get_xlim()[1], "y grows to posterior, on the right"
    for axes, letters in ((front, "RL"), (side, "AP")):
        places = {text.get_text(): text.get_position()[0] for text in axes.texts if len(text.get_text()) == 1}
        assert places[letters[0]] < 0.5 < places[letters[1]]
        line = next(one for one in axes.lines if one.get_label() == "centre line").get_xdata()
        assert (line[0] > line[-1]) == (axes is front), "T1 to the left and the front of L5"


def test_the_main_angle_is_written_on_its_convex_side(figure):
    front = figure.axes[0]
    words = next(text for text in front.texts if "convex" in text.get_text())
    assert "convex left" in words.get_text()
    assert "apex" in words.get_text()
    assert words.get_position()[0] > bent().mm[Curve.CENTRE].max()


def test_what_a_reader_must_know_is_in_the_figure(figure):
    words = "\n".join(texts(figure)).replace("\n", " ")
    for wanted in (
        "90 % interval of the centre line", "side view: 30 % from this image, 70 % from people like this",
        "mean of people like this", "edges of the spine", "50 mm", "T1", "L5",
        "Limits: Simulated people only.",
        "Research use only", "Warning: a <b>warning</b> & more",
    ):  # fmt: skip
        assert wanted in words
    for axes in figure.axes:
        assert axes.get_legend() is not None
        assert any(isinstance(part, PolyCollection) for part in axes.collections)


def test_every_warning_has_room():
    figure = overlay_figure(scene(warnings=tuple(f"warning {k} " + "of many words " * 12 for k in range(12))))
    assert "   More warnings are in curves.json." in texts(figure)
    assert figure.axes[0].get_position().height > 0.6
