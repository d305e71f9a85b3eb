import csv
import io
import json
import logging
import shutil
import sqlite3
import threading
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from jsonschema import Draft202012Validator
from serve_cases import browser, left_over, send, stub_server, wait_for, wait_ready

from spinelift.serve.logs import _Lines


@pytest.fixture
def app(tmp_path, monkeypatch):
    return stub_server(tmp_path, monkeypatch, limits={"queued": 3, "upload_bytes": 200_000, "files": 3})


@pytest.fixture
def client(app):
    with browser(app) as client:
        yield client


def problem(response, status):
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["status"] == status
    assert all(document[key] for key in ("title", "detail", "error", "found", "expected", "do"))
    return document


def test_a_scan_from_upload_to_files(client, monkeypatch):
    accepted = send(client)
    assert accepted.status_code == 202
    job = accepted.json()
    assert accepted.headers["location"] == job["links"]["self"] == f"/v1/predictions/{job['id']}"
    assert job["name"] == "1234567_20158_2_0.zip"
    done = wait_for(client, job)
    assert (done["scan_id"], done["warnings"], done["error"]) == ("scan", ["a warning"], None)
    assert done["summary"]["measures"]["ferguson_deg"]["value"] == 12.5
    files = {file["name"]: file for file in done["files"]}
    assert files["report.pdf"]["type"] == "application/pdf"
    for file in files.values():
        content = client.get(file["url"])
        assert (len(content.content), content.headers["content-type"]) == (file["bytes"], file["type"])
    saved = client.get(files["report.pdf"]["url"], params={"download": 1})
    assert saved.headers["content-disposition"] == 'attachment; filename="scan_report.pdf"'
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")  # results are in the data folder alone
    with zipfile.ZipFile(io.BytesIO(client.get(done["links"]["archive"]).content)) as packed:
        assert {f"scan/{name}" for name in files} == set(packed.namelist())
    assert [job["id"] for job in client.get("/v1/predictions").json()] == [done["id"]]
    assert client.delete(done["links"]["self"]).status_code == 204
    problem(client.get(done["links"]["self"]), 404)
    problem(client.get(files["report.pdf"]["url"]), 404)


def test_waiting_gives_the_document_or_the_problem_of_the_scan(client):
    done = send(client, path="/v1/predictions?wait=true")
    assert (done.status_code, done.json()) == (200, {"scan_id": "scan"})
    refused = problem(send(client, b"bad", path="/v1/predictions?wait=true"), 422)
    assert (refused["error"], refused["exit_code"]) == ("NoSpineError", 19)
    assert client.get(refused_job := done.headers["content-location"]).json()["status"] == "done", refused_job


def test_what_a_worker_raises_fails_the_job_and_shows_nothing_of_it(client):
    failed = wait_for(client, send(client, b"raise").json(), "failed")
    assert failed["error"]["error"] == "ValueError"
    assert "Zzyzx" not in json.dumps(failed)


def test_a_running_scan_shows_its_first_results(client, tmp_path):
    job = wait_for(client, send(client, b"slow").json(), "running")
    while not job["files"]:
        job = client.get(job["links"]["self"]).json()
    assert (job["scan_id"], [file["name"] for file in job["files"]]) == ("scan", ["spine.html"])
    assert client.get(job["files"][0]["url"]).text == "<p>first</p>"
    problem(client.get(f"{job['links']['self']}/files/summary.json"), 404)
    problem(client.get(job["links"]["archive"]), 404)
    (tmp_path / "go").touch()
    assert len(wait_for(client, job)["files"]) == 3


def test_a_full_queue_is_a_503_and_cancelling_makes_room(client, tmp_path):
    wait_for(client, send(client, b"slow").json(), "running")
    waiting = [send(client).json() for _ in range(3)]
    assert [job["position"] for job in waiting] == [1, 2, 3]
    refused = send(client)
    problem(refused, 503)
    assert int(refused.headers["retry-after"]) > 0
    assert client.delete(waiting[0]["links"]["self"]).json()["status"] == "cancelled"
    accepted = send(client)
    assert accepted.status_code == 202
    assert accepted.json()["position"] == 3
    (tmp_path / "go").touch()
    assert wait_for(client, accepted.json())["position"] is None


def test_a_batch_is_all_or_nothing(client, tmp_path):
    scans = [("file", (f"{k}.zip", b"good")) for k in range(3)]
    wait_for(client, send(client, b"slow").json(), "running")
    reply = send(client, scans, path="/v1/batches")
    batch = reply.json()
    assert (reply.status_code, reply.headers["location"]) == (202, f"/v1/batches/{batch['id']}")
    assert [job["name"] for job in batch["predictions"]] == ["0.zip", "1.zip", "2.zip"]
    problem(send(client, scans[:1], path="/v1/batches"), 503)
    left = client.delete(f"/v1/batches/{batch['id']}").json()
    assert left["counts"] == {"queued": 0, "running": 0, "done": 0, "failed": 0, "cancelled": 3}
    (tmp_path / "go").touch()
    problem(client.get("/v1/batches/0"), 404)


