"""The objects before a validator and in a real archive."""

import shutil
import subprocess

import pydicom
import pytest
from dicom_cases import objects, source_file
from orthanc import free_port, missing, orthanc
from report_cases import needs_pango

TOOLS = ("Orthanc", "storescu", "findscu", "movescu")
pytestmark = needs_pango


@pytest.fixture(scope="module", params=["study", "deidentified"])
def folder(request, tmp_path_factory):
    """Files of the objects, of a scan that is stored transposed."""
    folder = tmp_path_factory.mktemp(request.param)

    def change(data):
        data.FrameOfReferenceUID = "1.2.3.4"

    path = source_file(folder, "FR", change)
    for name, data in objects(path, deidentified=request.param == "deidentified").items():
        (folder / name).write_bytes(data)
    path.unlink()
    for archive in folder.glob("*.zip"):
        archive.unlink()
    return folder


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="no dciodvfy (Debian's dicom3tools)")
def test_a_validator_finds_no_errors(folder):
    for file in sorted(folder.iterdir()):
        run = subprocess.run(["dciodvfy", file], capture_output=True, text=True, check=False)
        said = (run.stdout + run.stderr).splitlines()
        assert not [line for line in said if line.startswith("Error")], file.name
        assert [line for line in said if line and not line.startswith("Warning")], "its kind is known"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """An Orthanc that runs: its port, and the port at which it delivers to AE title ME."""
    if tool := missing(*TOOLS):
        pytest.skip(f"no {tool} (Debian's orthanc and dcmtk)")
    port, mine = free_port(), free_port()
    modalities = {"me": ["ME", "127.0.0.1", mine]}
    folder = tmp_path_factory.mktemp("orthanc")
    with orthanc(folder, port, UnknownSopClassAccepted=True, DicomModalities=modalities):
        yield port, mine


def test_an_archive_stores_finds_and_returns_them(folder, archive, tmp_path):
    port, mine = archive
    sent = {file: pydicom.dcmread(file) for file in folder.iterdir()}
    study = next(iter(sent.values())).StudyInstanceUID
    node = ["-aec", "ORTHANC", "127.0.0.1", str(port)]
    key = ["-k", f"StudyInstanceUID={study}"]

    def run(*command):
        subprocess.run(list(map(str, command)), check=True, capture_output=True, timeout=120)

    run("storescu", "--required", *node, *sent)
    found, got = tmp_path / "found", tmp_path / "got"
    found.mkdir()
    got.mkdir()
    wanted = ["SeriesInstanceUID", "SOPInstanceUID", "Modality", "PatientID"]
    keys = [*key, *(word for name in wanted for word in ("-k", name))]
    run("findscu", "-S", "-X", "-od", found, "-k", "QueryRetrieveLevel=IMAGE", *keys, *node)
    answers = [pydicom.dcmread(file) for file in found.iterdir()]
    known = {tuple(data[name].value for name in wanted) for data in sent.values()}
    assert {tuple(data[name].value for name in wanted) for data in answers} == known

    query = ["-k", "QueryRetrieveLevel=STUDY", *key]
    run("movescu", "-S", "-aet", "ME", "-aem", "ME", "+P", mine, "-od", got, *query, *node)
    returned = {data.SOPInstanceUID: data for data in map(pydicom.dcmread, got.iterdir())}
    assert len(returned) == len(sent) == 5
    for data in sent.values():
        assert returned[data.SOPInstanceUID] == data
