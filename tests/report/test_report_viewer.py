import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image
from report_cases import scene

from spinelift.report.scene import PLANE_GAP_MM, patient_to_y_up
from spinelift.report.viewer import scene_data, viewer_html

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine (Debian: chromium)")


def middle_mm(picture):
    """The page's origin: the middle of the picture across, of the spine in depth and height."""
    _, (right, left, _, _) = picture.region()
    depths, z = picture.curves.mm[3:], picture.curves.z_mm
    return np.array([right + left, depths.min() + depths.max(), z[0] + z[-1]]) / 2


def test_spine_and_scan_lie_right_to_each_other():
    picture = scene()
    data = scene_data(picture)
    line = np.array(data["centreline"])
    np.testing.assert_allclose(
        line, patient_to_y_up(picture.curves.centreline_mm - middle_mm(picture)), atol=0.01
    )
    assert line[0, 1] > line[-1, 1], "the head is up"
    assert line[0, 0] > line[-1, 0], "T1 lies to the patient's left"
    assert line[0, 2] > line[-1, 2], "T1 lies in front"
    ellipses = np.array(data["ellipses"])
    assert data["plane"]["centre"][2] < (ellipses[:, 1] - ellipses[:, 3]).min() - PLANE_GAP_MM + 1
    _, (right, left, head, feet) = picture.region()
    np.testing.assert_allclose(data["plane"]["size"], [left - right, feet - head], atol=0.01)
    corner = np.array(data["plane"]["centre"])[:2] + np.array([-1, 1]) * np.array(data["plane"]["size"]) / 2
    want = patient_to_y_up(np.array([right, 0, head]) - middle_mm(picture))[:2]
    np.testing.assert_allclose(corner, want, atol=0.02)


def test_one_file_without_network_and_without_injection():
    html = viewer_html(scene(scan_id="<script>alert(1)</script>"))
    assert "<script>alert(1)" not in html
    assert "a &lt;b&gt;warning" in html
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", html)
    assert "default-src 'none'" in html
    assert "Research use only" in html
    data = re.search(r'id="data">(.*?)</script>', html, re.S)
    assert data
    assert len(json.loads(data[1])["ellipses"]) == 209


def browse(page, tmp_path, *options):
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--use-gl=angle",
        "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--disable-dev-shm-usage", f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1000,760",
        "--virtual-time-budget=3000", *options, page,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=True).stdout


@needs_chromium
def test_the_page_draws_itself_in_a_browser(tmp_path):
    page = tmp_path / "spine.html"
    page.write_text(viewer_html(scene()), "utf-8")
    shot = tmp_path / "shot.png"
    dom = browse(
        f"{page.as_uri()}#front", tmp_path, f"--screenshot={shot}", "--hide-scrollbars", "--dump-dom"
    )
    assert 'data-state="ready"' in dom[:400], dom[:400]
    pixels = np.asarray(Image.open(shot).convert("RGB"), int)
    background = pixels[380, 90]
    drawn = np.abs(pixels[100:650, 250:750] - background).sum(-1) > 60
    assert drawn.mean() > 0.2
    # The patient's left half of the scan is the brighter one, and stands on the right in the front view.
    assert pixels[380, 590:620].mean() > pixels[380, 390:420].mean() + 30


@needs_chromium
def test_the_side_view_shows_the_front_of_the_body_on_the_left(tmp_path):
    page = tmp_path / "spine.html"
    page.write_text(viewer_html(scene(plausible=())), "utf-8")
    shot = tmp_path / "shot.png"
    browse(f"{page.as_uri()}#left", tmp_path, f"--screenshot={shot}")
    pixels = np.asarray(Image.open(shot).convert("RGB"), int)
    orange = (pixels[..., 0] > 200) & (pixels[..., 2] < 110)
    rows = np.flatnonzero(orange[:, 300:700].any(1))
    top, bottom = rows[0] + 5, rows[-1] - 5
    columns = [np.flatnonzero(orange[row, 300:700]).mean() for row in (top, bottom)]
    assert columns[0] < columns[1] - 30, "T1, in front, is on the left of L5"


@needs_chromium
def test_without_webgl_the_page_says_so(tmp_path):
    page = tmp_path / "spine.html"
    page.write_text(viewer_html(scene()), "utf-8")
    dom = browse(page.as_uri(), tmp_path, "--disable-3d-apis", "--dump-dom")
    assert "This browser cannot show 3D" in dom
