import json
import re
import shutil
import subprocess
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image
from report_cases import scene

from spinelift.geometry import Vertebra
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


WATCH = """<script>window.problems = [];
// Frames by the browser's virtual time, which runs ahead of the screen.
window.requestAnimationFrame = (draw) => setTimeout(() => draw(performance.now()), 16);
for (const name of ["error", "warn"]) console[name] = (...words) => problems.push(words.join(" "));
for (const name of ["error", "unhandledrejection", "securitypolicyviolation"])
  window.addEventListener(name, (event) =>
    problems.push(name + " " + (event.message || event.violatedDirective || event.reason)));
// Every word that is written on the picture, with its place and the height of its letters.
window.words = [];
const clear = CanvasRenderingContext2D.prototype.clearRect;
CanvasRenderingContext2D.prototype.clearRect = function (...box) {
  window.words = [];
  return clear.apply(this, box);
};
const write = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
  const high = parseFloat(/[0-9.]+px/.exec(this.font)[0]);
  words.push([text, Math.round(x), Math.round(y), high, this.globalAlpha]);
  return write.apply(this, arguments);
};</script>"""
PROBE = """<script>setTimeout(() => {
  const seen = {}, frame = async () => {
    await new Promise((done) => setTimeout(done, 80));
    return window.words.slice();
  };
  const press = (key) => window.dispatchEvent(new KeyboardEvent("keydown", { key }));
  const tip = document.getElementById("tip"), paper = document.getElementById("labels");
  (async () => {
    STEPS
    seen.problems = problems;
    document.documentElement.dataset.seen = encodeURIComponent(JSON.stringify(seen));
  })().catch((error) => { document.documentElement.dataset.seen = encodeURIComponent(String(error)); });
}, 300);</script>"""


def browse(page, tmp_path, *options, size="1000,760", budget_ms=4000):
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--use-gl=angle",
        "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--hide-scrollbars", "--disable-dev-shm-usage", f"--user-data-dir={tmp_path / 'profile'}",
        f"--window-size={size}",
        f"--virtual-time-budget={budget_ms}", *options, page,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=True).stdout


def probe(tmp_path, steps, *, view="front", size="1000,760", **changes):
    """Open the page in a browser, run ``steps`` (JavaScript that fills ``seen``), and return ``seen``."""
    html = viewer_html(scene(**changes)).replace("<title>", WATCH + "<title>")
    page = tmp_path / "spine.html"
    page.write_text(html.replace("</body>", PROBE.replace("STEPS", steps) + "</body>"), "utf-8")
    dom = browse(f"{page.as_uri()}#{view}", tmp_path, "--dump-dom", size=size, budget_ms=8000)
    assert 'data-state="ready"' in dom[:400], dom[:400]
    found = re.search('data-seen="([^"]*)"', dom)
    assert found, dom[:400]
    return json.loads(unquote(found[1]))


@needs_chromium
def test_the_page_draws_itself_in_a_browser(tmp_path):
    page = tmp_path / "spine.html"
    page.write_text(viewer_html(scene()), "utf-8")
    shot = tmp_path / "shot.png"
    dom = browse(page.as_uri(), tmp_path, f"--screenshot={shot}", "--dump-dom")
    assert 'data-state="ready"' in dom[:400], dom[:400]
    pixels = np.asarray(Image.open(shot).convert("RGB"), int)
    drawn = np.abs(pixels[130:640, 250:750] - pixels[380, 240]).sum(-1) > 60
    assert drawn.mean() > 0.2
    # It opens in the front view: the patient's left half of the scan, the brighter one, stands on the right.
    assert pixels[380, 590:620].mean() > pixels[380, 390:420].mean() + 30


