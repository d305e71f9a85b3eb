"""What stands in place of a prediction in a server's workers."""

import os
import time

from spinelift.errors import NoSpineError
from spinelift.files import write_json, write_whole
from spinelift.serve.job import Problem, Result

SUMMARY = {"measures": {"ferguson_deg": {"value": 12.5}}, "screening": {"finding": ">=10"}}


def warm_up(*_):
    """Nothing to wait for."""


def predict(task):
    """As ``work.predict``, by the content of the file: a result, a problem, an error, a wait, a death."""
    content = min((task.folder / "input").iterdir()).read_bytes()
    match content:
        case b"bad":
            error = NoSpineError(found="no spine", expected="one", do="Look at the image.")
            return Result("scan", problem=Problem.of(error))
        case b"raise":
            raise ValueError("Zzyzx")
        case b"abort":
            os.abort()
        case b"hang":
            time.sleep(60)
        case b"short":
            time.sleep(0.3)
        case b"slow":
            (task.folder / "first").mkdir()
            write_whole(task.folder / "first" / "spine.html", "<p>first</p>")
            write_json(task.folder / "first" / "summary.json", SUMMARY | {"scan_id": "scan"})
            while not (task.folder.parents[1] / "go").exists():
                time.sleep(0.01)
    folder = task.folder / "result" / "scan"
    folder.mkdir(parents=True, exist_ok=True)
    files = {"curves.json": b'{"scan_id": "scan"}', "spine.html": b"<p>spine</p>", "report.pdf": b"%PDF"}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return Result("scan", ("a warning",), SUMMARY, {name: len(data) for name, data in files.items()})
