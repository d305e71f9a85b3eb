"""A server without networks: jobs that a stub does, in a thread of the process."""

import time
from pathlib import Path

from fastapi.testclient import TestClient

from spinelift.errors import NoSpineError
from spinelift.files import write_json, write_whole
from spinelift.serve import pool
from spinelift.serve.app import create_app
from spinelift.serve.job import Problem, Result
from spinelift.serve.settings import Limits, Settings
from spinelift.serve.work import FIRST, SUMMARY

URL = "http://localhost"
SUMMARY_OF_STUB = {"measures": {"ferguson_deg": {"value": 12.5}}, "screening": {"finding": ">=10"}}


def stub(task):
    """What ``work.predict`` does, by the content of the file: a result, a problem, an error or a long wait."""
    (path,) = list((task.folder / "input").iterdir())[:1]
    match path.read_bytes():
        case b"bad":
            error = NoSpineError(found="no spine", expected="one", do="Look at the image.")
            return Result("scan", problem=Problem.of(error))
        case b"raise":
            raise ValueError("Zzyzx")
        case b"slow":
            (task.folder / FIRST).mkdir()
            write_whole(task.folder / FIRST / "spine.html", "<p>first</p>")
            write_json(task.folder / FIRST / SUMMARY, SUMMARY_OF_STUB | {"scan_id": "scan"})
            while not (task.folder.parents[1] / "go").exists():
                time.sleep(0.01)
    folder = task.folder / "result" / "scan"
    folder.mkdir(parents=True)
    files = {"curves.json": b'{"scan_id": "scan"}', "spine.html": b"<p>spine</p>", "report.pdf": b"%PDF"}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return Result("scan", ("a warning",), SUMMARY_OF_STUB, {name: len(data) for name, data in files.items()})


def stub_server(folder: Path, monkeypatch, **options):
    """An application whose jobs are done by :func:`stub`."""
    monkeypatch.setattr(pool, "predict", stub)
    monkeypatch.setattr(pool, "warm_up", lambda *_: None)
    limits = Limits(**options.pop("limits", {}))
    return create_app(Settings(data=folder, workers=0, limits=limits, **options))


def browser(app, **headers):
    """A client with cookies of its own."""
    return TestClient(app, base_url=URL, headers=headers)


def send(client, content=b"good", name="1234567_20158_2_0.zip", path="/v1/predictions", **fields):
    files = content if isinstance(content, list) else [("file", (name, content))]
    return client.post(path, files=files, data=fields)


def wait_for(client, job, state="done"):
    """The document of a job once it is in a state."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        document = client.get(job["links"]["self"]).json()
        if document["status"] == state:
            return document
        time.sleep(0.01)
    raise AssertionError(f"{document['status']}, not {state}")
