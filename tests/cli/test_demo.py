import numpy as np
import pytest
from predict_cases import BOTTOM_XZ, SPACING, TOP_XZ, curves_px, spine_image, write_bundle
from truth_cases import column_fields, simulated_truth
from typer.testing import CliRunner

from spinelift.cli import app
from spinelift.curves import SpineCurves
from spinelift.geometry import SpineFrame
from spinelift.report import picture_names
from spinelift.simulate.archive.dxa import DxaImage, write_dxa_zip


@pytest.fixture(scope="module")
def person(tmp_path_factory):
    folder = tmp_path_factory.mktemp("person")
    bone = spine_image()
    size = (bone.shape[1] * SPACING.col_mm, bone.shape[0] * SPACING.row_mm)
    images = [DxaImage("Total Body", 1, bone, *size), DxaImage("Total Body", 2, bone, *size)]
    archive = write_dxa_zip(folder, images, eid=1900001, instance=2, rng=np.random.default_rng(0))
    frame = SpineFrame.from_ends(SPACING, top_xz_mm=TOP_XZ, bottom_xz_mm=BOTTOM_XZ)
    truth = folder / "truth.json"
    curves = SpineCurves(curves_px().astype(float), frame)
    fields = {**column_fields(curves.z_mm, curves.mm[1]), "curves_mm": curves.mm}
    truth.write_text(simulated_truth(dxa=fields).model_dump_json())
    return archive, truth, write_bundle(folder / "bundle")


def run(archive, truth, bundle, out):
    options = {"--zip": archive, "--truth": truth, "--bundle": bundle, "--out": out}
    return CliRunner().invoke(app, ["demo", *(str(x) for pair in options.items() for x in pair)])


def test_demo_writes_the_pictures_and_tells_the_error_beside_the_mean_curves(person, tmp_path):
    archive, truth, bundle = person
    result = run(archive, truth, bundle, tmp_path / "out")
    assert result.exit_code == 0, result.output
    for name in picture_names():
        assert (tmp_path / "out" / "1900001_2_0" / name).is_file()
        assert name in result.output
    row = next(line for line in result.output.splitlines() if "3D deviation" in line)
    errors = [float(cell) for cell in row.replace("│", " ").split() if cell.replace(".", "").isdigit()]
    assert len(errors) == 2
    assert errors[0] == errors[1] < 3  # the fake network always gives the card's mean curve


@pytest.mark.parametrize("text", ["", "{", "{}"])
def test_an_unreadable_truth_is_told(person, tmp_path, text):
    archive, _, bundle = person
    truth = tmp_path / "truth.json"
    truth.write_text(text)
    result = run(archive, truth, bundle, tmp_path / "out")
    assert result.exit_code == 32
    assert "--truth" in result.output
