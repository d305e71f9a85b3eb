"""The contact sheet: order, sides, links, escaped texts, and results without an overlay."""

import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from predict_cases import spine_scan, write_bundle
from report_cases import bent, scene
from typer.testing import CliRunner

from spinelift.cli import app
from spinelift.errors import NoScansError
from spinelift.inference import load_model
from spinelift.io.dxa.discover import find_scans
from spinelift.report.contact import SIZE, Card, contact_html, contact_png, make_card
from spinelift.report.overlay import overlay_png

HOSTILE = "<script src=http://example.org/a.js></script>"


def document(picture):
    return {"scan_id": picture.scan_id, "warnings": list(picture.warnings), **picture.curves.to_json()}


def orange(picture):
    """Columns of the centre line at the top and at the bottom of the spine."""
    pixels = np.asarray(picture, int)
    line = (pixels[..., 0] > 150) & (pixels[..., 0] - pixels[..., 2] > 90) & (pixels[..., 1] < 130)
    rows = np.flatnonzero(line.any(1))
    return tuple(np.flatnonzero(line[r]).mean() for r in (rows[3], rows[-4]))


@pytest.mark.parametrize("overlay", [True, False])
def test_left_is_on_the_right(tmp_path, overlay):
    picture = scene(image=np.zeros((791, 272), np.float32))
    if overlay:
        (tmp_path / "overlay.png").write_bytes(overlay_png(picture))
    card = make_card(tmp_path, document(picture), picture.measures)
    assert card.picture.size == SIZE
    top, bottom = orange(card.picture)
    assert top > bottom + 5, "T1 lies to the patient's left of L5"
    letters = np.asarray(card.picture.convert("L"), int)[-18:]
    assert letters[:, 4:20].max() > 200
    assert letters[:, -20:-4].max() > 200


def test_other_pictures_give_the_lines_alone(tmp_path):
    picture = scene()
    plain = make_card(tmp_path, document(picture), picture.measures).picture
    Image.new("RGB", (30, 30), "white").save(tmp_path / "overlay.png")
    assert make_card(tmp_path, document(picture), picture.measures).picture.tobytes() == plain.tobytes()
    (tmp_path / "overlay.png").write_bytes(b"\x89PNG\r\n\x1a\n, cut")
    assert make_card(tmp_path, document(picture), picture.measures).picture.tobytes() == plain.tobytes()
    assert make_card(tmp_path, {}, picture.measures).scan_id == tmp_path.name


def test_texts_are_escaped_and_shown():
    picture = Image.new("RGB", SIZE)
    measures = scene(curves=bent()).measures
    card = Card(HOSTILE, measures, (f"cut {HOSTILE}",), picture, "a%22b/report.html")
    html = contact_html([card], 7)
    assert "<script" not in html
    assert html.count("&lt;script") == 3
    assert "The 1 largest of 7 results" in html
    assert str(measures.main) in html
    assert all(url.startswith("data:") for url in re.findall(r'src="([^"]*)"', html))
    long = Card("x" * 100, measures, ("a", "b"), picture)
    sheet = Image.open(io.BytesIO(contact_png([card] * 9 + [long])))
    assert sheet.width > 8 * SIZE[0]
    assert sheet.height > 2 * SIZE[1]
    assert contact_png([long]) == contact_png([long])


def test_the_command_sorts_by_angle_and_its_files_are_no_scans(tmp_path):
    out = tmp_path / "out"
    load_model(write_bundle(tmp_path / "bundle"), threads=1).predict(spine_scan()).save(out)
    (first,) = out.iterdir()
    written = json.loads((first / "curves.json").read_text())
    for name, angle in (("b", 12.0), ("a", 30.0), ("damaged", None)):
        (out / name).mkdir()
        written["scan_id"] = name
        if angle:
            written["measures"]["ferguson_deg"]["value"] = angle
        (out / name / "curves.json").write_text(json.dumps(written) if angle else "{")
    (out / "a" / "report.html").write_text("")
    (out / "summary.csv").write_text("")
    result = CliRunner().invoke(app, ["report", str(out)])
    assert result.exit_code == 0, result.output
    assert "skipped damaged" in result.output
    html = (out / "contact.html").read_text()
    assert re.findall(r"<b>([\d.]+)°", html)[:2] == ["30.0", "12.0"]
    assert re.findall(r'href="([^"]*)"', html) == ["a/report.html"]
    assert "3 results" in html
    assert (out / "contact.png").is_file()
    with pytest.raises(NoScansError, match="earlier results alone"):
        find_scans([out])
    assert CliRunner().invoke(app, ["report", str(tmp_path / "bundle")]).exit_code == 20
