"""DICOM objects among the files of a result: made, kept, exchanged, removed and refused."""

import json
import sys

import pydicom
import pytest
from dicom_cases import source_file
from predict_cases import spine_png, write_bundle
from report_cases import needs_pango

from spinelift.bundle import PredictionCard, load_bundle
from spinelift.errors import MissingExtraError
from spinelift.geometry import Spacing
from spinelift.inference.batch import run_batch
from spinelift.inference.scans import name_scans
from spinelift.inference.task import Job
from spinelift.report import DICOM_NAMES

pytestmark = needs_pango


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def run(bundle, tmp_path):
    def run(*paths, dicom):
        job = Job(
            tmp_path / "out", load_bundle(PredictionCard, bundle).ref, str(bundle), pictures=False,
            threads=1, dicom=dicom, spacing=Spacing(2.427, 2.419),
        )  # fmt: skip
        return run_batch(job, name_scans(paths)[0])

    return run


def files(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "run.json"}


def test_the_kind_of_objects_is_an_option_of_the_result(run, tmp_path):
    scan = source_file(tmp_path)
    folder = tmp_path / "out" / "scan"
    assert len(run(scan, dicom="study").new) == 1
    first = files(folder)
    assert set(first) == {"curves.json", "curves.csv", *DICOM_NAMES}
    record = json.loads((folder / "run.json").read_text())
    assert record["options"]["dicom"] == "study"
    assert len(run(scan, dicom="study").kept) == 1

    assert len(run(scan, dicom="deidentified").new) == 1
    assert {pydicom.dcmread(folder / name).PatientID for name in DICOM_NAMES} == {"scan"}
    name = str(pydicom.dcmread(scan).PatientName).encode()
    assert all(name in first[n] for n in DICOM_NAMES)
    assert not any(name in data for data in files(folder).values())

    assert len(run(scan, dicom=None).new) == 1
    assert files(folder) == {n: first[n] for n in ("curves.json", "curves.csv")}


def test_only_the_objects_hold_the_patient(run, tmp_path):
    scan = source_file(tmp_path)
    run(scan, dicom="study")
    header = pydicom.dcmread(scan)
    out = tmp_path / "out"
    others = [p for p in out.rglob("*") if p.is_file() and p.name not in DICOM_NAMES]
    assert len(others) >= 5
    for keyword in ("PatientName", "PatientBirthDate", "StudyInstanceUID", "SOPInstanceUID"):
        assert not [p for p in others if str(header[keyword].value).encode() in p.read_bytes()]


def test_a_picture_fails_and_keeps_its_earlier_result(run, tmp_path):
    picture, scan = spine_png(tmp_path / "bone.png"), source_file(tmp_path)
    run(picture, dicom=None)
    report = run(picture, scan, dicom="study")
    (failed,) = report.failed
    assert failed.failure.error == "UnsupportedImageError"
    assert "a picture without a DICOM header" in failed.failure.shown.found
    assert len(report.new) == 1
    assert not report.removed
    assert (tmp_path / "out" / "bone" / "curves.json").exists()


def test_without_highdicom(monkeypatch, tmp_path):
    from dicom_cases import objects

    for module in [m for m in sys.modules if m.startswith("spinelift.report.dicom.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(MissingExtraError, match=r"spinelift\[dicom\]"):
        objects(source_file(tmp_path))
