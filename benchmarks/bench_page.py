"""Seconds from the drop of the demo scan on the page to its turning spine, and to all of its files.

With a running ``spinelift serve``:
``PYTHONPATH=tests/cases python benchmarks/bench_page.py http://127.0.0.1:8765/ [RUNS]``
"""

import sys
import time

from browser import CHROMIUM, DEMO, FLAGS, drop, turns
from playwright.sync_api import Browser, sync_playwright


def seconds(browser: Browser, url: str) -> tuple[float, float]:
    """Seconds to the turning spine and to the download of the PDF, in a new session."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(url)
    begun = time.perf_counter()
    drop(page, DEMO)
    turns(page.frame_locator("iframe"))
    turned = time.perf_counter() - begun
    page.get_by_role("link", name="Download PDF").wait_for(timeout=60_000)
    done = time.perf_counter() - begun
    context.close()
    return turned, done


if __name__ == "__main__":
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 3):
            print(
                "drop to turning spine {:.2f} s, to the PDF {:.2f} s".format(*seconds(chromium, sys.argv[1]))
            )
        chromium.close()
