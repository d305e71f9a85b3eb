"""Debian's Chromium, driven by Playwright; and drops of real files on a page."""

import shutil

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
FLAGS = (
    "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip


def drop(page, *paths, x=200, y=200):
    """Drop files and folders of this machine on a page, as a file manager does."""
    devtools = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        devtools.send("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": data})


def turns(frame, *, timeout=60_000):
    """Wait until the 3D page in a frame (a FrameLocator) is drawn and its spine turns by itself."""
    frame.locator("html[data-state=ready]").wait_for(state="attached", timeout=timeout)
    frame.locator("#labels").evaluate(
        """async (paper) => {
          const first = paper.toDataURL();
          while (paper.toDataURL() === first) await new Promise((done) => setTimeout(done, 20));
        }"""
    )
