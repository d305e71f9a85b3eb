"""What the page does with scans, in a browser."""

import re
from pathlib import Path

import pytest
from browser import DEMO, drop, junk, row
from markupsafe import Markup
from PIL import Image

from spinelift.io import read_dxa

HOSTILE = '<img src=x onerror="document.title=1">&lt;b&gt;.png'


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
    page.get_by_role("status").filter(has_text="Main angle").wait_for(state="attached")
    tab_to("Download PDF")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert Path(download.value.path()).read_bytes().startswith(b"%PDF")


def test_picture_with_a_hostile_name_is_asked_for_its_pixel_size(browse, tmp_path):
    scan = read_dxa(DEMO)
    Image.fromarray(scan.bone.round().astype("uint8")).save(tmp_path / HOSTILE, "PNG")
    (tmp_path / "other.png").write_bytes(b"\x89PNG")
    page = browse()
    drop(page, tmp_path / HOSTILE, tmp_path / "other.png")
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    assert dialog.get_by_role("listitem").all_inner_texts() == [HOSTILE, "other.png"]
    page.get_by_label("Use it for all of these pictures").uncheck()
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
    dialog.get_by_text("A picture does not state the size of its pixels:").wait_for()
    assert dialog.get_by_role("listitem").all_inner_texts() == ["other.png"]
    page.get_by_role("button", name="Leave out").click()
    page.get_by_role("link", name="Download PDF").wait_for()
    assert page.locator("#scans tbody tr").count() == 1
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
