import json
import zipfile

import pytest
from predict_cases import calibration, write_bundle
from pydantic import ValidationError

from spinelift.bundle import Bundle, Card
from spinelift.errors import BundleError


@pytest.fixture
def folder(tmp_path):
    return write_bundle(tmp_path / "bundle")


def edit(folder, change):
    card = json.loads((folder / "card.json").read_text())
    change(card)
    (folder / "card.json").write_text(json.dumps(card))


def test_folder_and_zip_give_the_same_bundle(folder, tmp_path):
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for item in folder.iterdir():
            archive.write(item, f"inside/{item.name}")
    a, b = Bundle.load(folder), Bundle.load(path)
    assert a == b
    assert a.ref.name == "fake"
    assert len(a.ref.sha256) == 64


def test_card_round_trip(folder):
    card = Bundle.load(folder).card
    assert Card.model_validate_json(card.to_bytes()) == card
    assert card.calibration == calibration()


def test_an_altered_file_is_refused(folder):
    data = bytearray((folder / "regressor.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "regressor.onnx").write_bytes(data)
    with pytest.raises(BundleError, match=r"regressor\.onnx with SHA-256"):
        Bundle.load(folder)


@pytest.mark.parametrize("name", ["card.json", "segmenter.onnx"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(BundleError, match=f"without {name}"):
        Bundle.load(folder)


def test_other_preprocessing_is_refused(folder):
    edit(folder, lambda card: card["preprocessing"].update(grid_mm=2.0))
    with pytest.raises(BundleError, match="other preprocessing"):
        Bundle.load(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(surprise=1),
        lambda c: c["files"].update({"../evil": "0" * 64}),
        lambda c: c["files"].pop("regressor.onnx"),
        lambda c: c["calibration"].update(interval90=[[1.0]]),
        lambda c: c["calibration"].update(residual_modes=[[1.0]]),
        lambda c: c["calibration"]["shift"].update(quantiles={}),
        lambda c: c["calibration"]["shift"].update(mean=[1.0]),
        lambda c: c.update(format=2),
    ],
)
def test_a_card_that_does_not_fit_is_refused(folder, change):
    edit(folder, change)
    with pytest.raises(BundleError, match="card that does not fit"):
        Bundle.load(folder)


def test_no_bundle_and_no_zip(tmp_path):
    with pytest.raises(BundleError, match="no model bundle"):
        Bundle.load(tmp_path / "nothing")
    path = tmp_path / "b.zip"
    path.write_bytes(b"not a zip")
    with pytest.raises(BundleError, match="damaged"):
        Bundle.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme", "")
    with pytest.raises(BundleError, match=r"without card\.json"):
        Bundle.load(path)


def test_not_a_number_does_not_get_into_a_card():
    with pytest.raises(ValidationError):
        calibration().model_copy().model_validate({"interval90": [[float("nan")] * 209] * 6})