@needs_chromium
@pytest.mark.parametrize(("size", "theme"), [("500,900", "dark"), ("1920,1080", "light")])
def test_labels_keys_and_pointer(tmp_path, size, theme):
    steps = """
      const place = (all, name) => all.find((word) => word[0] === name);
      seen.theme = document.documentElement.dataset.theme;
      seen.front = await frame();
      seen.pressed = document.querySelector("[aria-pressed=true]").dataset.view;
      const [, x, y] = place(seen.front, "T9");
      const { left, top } = paper.getBoundingClientRect(), at = { clientX: left + x - 45, clientY: top + y };
      paper.dispatchEvent(new PointerEvent("pointermove", at));
      seen.tip = tip.hidden ? "" : tip.textContent;
      for (let k = 0; k < 5; k++) press("ArrowRight");
      seen.turned = await frame();
      press("4"); seen.back = await frame();
      press("2"); seen.left = await frame();
      press("v"); await frame();
      seen.schematic = !document.getElementById("schematic").hidden;
      press("d"); seen.other = document.documentElement.dataset.theme;
      press("0"); seen.reset = await frame();
      document.createElement = ((make) => function (name) {
        const made = make.call(document, name);
        if (name === "a") made.click = () => { seen.saved = [made.download, made.href.slice(0, 5)]; };
        return made;
      })(document.createElement);
      press("p");
      for (let k = 0; k < 40 && !seen.saved; k++) await new Promise((done) => setTimeout(done, 100));
      seen.overflow = document.documentElement.scrollWidth - innerWidth;
      seen.width = paper.clientWidth;
    """
    seen = probe(tmp_path, steps, view=theme, size=size)
    assert seen["problems"] == []
    assert (seen["theme"], seen["pressed"]) == (theme, "front")
    assert seen["other"] != theme
    names = [level.name for level in Vertebra]
    front = {name: (x, y, high) for name, x, y, high, alpha in seen["front"] if alpha > 0.5}
    assert set(names) <= set(front)
    assert min(front[name][2] for name in names) >= 12
    rows = [front[name][1] for name in names]
    assert min(np.diff(rows)) >= 12, "names do not overlap"
    assert all(0 < front[name][0] < seen["width"] - 25 for name in names)
    # Left and right: in front the patient's left is on the right, from behind on the left.
    assert front["R"][0] < front["L"][0]
    assert front["T1"][0] > front["L5"][0] + 15, "T1 lies to the patient's left"
    back, left, turned = ({w[0]: w[1] for w in seen[view]} for view in ("back", "left", "turned"))
    assert back["L"] < back["R"]
    assert back["T1"] < back["L5"] - 15
    assert left["A"] < left["P"]
    assert left["T1"] < left["L5"] - 15, "T1 lies in front"
    assert turned["L"] - turned["R"] < front["L"][0] - front["R"][0]
    assert re.fullmatch(r"T(8|9|10)\n\d+ mm below the top of T1\ndepth ± \d+ mm", seen["tip"])
    assert seen["schematic"]
    assert {w[0]: w[1] for w in seen["reset"]}["T1"] == pytest.approx(front["T1"][0], abs=2)
    assert seen["saved"] == ["spine_view.png", "blob:"]
    assert seen["overflow"] <= 0


@needs_chromium
def test_the_side_view_shows_the_front_of_the_body_on_the_left(tmp_path):
    page = tmp_path / "spine.html"
    page.write_text(viewer_html(scene(plausible=())), "utf-8")
    shot = tmp_path / "shot.png"
    browse(f"{page.as_uri()}#left,dark", tmp_path, f"--screenshot={shot}")
    pixels = np.asarray(Image.open(shot).convert("RGB"), int)
    orange = (pixels[..., 0] > 200) & (pixels[..., 2] < 110)
    rows = np.flatnonzero(orange[:, 300:700].any(1))
    top, bottom = rows[0] + 5, rows[-1] - 5
    columns = [np.flatnonzero(orange[row, 300:700]).mean() for row in (top, bottom)]
    assert columns[0] < columns[1] - 30, "T1, in front, is on the left of L5"


@needs_chromium
def test_without_webgl_the_page_shows_a_still_picture(tmp_path):
    page = tmp_path / "spine.html"
    page.write_text(viewer_html(scene()), "utf-8")
    shot = tmp_path / "shot.png"
    dom = browse(f"{page.as_uri()}#dark", tmp_path, "--disable-3d-apis", f"--screenshot={shot}", "--dump-dom")
    assert "This browser cannot show 3D" in dom
    pixels = np.asarray(Image.open(shot).convert("RGB"), int)
    line = (pixels[..., 0] > 180) & (pixels[..., 2] < 60)
    for columns, toward_right in ((slice(0, 500), True), (slice(500, 1000), False)):
        rows = np.flatnonzero(line[:, columns].any(1))
        top, bottom = (np.flatnonzero(line[row, columns]).mean() for row in (rows[4], rows[-5]))
        # T1 lies to the patient's left and in front: right of L5 from the front, left of it from the side.
        assert (top > bottom + 10) if toward_right else (top < bottom - 10)
