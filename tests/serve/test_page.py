"""The page in a browser: one server and one browser for all tests."""

import re
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browser import CHROMIUM, FLAGS, drop, turns
from markupsafe import Markup
from PIL import Image

from spinelift.io import read_dxa

sync = pytest.importorskip("playwright.sync_api", reason="no playwright (pip install 'spinelift[dev]')")
uvicorn = pytest.importorskip("uvicorn", reason="no uvicorn (pip install 'spinelift[serve]')")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine (Debian: chromium)")

DEMO = Path(__file__).parents[2] / "src/spinelift/demo/1900003_20158_2_0.zip"
HOSTILE = '<img src=x onerror="document.title=1">&lt;b&gt;.png'
WAIT_MS = 120_000


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Address of a server with one worker that has done a first prediction."""
    from spinelift.serve.app import create_app
    from spinelift.serve.settings import Settings

    app = create_app(Settings(data=tmp_path_factory.mktemp("data"), workers=1))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert app.state.server.pool.ready.wait(WAIT_MS / 1000)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def chromium():
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def opened(chromium, site, *, faults=False, **options):
    """The page in a new context; afterwards no error may have been logged, and no other host asked."""
    options = {"viewport": {"width": 1280, "height": 800}, "base_url": site, **options}
    context = chromium.new_context(**options)
    context.set_default_timeout(WAIT_MS)
    hosts, errors = set(), []
    context.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    context.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    context.on("weberror", lambda error: errors.append(str(error.error)))
    try:
        page = context.new_page()
        page.on("filechooser", lambda _: None)  # from now on choosers are Playwright's
        page.goto(site)
        yield page
        assert hosts - {""} == {urlsplit(site).netloc}
        assert faults or not errors
    finally:
        context.close()


@pytest.fixture
def browse(chromium, site):
    """Opens the page; checks and closes it at the end."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(opened(chromium, site, **options))


@pytest.fixture(scope="module")
def session(chromium, site):
    """Cookies of a session in which the demo was dropped, and the seconds from there to a turning spine."""
    with opened(chromium, site) as page:
        begun = time.perf_counter()
        drop(page, DEMO)
        turns(page.frame_locator("iframe"))
        seconds = time.perf_counter() - begun
        page.get_by_role("link", name="Download PDF").wait_for()
        yield {"storage_state": page.context.storage_state()}, seconds


def row(page, name):
    """The row of a scan, once the page shows that it has ended."""
    found = page.locator("#scans tbody tr").filter(has=page.get_by_role("button", name=name, exact=True))
    found.locator(".done, .failed").wait_for()
    return found


def junk(tmp_path, *names):
    """Files that are zips by their name alone."""
    for name in names:
        (tmp_path / name).write_bytes(b"PK\x03\x04 no zip")
    return [tmp_path / name for name in names]


def test_dropped_demo_turns_and_shows_the_numbers_of_the_report(browse, session, record_property):
    state, seconds = session
    record_property("seconds_from_drop_to_turn", round(seconds, 2))
    print(f"from the drop to the turning spine: {seconds:.2f} s")
    page = browse(**state)
    page.get_by_role("link", name="Download PDF").wait_for()
    report = page.get_by_role("link", name="Open the report").get_attribute("href")
    html = page.request.get(report).text()
    cells = [
        [Markup(cell).striptags() for cell in re.findall("<td.*?>(.*?)</td>", line)]
        for line in re.findall("<tr>(.*?)</tr>", html.split('class="list measures"')[1].split("</table>")[0])
    ]
    rows = page.locator("section[aria-label=Measures] tbody tr").all()
    assert [line.locator("th, td").all_inner_texts() for line in rows] == [line[:4] for line in cells if line]
    assert page.locator("img[alt*='thoracolumbar, convex right']").count() == 1
    frame = page.locator("iframe")
    assert frame.get_attribute("sandbox") == "allow-scripts allow-downloads"
    names = page.locator(".files a").all_inner_texts()
    assert {"Report (PDF)", "Curves (CSV)", "Spine, mesh (STL)", "DICOM segmentation"} <= set(names)
    with page.expect_download() as download:
        page.get_by_role("link", name="All files (zip)").click()
    assert Path(download.value.path()).read_bytes()[:4] == b"PK\x03\x04"


