import json
import re
import shutil
import signal
import subprocess
import time
import zipfile

import httpx2
import numpy as np
import pytest
from serve_cases import ROOT, Process, browser, left_over, send, stub_server, wait_for, wait_ready
from tests.fuzz.case import PERSON
from tests.fuzz.kinds import KINDS, keys, order_of
from typer.testing import CliRunner

from spinelift.bundle import PredictionCard, load_bundle
from spinelift.cli import app as cli
from spinelift.cli.demo import DATA
from spinelift.errors import OutputError
from spinelift.inference.scans import name_scans
from spinelift.inference.task import Job, predict_scan
from spinelift.serve.folder import data_folder

DEMO = DATA / "1900003_20158_2_0.zip"
HOSTILE = ("dicom-bytes", "dicom-bombs", "dxa-zip-damaged", "zip-hostile", "picture-damaged", "picture-bombs")


def test_a_scan_that_kills_its_worker_fails_alone(tmp_path, monkeypatch):
    with browser(stub_server(tmp_path, monkeypatch, workers=2, limits={"job_s": 3})) as client:
        jobs = {content: send(client, content).json() for content in (b"abort", b"hang", b"good")}
        wait_for(client, jobs.pop(b"good"), seconds=60)
        problems = {
            content: wait_for(client, job, "failed", seconds=60)["error"] for content, job in jobs.items()
        }
        assert {problem["error"] for problem in problems.values()} == {"WorkerDiedError"}
        assert "SIGABRT" in problems[b"abort"]["found"]
        assert "more time" in problems[b"hang"]["found"]
        wait_for(client, send(client).json(), seconds=60)


def test_kill_in_the_middle_of_many_jobs_loses_none(tmp_path):
    """Every job that was accepted ends, though the server is killed."""
    data, accepted = tmp_path / "data", []
    headers = {"Spinelift-Session": "s" * 43}
    for number in range(2):
        with (
            Process(tmp_path, "--data", data, stub=True) as server,
            httpx2.Client(base_url=server.url, headers=headers) as client,
        ):
            if number == 0:
                scans = [("file", (f"{number}-{k}.zip", b"short")) for k in range(6)]
                accepted += send(client, scans, path="/v1/batches").json()["predictions"]
                wait_for(client, accepted[number], seconds=30)
                assert server.stop(signal.SIGKILL) == -signal.SIGKILL
                continue
            for job in accepted:
                wait_for(client, job, seconds=30)
            for job in client.get("/v1/predictions").json():
                assert client.delete(job["links"]["self"]).status_code == 204
            assert server.stop() == 128 + signal.SIGTERM
    assert left_over(data) == []
    assert b"Traceback" not in (tmp_path / "stderr").read_bytes()


