"""A study on its way: storescu → ``spinelift serve`` with a node → Orthanc, which is away for a while."""

import io
import os
import signal
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from functools import partial
from importlib.resources import files

import pydicom
import pytest
import yaml
from node_cases import send, until
from orthanc import AE_TITLE, free_port, missing, orthanc, series_of
from report_cases import needs_pango

pytestmark = needs_pango
DEMO = files("spinelift") / "demo" / "1900003_20158_2_0.zip"
RESULTS = {
    "spinelift measurements",
    "spinelift spine on the DXA",
    "spinelift overlay",
    "spinelift report page",
}


@contextmanager
def serving(folder, config):
    """A server with a node, which is killed at the end."""
    command = [sys.executable, "-m", "spinelift", "serve", "--no-browser", "--port", "0", "--workers", "1"]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "--data", folder / "data", "--node", config], stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_study_comes_back_with_its_results_though_the_archive_was_away_and_the_node_was_killed(tmp_path):
    if tool := missing("Orthanc", "storescu"):
        pytest.skip(f"no {tool} (Debian's orthanc and dcmtk)")
    port, archive_port = free_port(), free_port()
    config = tmp_path / "node.yaml"
    document = {
        "port": port,
        "peers": [{"ae_title": AE_TITLE, "addresses": ["127.0.0.1"]}],
        "archive": {"ae_title": AE_TITLE, "host": "127.0.0.1", "port": archive_port},
        "pause_seconds": 0.2, "retry_seconds": [0.5],
    }  # fmt: skip
    document["archive"] |= {"storage_commitment": True}
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
    study = None
    with zipfile.ZipFile(DEMO) as demo:
        for name in demo.namelist():
            if name.endswith(".dcm"):
                data = demo.read(name)
                (tmp_path / name).write_bytes(data)
                study = pydicom.dcmread(io.BytesIO(data)).StudyInstanceUID
    images = sorted(tmp_path.glob("*.dcm"))
    node = {"AET": "SPINELIFT", "Host": "127.0.0.1", "Port": port, "AllowStorageCommitment": True}
    archive = partial(orthanc, tmp_path / "orthanc", archive_port, DicomModalities={"node": node})
    out = tmp_path / "data" / "dicom" / "out"
    with serving(tmp_path, config):
        until(lambda: send(port, [], calling=AE_TITLE) == [0], 60)
        peers = ["-aet", AE_TITLE, "-aec", "SPINELIFT", "127.0.0.1", str(port)]
        subprocess.run(["storescu", *peers, *images], check=True, capture_output=True, timeout=60)
        until(lambda: list(out.glob("*/sr.dcm")) and b"next attempt" in (tmp_path / "log").read_bytes(), 90)
    with archive(), serving(tmp_path, config):
        until(lambda: set(series_of(archive_port, study)) >= RESULTS, 60)
        until(lambda: not list(out.iterdir()), 20)
    log = (tmp_path / "log").read_text(encoding="utf-8")
    assert "Traceback" not in log
    assert study not in log