def test_from_start_to_pdf_by_keyboard(browse):
    page = browse(accept_downloads=True)
    focused = page.locator(":focus")

    def tab_to(text, most=20):
        for _ in range(most):
            page.keyboard.press("Tab")
            assert focused.evaluate("(e) => getComputedStyle(e).outlineStyle") == "solid", "focus is visible"
            if focused.inner_text() == text:
                return
        raise AssertionError(f"no way to {text}")

    tab_to("Choose files")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(DEMO)
    page.get_by_role("link", name="Download PDF").wait_for()
    assert "main angle" in page.get_by_role("status").all_inner_texts()[-1].lower()
    tab_to("Download PDF")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert Path(download.value.path()).read_bytes().startswith(b"%PDF")


def test_picture_with_a_hostile_name_is_asked_for_its_pixel_size(browse, tmp_path):
    scan = read_dxa(DEMO)
    Image.fromarray(scan.bone.round().astype("uint8")).save(tmp_path / HOSTILE, "PNG")
    page = browse()
    drop(page, tmp_path / HOSTILE)
    dialog = page.get_by_role("dialog")
    assert dialog.get_by_role("listitem").inner_text() == HOSTILE
    high, wide = page.get_by_label("Height (row), mm"), page.get_by_label("Width (column), mm")
    for values in (("", ""), ("2.4", "x"), ("2.4", "5"), ("0.1", "0.1"), ("1e1", "9")):
        high.fill(values[0])
        wide.fill(values[1])
        page.keyboard.press("Enter")
        assert "Give two numbers from 0.2 to 10 mm" in dialog.get_by_role("alert").inner_text()
        assert high.get_attribute("aria-invalid") == "true"
    high.fill(f"{scan.spacing.row_mm:.4f}".replace(".", ","))
    wide.fill(f"{scan.spacing.col_mm:.4f}")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Download PDF").wait_for()
    cells = row(page, HOSTILE).locator("td").all_inner_texts()
    assert (cells[0], float(cells[1].rstrip("°"))) == ("done", pytest.approx(15.9, abs=0.5))
    assert page.locator("tbody img, header ~ main b b").count() == 0
    assert page.title() == "spinelift: 3D spine from one DXA"


def test_folder_is_read_and_errors_are_plain(browse, tmp_path):
    inside = tmp_path / "visit" / "series"
    inside.mkdir(parents=True)
    for name in ("1.dcm", "2.dcm", ".hidden.dcm"):
        (inside / name).write_bytes(bytes(128) + b"DICM" + bytes(40))
    (tmp_path / "visit" / "notes.txt").write_text("no scan")
    junk(tmp_path / "visit", "1234567_20201_2_0.zip", "a.zip")
    page = browse()
    drop(page, tmp_path / "visit")
    assert row(page, "a.zip").locator(".failed").count() == 1
    failed = row(page, "series")
    assert page.locator("#scans tbody tr").count() == 2
    assert page.locator("#passed-over").inner_text() == "2 files in the folder passed over: not a scan."
    failed.get_by_role("button", name="series", exact=True).click()
    panel = page.get_by_role("region", name="series")
    panel.locator("dd").last.wait_for()
    assert panel.locator("dt").all_inner_texts() == ["Found", "Expected", "Do"]
    assert all(text.strip() for text in panel.locator("dd").all_inner_texts())
    assert page.locator("#result:focus").count() == 1
    panel.get_by_role("button", name="Remove").click()
    failed.wait_for(state="detached")


def test_table_is_sorted_by_its_heads(browse, session, tmp_path):
    page = browse(**session[0])
    drop(page, *junk(tmp_path, "scan10.zip", "scan9.zip"))
    for name in ("scan9.zip", "scan10.zip", DEMO.name):
        row(page, name)
    names = page.locator("#scans tbody .link")
    for head, order in (
        ("Name", [DEMO.name, "scan9.zip", "scan10.zip"]),
        ("Name", ["scan10.zip", "scan9.zip", DEMO.name]),
        ("Main angle", [DEMO.name, "scan10.zip", "scan9.zip"]),
    ):
        page.get_by_role("button", name=head, exact=True).press("Enter")
        if head == "Name":
            assert names.all_inner_texts() == order
        else:
            assert names.first.inner_text() == order[0], "scans without a value come last"
        assert page.locator(":focus").inner_text() == head
    assert page.locator("th[aria-sort]").evaluate_all("(all) => all.map((e) => e.ariaSort)") == ["ascending"]
    for name in ("scan9.zip", "scan10.zip"):
        page.get_by_role("button", name=f"Remove {name}").click()
        page.get_by_role("button", name=f"Remove {name}").wait_for(state="detached")


