"""A server and a browser that the tests of the page share."""

import threading
import time
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest
from browser import CHROMIUM, DEMO, FLAGS, WAIT_MS, drop, turns


@pytest.fixture(scope="package")
def chromium():
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine (Debian: chromium)")
    sync = pytest.importorskip("playwright.sync_api", reason="no playwright (pip install 'spinelift[dev]')")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def site(chromium, tmp_path_factory):
    """Address of a server with one worker that has done a first prediction."""
    uvicorn = pytest.importorskip("uvicorn", reason="no uvicorn (pip install 'spinelift[serve]')")
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


@contextmanager
def opened(chromium, site, *, faults=False, **options):
    """The page in a new context; afterwards no error may have been logged, and no other host asked."""
    size, motion = {"width": 1280, "height": 800}, "reduce"  # without a graphics card, turning takes a core
    options = {"viewport": size, "reduced_motion": motion, "base_url": site, **options}
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


@pytest.fixture(scope="package")
def session(chromium, site):
    """Cookies of a session in which the demo was dropped, and the seconds from there to a turning spine."""
    with opened(chromium, site, reduced_motion="no-preference") as page:
        begun = time.perf_counter()
        drop(page, DEMO)
        turns(page.frame_locator("iframe"))
        seconds = time.perf_counter() - begun
        page.get_by_role("link", name="Download PDF").wait_for()
        cookies = page.context.storage_state()
    return {"storage_state": cookies}, seconds
