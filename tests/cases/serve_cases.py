"""Servers for tests: of this process, whose jobs a stub does, and of a process of its own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import serve_stub
from fastapi.testclient import TestClient

from spinelift.serve import pool
from spinelift.serve.app import create_app
from spinelift.serve.settings import Limits, Settings

URL = "http://localhost"
ROOT = Path(__file__).parents[2]


def stub_server(folder, monkeypatch, *, workers=0, limits=None, **options):
    """An application whose jobs are done by the stub."""
    monkeypatch.setattr(pool, "predict", serve_stub.predict)
    monkeypatch.setattr(pool, "warm_up", serve_stub.warm_up)
    return create_app(Settings(data=folder, workers=workers, limits=Limits(**limits or {}), **options))


def browser(app):
    """A client with cookies of its own; in a ``with`` block the application runs."""
    return TestClient(app, base_url=URL)


class Process:
    """``spinelift serve`` in a process of its own; ``stub``: its jobs are done by the stub."""

    def __init__(self, folder, *options, stub=False):
        code = "import serve_cases; serve_cases.main()" if stub else "from spinelift.cli import main; main()"
        self.errors = (folder / "stderr").open("ab")
        temporary = folder / "tmp"
        temporary.mkdir(exist_ok=True)
        path = os.pathsep.join(map(str, (ROOT / "src", ROOT / "tests" / "cases")))
        self._child = subprocess.Popen(
            [sys.executable, "-c", code, "serve", "--port", "0", "--no-browser", *map(str, options)],
            stdout=subprocess.PIPE, stderr=self.errors, text=True,
            env=os.environ | {"PYTHONPATH": path, "TMPDIR": str(temporary)},
        )  # fmt: skip
        self.pid = self._child.pid
        self.line = self._child.stdout.readline()
        self.url = next((word.strip("/") for word in self.line.split() if "://" in word), "")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        self._child.stdout.close()
        self.errors.close()

    def stop(self, number=signal.SIGTERM):
        """End it; its exit code."""
        self._child.send_signal(number)
        return self._child.wait(30)


def main():
    """Run the command with the stub in place of the prediction."""
    pool.predict, pool.warm_up = serve_stub.predict, serve_stub.warm_up
    from spinelift.cli import main

    main()


def send(client, content=b"good", name="1234567_20158_2_0.zip", path="/v1/predictions", **fields):
    """The response to an upload of one file, or of a list of form parts."""
    files = content if isinstance(content, list) else [("file", (name, content))]
    return client.post(path, files=files, data=fields)


def wait_for(client, job, state="done", seconds=10):
    """The document of a job once it is in a state."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        document = client.get(job["links"]["self"]).json()
        if document["status"] == state:
            return document
        time.sleep(0.01)
    raise AssertionError(f"{document['status']}, not {state}: {document['error']}")


def wait_ready(client, seconds=60):
    """Wait until a server takes work."""
    deadline = time.monotonic() + seconds
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def left_over(folder):
    """Files of jobs and uploads below a data folder."""
    return [path for name in ("jobs", "incoming") for path in (folder / name).rglob("*")]