def test_another_browser_sees_nothing(browse, session):
    mine, other = browse(**session[0]), browse(faults=True)
    address = mine.get_by_role("link", name="Open the report").get_attribute("href")
    other.get_by_text("The spine, its measures").wait_for()
    assert not other.locator("#scans").is_visible()
    assert (mine.request.get(address).status, other.request.get(address).status) == (200, 404)


# Least contrast of a text to the background that lies behind it (WCAG 2.2, 1.4.3), and that text.
CONTRAST = """() => {
  const paper = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const known = {}, rgb = (colour) => known[colour] ??= (() => {
    paper.clearRect(0, 0, 1, 1); paper.fillStyle = colour; paper.fillRect(0, 0, 1, 1);
    return [...paper.getImageData(0, 0, 1, 1).data];
  })();
  const light = (colour) => rgb(colour).slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  let least = [99, ""];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || element.closest(".hidden")) continue;
    let behind = element;
    while (behind && rgb(getComputedStyle(behind).backgroundColor)[3] < 250) behind = behind.parentElement;
    const pair = [element, behind ?? document.body], names = ["color", "backgroundColor"];
    const [a, b] = pair.map((e, k) => light(getComputedStyle(e)[names[k]])).sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < least[0]) least = [(a + 0.05) / (b + 0.05), element.textContent];
  }
  return least;
}"""


def test_phone_and_desktop_in_both_themes(browse, session, tmp_path):
    page = browse(**session[0], color_scheme="dark", reduced_motion="reduce")
    page.get_by_role("link", name="Download PDF").wait_for()
    frame = page.frame_locator("iframe")
    frame.locator("html[data-state=ready]").wait_for(state="attached")
    assert not frame.locator("[data-layer=turn]").is_checked(), "no motion for those who do not want any"
    drop(page, *junk(tmp_path, "damaged.zip"))
    page.locator("#result .error").wait_for()
    for name in ("damaged.zip", DEMO.name):
        row(page, name).get_by_role("button", name=name, exact=True).click()
        page.get_by_role("button", name="Remove", exact=True).wait_for()
        for theme in ("dark", "light"):
            assert page.locator("html").get_attribute("data-theme") == theme
            least, text = page.evaluate(CONTRAST)
            assert least >= 4.5, (theme, text)
            page.get_by_role("button", name="Dark theme").click()
        for width in (400, 1280):
            page.set_viewport_size({"width": width, "height": 860})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("iframe").get_attribute("src").endswith("#dark")
    assert page.evaluate("localStorage.theme") == "dark"


def test_busy_and_absent_servers_are_waited_for(browse, tmp_path):
    page = browse(faults=True)
    refusals = [503]

    def predictions(route):
        if route.request.method == "POST" and refusals:
            route.fulfill(status=refusals.pop(), headers={"Retry-After": "1"}, json={"title": "Busy"})
        else:
            route.fallback()

    page.route("**/v1/predictions", predictions)
    drop(page, *junk(tmp_path, "one.zip"))
    page.get_by_text("waiting: the server is busy, next try in 1 s").first.wait_for()
    assert row(page, "one.zip").locator(".failed").count() == 1
    page.route("**/v1/predictions", lambda route: route.abort())
    drop(page, *junk(tmp_path, "two.zip"))
    page.get_by_text("The server does not answer. Next try in 1 second.").wait_for()
    page.unroute("**/v1/predictions")
    assert row(page, "two.zip").locator(".failed").count() == 1
    assert not page.locator("#gone").is_visible()


def test_token_is_asked_for(browse):
    page = browse(faults=True)
    tokens = []

    def login(route):
        tokens.append(route.request.post_data)
        route.fulfill(status=204 if tokens[-1] == "token=right%2Bone" else 401, body="")

    def predictions(route):
        route.fulfill(json=[]) if len(tokens) == 2 else route.fulfill(status=401, json={})

    page.route("**/v1/predictions", predictions)
    page.route("**/v1/session", login)
    page.reload()
    for token in ("wrong", "right+one"):
        page.get_by_label("Token").fill(token)
        page.keyboard.press("Enter")
        if token == "wrong":
            page.get_by_text("This is not the token.").wait_for()
    page.get_by_role("button", name="Choose files").wait_for()
    assert not page.locator("#login").is_visible()
