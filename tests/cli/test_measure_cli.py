"""spinelift measure and compare: results, folders and scans in, table, JSON, CSV and picture out."""

import csv
import io
import json

import pytest
from PIL import Image
from predict_cases import spine_png, spine_scan, write_bundle
from typer.testing import CliRunner

import spinelift
from spinelift.cli import app
from spinelift.inference import load_model


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A bundle, and a folder with two results."""
    folder = tmp_path_factory.mktemp("measure")
    model = load_model(write_bundle(folder / "bundle"), threads=1)
    model.predict(spine_scan()).save(folder / "out")
    model.predict(spine_scan()).save(folder / "other")
    return folder


def run(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


def test_the_forms_agree_with_the_document(place):
    file = place / "out" / "1234567_2" / "curves.json"
    document = json.loads(file.read_text())
    whole = document["measures"]
    for given in (file, file.parent, place / "out"):
        (row,) = json.loads(run("measure", given, "--format", "json").output)
        assert row == {key: document[key] for key in ("scan_id", "measures", "levels", "screening")}
    (line,) = csv.DictReader(io.StringIO(run("measure", place / "out", "--format", "csv").output))
    assert float(line["ferguson_deg"]) == whole["ferguson_deg"]["value"]
    assert float(line["kyphosis_low_deg"]) == whole["kyphosis_deg"]["interval90"][0]
    assert line["screening"] == document["screening"]["finding"]
    assert f"{whole['ferguson_deg']['value']:.1f}°" in run("measure", place / "out").output
    assert spinelift.measure(file).to_dict() == spinelift.measure(document).to_dict()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 1}', '{"format": 2, "measures": 3}', '{"format": 2, "measures": {}}']
)
def test_other_files_are_refused_by_name(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    result = run("measure", tmp_path / "a.json")
    assert result.exit_code in (20, 34)
    assert str(tmp_path) not in result.output


def test_an_empty_folder_is_refused(tmp_path):
    assert run("measure", tmp_path).exit_code == 20


def test_a_scan_and_its_own_result_have_no_change(place, tmp_path):
    result = run("compare", place / "out" / "1234567_2", place / "other" / "1234567_2", "-o", tmp_path / "c")
    assert result.exit_code == 0, result.output
    assert result.output.count("no change") == 6
    change = json.loads((tmp_path / "c" / "change.json").read_text())
    assert {row["change"] for row in change["changes"]} == {0}
    with Image.open(tmp_path / "c" / "change.png") as picture:
        assert picture.size[0] > 500


def test_two_scans_are_predicted_and_compared(place, tmp_path):
    first = spine_png(tmp_path / "first.png")
    second = spine_png(tmp_path / "second.png", bottom=(338.0, 800.0))
    result = run(
        "compare",
        first,
        second,
        "--bundle",
        place / "bundle",
        "--spacing",
        "2.427,2.419",
        "-o",
        tmp_path / "c",
    )
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "c" / "change.json").read_text())["scan_ids"] == ["first", "second"]