def test_the_workers_can_be_those_of_a_cluster(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    local = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    with distributed.LocalCluster(processes=False, protocol="inproc://", **local) as cluster:
        options = {"scheduler": cluster.scheduler_address, "workers": 2}
        with browser(stub_server(tmp_path, monkeypatch, **options)) as client:
            jobs = {content: send(client, content).json() for content in (b"good", b"raise")}
            assert wait_for(client, jobs[b"good"])["scan_id"] == "scan"
            assert wait_for(client, jobs[b"raise"], "failed")["error"]["error"] == "ValueError"


def test_a_temporary_folder_is_deleted_at_the_end_and_after_a_kill(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    killed, other = tmp_path / "spinelift-serve-killed", tmp_path / "else"
    for folder in (killed, other):
        (folder / "jobs").mkdir(parents=True)
    with data_folder(None) as first, data_folder(None) as second:
        assert {*tmp_path.iterdir()} == {first, second, other}
        assert first.stat().st_mode & 0o77 == 0
    assert list(tmp_path.iterdir()) == [other]


def test_a_folder_that_is_kept_is_used_by_one_server_at_a_time(tmp_path):
    with data_folder(tmp_path / "data") as folder:
        assert folder.stat().st_mode & 0o77 == 0
        with pytest.raises(OutputError, match="another run"), data_folder(folder):
            pass
    assert folder.exists()


@pytest.mark.parametrize("name", ["jobs", "incoming", "dicom"])
def test_a_folder_of_somebody_else_is_refused_since_its_files_would_be_deleted(tmp_path, name):
    theirs = tmp_path / name / "theirs"
    theirs.mkdir(parents=True)
    with pytest.raises(OutputError, match="not of a server"), data_folder(tmp_path):
        pass
    (tmp_path / "jobs.sqlite3").touch()
    with data_folder(tmp_path):
        assert theirs.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0"], "without a token"),
        (["--proxy", "127.0.0.1"], "without a token"),
        (["--token-file", "{folder}/short"], "no token in short"),
        (["--scheduler", "tcp://localhost:1"], "without --data"),
        (["--tls-cert", "{folder}/short", "--tls-key", "{folder}/short"], "certificate"),
        (["--data", "{folder}/short"], "short"),
    ],
)
def test_options_that_are_not_safe_or_cannot_work_are_refused(tmp_path, monkeypatch, options, words):
    (tmp_path / "short").write_text("secret")
    monkeypatch.setattr("os.umask", lambda _: 0)
    monkeypatch.setattr("spinelift.serve.logs.start_logging", lambda **_: None)
    arguments = ["serve", "--port", "0", "--no-browser", *(o.format(folder=tmp_path) for o in options)]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code in (32, 33)
    assert words in " ".join(done.output.split())


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A real server with its workers, and a client."""
    folder = tmp_path_factory.mktemp("serve")
    options = ("--data", folder / "data", "--log-json", "-v", "--max-rate", 100_000)
    with Process(folder, *options) as server, httpx2.Client(base_url=server.url, timeout=60) as client:
        wait_ready(client)
        yield client, folder
        assert server.stop() == 128 + signal.SIGTERM


def test_hostile_uploads_end_as_errors_and_leave_nothing(real, tmp_path):
    client, folder = real
    scans = []
    for kind, seed, number in keys(11, 40, HOSTILE):
        case = tmp_path / f"{kind}-{number}"
        case.mkdir()
        KINDS[kind](np.random.default_rng([seed, order_of(kind), number]), case)
        scans += [("file", (path.name, path.read_bytes())) for path in case.rglob("*") if path.is_file()]
    batch = send(client, scans, path="/v1/batches", spacing="2.4,2.4").json()
    assert len(batch["predictions"]) == len(scans) >= 40
    deadline = time.monotonic() + 60
    while batch["counts"]["queued"] or batch["counts"]["running"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
        batch = client.get(f"/v1/batches/{batch['id']}").json()
    assert batch["counts"]["failed"] > 20
    errors = [job["error"] for job in batch["predictions"] if job["error"]]
    assert {"WorkerDiedError", "KeyError", "ValueError"}.isdisjoint(error["error"] for error in errors)
    shown = [text for error in errors for text in (error["found"], error["expected"], error["do"])]
    assert not [text for text in shown if PERSON in text or str(folder) in text]
    assert not [text for text in shown if re.search(r"\b0000\b", text)]
    for job in client.get("/v1/predictions").json():
        assert client.delete(job["links"]["self"]).status_code == 204
    assert left_over(folder / "data") == []  # no other test has sent anything yet
    log = (folder / "stderr").read_text()
    assert "Traceback" not in log
    assert not [word for word in (PERSON, "20158", str(folder)) if word in log]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_examples_of_the_documentation_give_what_the_command_gives(real, tmp_path):
    client, _ = real
    page = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "curl" in block]
    script = "".join(blocks).replace("http://localhost:8765", str(client.base_url).rstrip("/"))
    for name in (DEMO.name, "copy.zip"):
        (tmp_path / name).write_bytes(DEMO.read_bytes())
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, check=True, timeout=120)

    ((scan,), _) = name_scans([DEMO])
    command = Job(tmp_path / "out", load_bundle(PredictionCard, None).ref, pictures=False, threads=1)
    assert predict_scan(scan, command).failure is None
    expected = (tmp_path / "out" / "1900003_2_0" / "curves.json").read_bytes()
    assert (tmp_path / "curves.json").read_bytes() == expected
    with zipfile.ZipFile(tmp_path / "result.zip") as packed:
        names = {name.removeprefix("1900003_2_0/") for name in packed.namelist()}
        assert packed.read("1900003_2_0/curves.json") == expected
        record = json.loads(packed.read("1900003_2_0/run.json"))
    assert {"report.pdf", "report.html", "spine.html", "sr.dcm", "run.json"} <= names
    assert (record["eid"], record["instance"], record["array"]) == (1900003, 2, 0)
    assert (record["file"], record["input"]) == (DEMO.name, None)
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    rows = (tmp_path / "summary.csv").read_text().splitlines()[1:]
    assert sum(row.startswith("1900003_2_0,done,,1900003_20158_2_0.zip,1900003,2,0,") for row in rows) == 2
    counts = json.loads((tmp_path / "batch.json").read_text())["counts"]
    assert (counts["queued"], counts["running"]) == (0, 0)
