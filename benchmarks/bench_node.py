"""Studies through a DICOM node while its archive is away: what arrives, and how long after.

``python benchmarks/bench_node.py [STUDIES] [SECONDS]``: so many copies of the demo study (10) are sent by
C-STORE to ``spinelift serve`` with a node, whose archive, Debian's Orthanc, is away for so long (60).
"""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from importlib.resources import files
from pathlib import Path

import pydicom
import yaml
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, build_context

DEMO = files("spinelift") / "demo" / "1900003_20158_2_0.zip"
IMAGE_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
RESULTS = {"SR", "SEG", "DOC", "OT"}
"""Modalities of the results that every archive takes."""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def orthanc(folder: Path, port: int) -> subprocess.Popen[bytes]:
    values = {
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "DicomPort": port,
        "HttpServerEnabled": False, "DicomAlwaysAllowFind": True, "DicomAet": "ORTHANC",
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(values))
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(["Orthanc", folder / "orthanc.json"], stdout=log, stderr=log)


def echo(port: int) -> bool:
    association = AE("ORTHANC").associate(
        "127.0.0.1", port, [build_context("1.2.840.10008.1.1")], "SPINELIFT"
    )
    if association.is_established:
        association.release()
        return True
    return False


def study() -> tuple[str, list[Dataset]]:
    """The demo's study under new identifiers."""
    uid, images = generate_uid(), []
    with zipfile.ZipFile(io.BytesIO(DEMO.read_bytes())) as packed:
        for name in packed.namelist():
            if name.endswith(".dcm"):
                data = pydicom.dcmread(io.BytesIO(packed.read(name)))
                data.StudyInstanceUID, data.SOPInstanceUID = uid, generate_uid()
                data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
                images.append(data)
    return uid, images


def send(port: int, images: list[Dataset]) -> None:
    contexts = [
        build_context(cls, syntax)
        for cls, syntax in {(d.SOPClassUID, d.file_meta.TransferSyntaxUID) for d in images}
    ]
    association = AE("ORTHANC").associate("127.0.0.1", port, contexts, "SPINELIFT")
    assert association.is_established
    for data in images:
        assert association.send_c_store(data).Status == 0
    association.release()


def modalities(port: int, uid: str) -> list[str]:
    """Modalities of the series of a study in the archive."""
    association = AE("SPINELIFT").associate("127.0.0.1", port, [build_context(IMAGE_FIND)], "ORTHANC")
    if not association.is_established:
        return []
    query = Dataset()
    query.QueryRetrieveLevel, query.StudyInstanceUID, query.Modality = "SERIES", uid, ""
    found = [data for _, data in association.send_c_find(query, IMAGE_FIND) if data is not None]
    association.release()
    return [str(data.Modality) for data in found]


def main() -> None:
    count, away = (int(n) for n in (*sys.argv[1:], *("10", "60")[len(sys.argv) - 1 :]))
    port, archive_port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "orthanc").mkdir()
        config = {
            "port": port, "pause_seconds": 1, "retry_seconds": [5],
            "peers": [{"ae_title": "ORTHANC", "addresses": ["127.0.0.1"]}],
            "archive": {"ae_title": "ORTHANC", "host": "127.0.0.1", "port": archive_port},
        }  # fmt: skip
        (folder / "node.yaml").write_text(yaml.safe_dump(config))
        command = [sys.executable, "-m", "spinelift", "serve", "--no-browser", "--port", "0"]
        with (folder / "log").open("ab") as log:
            node = ["--data", folder / "data", "--node", folder / "node.yaml"]
            server = subprocess.Popen([*command, *node], stdout=log, stderr=log, start_new_session=True)
        archive = None
        try:
            while not echo(port):
                time.sleep(0.2)
            start, studies = time.perf_counter(), {}
            for _ in range(count):
                uid, images = study()
                send(port, images)
                studies[uid] = images
            print(f"{count} studies taken in {time.perf_counter() - start:.1f} s; no archive")
            time.sleep(max(0, away - (time.perf_counter() - start)))
            archive, back = orthanc(folder / "orthanc", archive_port), time.perf_counter()
            print(f"archive back after {back - start:.0f} s")
            missing = set(studies)
            while missing and time.perf_counter() - back < 600:
                missing = {uid for uid in missing if not set(modalities(archive_port, uid)) >= RESULTS}
                time.sleep(0.5)
            print(f"{count - len(missing)} of {count} complete {time.perf_counter() - back:.1f} s after that")
            until = time.perf_counter() + 20
            while any((folder / "data" / "dicom" / "out").iterdir()) and time.perf_counter() < until:
                time.sleep(0.2)
            print(f"{len(list((folder / 'data' / 'dicom' / 'out').iterdir()))} deliveries left on the node")
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
            if archive:
                archive.terminate()
                archive.wait()
        print("tracebacks in the log:", (folder / "log").read_text().count("Traceback"))


if __name__ == "__main__":
    main()
