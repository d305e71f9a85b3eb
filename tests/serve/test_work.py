"""What a worker does with a scan, as far as it needs no network."""

import io
import re
import zipfile
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from spinelift.bundle import BundleRef
from spinelift.cli.demo import DATA
from spinelift.errors import WrongModalityError
from spinelift.inference import task as inference
from spinelift.io.dxa.visit import PASS_AREA
from spinelift.serve import work
from spinelift.serve.job import JobOptions
from spinelift.serve.work import Task

NO_BUNDLE = BundleRef("none", "0", "")


def predict(folder, name, content, suffix="", **options):
    (folder / "input").mkdir()
    (folder / "input" / f"0000{suffix}").write_bytes(content)
    return work.predict(Task(folder, name, 1, JobOptions(**options), None, NO_BUNDLE))


def picture():
    data = io.BytesIO()
    Image.fromarray(np.tile(np.arange(200, dtype=np.uint8), (400, 1))).save(data, "PNG")
    return data.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "suffix", "error", "word"),
    [
        ("Bone scan.png", picture(), ".png", "NoSpacingError", "picture"),
        ("empty.zip", b"", ".zip", "EmptyFileError", "empty.zip"),
        ("1234567_20201_2_0.zip", b"PK\5\6" + bytes(18), ".zip", "WrongModalityError", "20201"),
        ("thing.jpg", b"\xff\xd8\xff" + bytes(300), "", "UnsupportedImageError", "thing.jpg"),
    ],
)
def test_errors_know_a_scan_by_the_name_that_the_client_gave(tmp_path, name, content, suffix, error, word):
    problem = predict(tmp_path, name, content, suffix).problem
    assert problem.error == error
    assert word in problem.found
    assert "0000" not in problem.found
    assert "--" not in problem.do


def test_the_page_offers_the_area_where_an_error_advises_it():
    error = WrongModalityError(found="a hip", expected="a total body", do=PASS_AREA)
    advised = work._problem(inference.Failure.of(error, "read")).do
    script = (files("spinelift") / "serve" / "page" / "result.js").read_text("utf-8")
    (words,) = re.findall(r'problem\.do\.includes\("([^"]+)"\)', script)
    assert words in advised


def test_a_scan_has_the_id_of_its_name(tmp_path):
    ids = ("1234567_20158_3_1.zip", "1234567_3_1"), ("Bone scan.PNG", "Bone_scan"), ("", "dxa-e3b0c44298fc")
    for number, (name, scan_id) in enumerate(ids):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert predict(folder, name, b"").scan_id == scan_id


@pytest.mark.parametrize(("missing", "dicom"), [((), "study"), (("PatientID", "StudyInstanceUID"), None)])
def test_dicom_objects_are_made_where_the_header_allows_it(tmp_path, monkeypatch, missing, dicom):
    """A header without the identifiers of the study costs the objects, with a warning, and not the result."""
    asked = []
    failure = inference.Failure.of(ValueError("Zzyzx"), "predict")

    def predict_scan(scan, job, **_):
        asked.append(job.dicom)
        return inference.Outcome(scan, failure=failure)

    monkeypatch.setattr(work.inference, "predict_scan", predict_scan)
    data = io.BytesIO()
    with zipfile.ZipFile(DATA / "1900003_20158_2_0.zip") as demo, zipfile.ZipFile(data, "w") as packed:
        for member in demo.namelist():
            content = demo.read(member)
            if content[128:132] == b"DICM":
                header, changed = dcmread(io.BytesIO(content)), io.BytesIO()
                for keyword in missing:
                    header[keyword].value = ""
                header.save_as(changed)
                content = changed.getvalue()
            packed.writestr(member, content)
    problem = predict(tmp_path, "a.zip", data.getvalue(), ".zip").problem
    assert asked == [dicom]
    assert "Zzyzx" not in repr(problem)
    assert "--verbose" not in problem.do
    _, notes = work._dicom(tmp_path / "input" / "0000.zip", None)
    assert [note.startswith("No DICOM objects: a DICOM header without") for note in notes] == [True] * (
        not dicom
    )