def test_files_of_a_folder_are_one_scan_with_the_name_of_the_folder(client):
    files = [("file", (f"scans/visit 2/{k}.dcm", b"x")) for k in range(2)]
    job = send(client, files).json()
    assert job["name"] == "visit 2"


def test_the_table_has_the_columns_of_the_summary(client):
    wait_for(client, send(client).json())
    header = next(csv.reader(io.StringIO(client.get("/v1/predictions.csv").text)))
    assert header[:3] == ["scan_id", "status", "input"]


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"x", {"content-type": "text/plain"}, 415),
        (b"x", {"content-type": "multipart/form-data"}, 415),
        (b"x", {"content-type": "multipart/form-data; boundary=a"}, 400),
        (b"--a\r\n\r\n", {"content-type": "multipart/form-data; boundary=a"}, 400),
        (
            b'--a\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nx',
            {"content-type": "multipart/form-data; boundary=a"},
            400,
        ),
        (
            b'--a\r\nContent-Disposition: form-data; name="other"; filename="x"\r\n\r\nx\r\n--a--\r\n',
            {"content-type": "multipart/form-data; boundary=a"},
            400,
        ),
        (b"--a\r\nX: " + b"y" * 5000, {"content-type": "multipart/form-data; boundary=a"}, 400),
        (b"x" * 300_000, {"content-type": "multipart/form-data; boundary=a"}, 413),
        (b"x" * 70_000, {"content-type": "text/plain"}, 413),
    ],
)
def test_requests_that_are_no_form_are_refused(client, tmp_path, content, headers, status):
    problem(client.post("/v1/predictions", content=content, headers=headers), status)
    assert not list((tmp_path / "incoming").iterdir())


def test_a_body_of_unknown_length_is_refused_while_it_is_read(client, tmp_path):
    read = []

    def body():
        yield b'--a\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
        for k in range(1000):
            read.append(k)
            yield b"x" * 10_000

    headers = {"content-type": "multipart/form-data; boundary=a"}
    problem(client.post("/v1/predictions", content=body(), headers=headers), 413)
    assert not list((tmp_path / "incoming").iterdir())


@pytest.mark.parametrize(
    "fields",
    [{"spacing": "2.4"}, {"spacing": "0,1"}, {"spacing": "nan,1"}, {"spacing": "x" * 900}, {"area": "hip"}],
)
def test_values_that_make_no_sense_are_refused(client, fields):
    problem(send(client, **fields), 422)


def test_too_many_files_and_fields_are_refused(client):
    problem(send(client, [("file", ("x", b"x"))] * 4), 413)
    problem(send(client, **{f"f{k}": "x" for k in range(11)}), 400)
    problem(send(client, [("area", (None, b""))] * 11 + [("file", ("x", b"x"))]), 400)
    problem(send(client, area="x" * 2000), 400)


def test_a_full_disk_is_a_507_and_keeps_nothing_of_an_upload(client, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 20))
        problem(send(client), 507)
    if Path("/dev/full").exists():
        monkeypatch.setattr(Path, "open", lambda *_: open("/dev/full", "wb"))  # noqa: PTH123, SIM115
        problem(send(client), 507)
    assert not list((tmp_path / "incoming").iterdir())


@pytest.mark.parametrize("error", [OSError(28, "Zzyzx"), sqlite3.OperationalError("Zzyzx")])
def test_what_cannot_be_kept_is_a_507(client, app, tmp_path, monkeypatch, error, caplog):
    def fails(*_):
        raise error

    for path in ("/v1/predictions", "/v1/batches"):
        with monkeypatch.context() as patch:
            patch.setattr(app.state.server.jobs, "_insert", fails)
            assert "Zzyzx" not in str(problem(send(client, path=path), 507))
        assert left_over(tmp_path) == []
    (tmp_path / "incoming").rmdir()
    problem(send(client), 507)
    (tmp_path / "incoming").mkdir()
    job = wait_for(client, send(client).json())
    monkeypatch.setattr(app.state.server.jobs, "remove", fails)
    problem(client.delete(job["links"]["self"]), 507 if isinstance(error, sqlite3.Error) else 500)
    assert "Zzyzx" not in caplog.text


@pytest.mark.parametrize(
    ("method", "error"),
    [("finish", sqlite3.OperationalError("Zzyzx")), ("claim", OSError(28, "Zzyzx"))],
)
def test_a_full_disk_or_a_locked_table_makes_the_queue_pause(client, app, monkeypatch, caplog, method, error):
    wait_ready(client)
    jobs, full = app.state.server.jobs, threading.Event()
    works = getattr(jobs, method)

    def fails(*given):
        if full.is_set():
            raise error
        return works(*given)

    full.set()
    monkeypatch.setattr(jobs, method, fails)
    job = send(client).json()
    deadline = time.monotonic() + 10
    while client.get("/readyz").status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert client.get("/healthz").status_code == 200
    full.clear()
    assert wait_for(client, job)["summary"]
    wait_ready(client)
    assert [m for m in caplog.messages if "pause" in m] == ["jobs pause: they cannot be kept"]
    assert "Zzyzx" not in caplog.text
    assert app.state.server.pool.error is None


