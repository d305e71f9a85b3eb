"""Debian's Chromium, driven by Playwright; and drops of real files on a page."""

import shutil
from pathlib import Path

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
FLAGS = (
    "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip
DEMO = Path(__file__).parents[2] / "src/spinelift/demo/1900003_20158_2_0.zip"
WAIT_MS = 120_000
"""On a machine that does other work too."""


def drop(page, *paths, x=200, y=200):
    """Drop files and folders of this machine on a page, as a file manager does."""
    devtools = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        devtools.send("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": data})


def drawn(frame):
    """Wait until the 3D page in a frame (a FrameLocator) is drawn."""
    from playwright.sync_api import expect

    # Not by wait_for, which waits for frames of the screen: a spine that is still has none.
    expect(frame.locator("html")).to_have_attribute("data-state", "ready", timeout=WAIT_MS)


def turns(frame):
    """Wait until the spine of a 3D page turns by itself."""
    drawn(frame)
    frame.locator("#labels").evaluate(
        """async (paper) => {
          const first = paper.toDataURL();
          while (paper.toDataURL() === first) await new Promise((done) => setTimeout(done, 20));
        }"""
    )


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
