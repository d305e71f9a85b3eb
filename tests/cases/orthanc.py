"""Debian's Orthanc as an archive, and Debian's storescu."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as Find

AE_TITLE = "ORTHANC"


def missing(*tools: str) -> str:
    """The first of the programs that is not installed, or an empty text."""
    return next((tool for tool in tools if shutil.which(tool) is None), "")


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def orthanc(folder: Path, port: int, **settings: object) -> Iterator[None]:
    """An Orthanc that runs, with its data in a folder; it can be started there again."""
    folder.mkdir(exist_ok=True)
    values = {
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "DicomPort": port,
        "HttpServerEnabled": False, "DicomAlwaysAllowFind": True, "DicomAlwaysAllowMove": True,
        "DicomAet": AE_TITLE,
    }  # fmt: skip
    config, log = folder / "orthanc.json", folder / "log"
    config.write_text(json.dumps(values | settings), encoding="utf-8")
    with log.open("wb") as output:
        process = subprocess.Popen(["Orthanc", config], stdout=output, stderr=output)
    try:
        for _ in range(300):
            if b"Orthanc has started" in log.read_bytes():
                break
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(20)


def series_of(port: int, study: str) -> list[str]:
    """Descriptions of the series of a study in the archive."""
    ae = AE("SPINELIFT")
    ae.add_requested_context(Find)
    association = ae.associate("127.0.0.1", port, ae_title=AE_TITLE)
    if not association.is_established:
        return []
    query = Dataset()
    query.QueryRetrieveLevel, query.StudyInstanceUID = "SERIES", study
    query.SeriesInstanceUID = query.SeriesDescription = ""
    found = [data for _, data in association.send_c_find(query, Find) if data is not None]
    association.release()
    return sorted(str(data.get("SeriesDescription", "")) for data in found)