def test_a_fault_of_the_queue_itself_ends_it(client, app, monkeypatch):
    wait_ready(client)
    ended = threading.Event()
    pool = app.state.server.pool
    pool.on_error = ended.set
    monkeypatch.setattr(pool.jobs, "claim", lambda: 1 / 0)
    send(client)
    assert ended.wait(10)
    assert "ZeroDivisionError" in pool.error.found
    assert client.get("/readyz").status_code == 503


def test_a_listener_that_fails_is_logged_and_the_job_has_ended(client, app, caplog):
    def fails(*_):
        raise ValueError("Zzyzx")

    app.state.server.pool.on_finish.insert(0, fails)
    wait_for(client, send(client).json())
    wait_for(client, send(client).json())
    (record, *_) = [record for record in caplog.records if "listener" in record.getMessage()]
    assert record.error == "ValueError"
    assert "Zzyzx" not in caplog.text


def test_a_name_that_a_spreadsheet_would_run_is_a_text_in_the_table(client, app, monkeypatch):
    record = dict.fromkeys(("scan_id", "file", "screening", "main_curve"), "=1+1") | {
        "bundle": dict.fromkeys(("name", "version", "sha256"), ""), "versions": {"spinelift": "1"},
        "spine": {"confidence": 0.5}, "warnings": [], "measures": {"sagittal_offset_mm": -2.5},
    }  # fmt: skip
    monkeypatch.setattr("spinelift.inference.tables.read_record", lambda _: record)
    wait_for(client, send(client).json())
    (row,) = csv.DictReader(io.StringIO(client.get("/v1/predictions.csv").text))
    assert (row["file"], row["sagittal_offset_mm"]) == ("'=1+1", "-2.5")


@pytest.mark.parametrize("path", ["/v1/nothing", "/docs", "/v1/predictions/0/files/..%2f..%2fjobs.sqlite3"])
def test_other_addresses_are_not_found(client, path):
    problem(client.get(path), 404)


def test_no_file_outside_the_list_is_served(client):
    job = wait_for(client, send(client).json())
    for name in ("run.json", "..%2f..%2finput%2f0000.zip", "%2e%2e", ".", "curves.json%00", "CURVES.JSON"):
        assert client.get(f"{job['links']['self']}/files/{name}").status_code in (404, 405)


def test_openapi_describes_every_route_and_its_examples_fit(client):
    document = client.get("/openapi.json").json()
    assert {"/v1/predictions", "/v1/batches", "/healthz", "/readyz", "/metrics"} <= document["paths"].keys()
    schemas = document["components"]["schemas"]
    for name in ("JobDocument", "BatchDocument", "RefusalDocument"):
        for field, schema in schemas[name]["properties"].items():
            whole = schema | {"components": document["components"]}
            for example in schema.get("examples", []):
                Draft202012Validator(whole).validate(example), field
    job = wait_for(client, send(client).json())
    whole = schemas["JobDocument"] | {"components": document["components"]}
    Draft202012Validator(whole).validate(job)


def test_health_and_metrics_hold_nothing_personal(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    job = wait_for(client, send(client, name="Zzyzx.zip").json())
    wait_for(client, send(client, b"bad").json(), "failed")
    assert client.get("/readyz").json() == {"ready": True}
    text = client.get("/metrics").text
    assert 'spinelift_jobs{state="done"} 1.0' in text
    assert 'spinelift_jobs_ended_total{error="NoSpineError"} 1.0' in text
    assert 'route="/v1/predictions/{job_id}"' in text
    assert "Zzyzx" not in text
    assert job["id"] not in text
    assert client.get("/v1/server").json()["bundle"]["name"] == "default"


def test_a_log_line_holds_nothing_personal(client, caplog):
    caplog.set_level(logging.DEBUG, "spinelift.serve")
    job = wait_for(client, send(client, name="Zzyzx.zip").json())
    wait_for(client, send(client, b"raise", name="Zzyzx.zip").json(), "failed")
    deadline = time.monotonic() + 10
    while "job failed" not in caplog.messages and time.monotonic() < deadline:  # logged after the state
        time.sleep(0.01)
    lines = [_Lines(as_json).format(record) for record in caplog.records for as_json in (True, False)]
    for secret in ("Zzyzx", job["id"], *client.cookies.values()):
        assert not [line for line in lines if secret in line]
    records = [json.loads(line) for line in lines[::2]]
    assert {"job failed", "job done", "request"} <= {record["message"] for record in records}
    assert "/v1/predictions/{job_id}" in {record.get("route") for record in records}


def test_an_unexpected_error_is_a_500_and_the_server_goes_on(client, app, monkeypatch, caplog):
    monkeypatch.setattr(app.state.server.jobs, "of", lambda owner: 1 / 0)
    assert problem(client.get("/v1/predictions"), 500)["error"] == "InternalServerError"
    assert ["ZeroDivisionError" in record.getMessage() for record in caplog.records] == [True]
    assert client.get("/healthz").status_code == 200
