"""One format for every kind of set: what is missing, altered, too large or of another kind is refused."""

import json
import os
import shutil
import subprocess
import sys
import zipfile

import pytest
from predict_cases import calibration, regressor_onnx, write_bundle
from pydantic import ValidationError

from spinelift.bundle import (
    EncodersCard,
    LvaCard,
    MriSegmenterCard,
    OnnxNetwork,
    PredictionCard,
    add_metrics,
    load_bundle,
)
from spinelift.bundle import bundle as bundle_module
from spinelift.bundle.bundle import SHIPPED
from spinelift.bundle.card import Metric
from spinelift.bundle.kinds import DxaPreprocessing
from spinelift.errors import BundleError

KINDS = (PredictionCard, MriSegmenterCard, EncodersCard, LvaCard)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.SHIPPED)
def kind(request):
    return request.param


@pytest.fixture
def folder(kind, tmp_path):
    """A set of each kind; the shipped ones but for the large one."""
    if kind is PredictionCard:
        return write_bundle(tmp_path / "set")
    return shutil.copytree(SHIPPED / kind.SHIPPED, tmp_path / "set")


@pytest.fixture
def prediction(tmp_path):
    return write_bundle(tmp_path / "bundle")


def edit(folder, change):
    card = json.loads((folder / "card.json").read_text())
    change(card)
    (folder / "card.json").write_text(json.dumps(card))


def zipped(folder, path):
    with zipfile.ZipFile(path, "w") as archive:
        for item in folder.iterdir():
            archive.write(item, f"inside/{item.name}")
    return path


def test_folder_and_zip_give_the_same_set(kind, folder, tmp_path):
    a, b = load_bundle(kind, folder), load_bundle(kind, zipped(folder, tmp_path / "b.zip"))
    assert a == b
    assert len(a.ref.sha256) == 64
    assert set(a.networks) == set(a.card.preprocessing.signatures())


def test_card_round_trip(kind, folder):
    card = load_bundle(kind, folder).card
    assert kind.model_validate_json(card.model_dump_json()) == card


def test_an_altered_network_is_refused(kind, folder, tmp_path):
    name = next(iter(folder.glob("*.onnx"))).name
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    for path in (folder, zipped(folder, tmp_path / "b.zip")):
        with pytest.raises(BundleError, match=f"{name} with SHA-256"):
            load_bundle(kind, path)


def test_a_missing_file_is_named(kind, folder, tmp_path):
    for name in (next(iter(folder.glob("*.onnx"))).name, "card.json"):
        (folder / name).unlink()
        for path in (folder, zipped(folder, tmp_path / "b.zip")):
            with pytest.raises(BundleError, match=f"without {name}"):
                load_bundle(kind, path)


def test_a_set_of_another_kind_is_refused(kind, folder):
    for other in KINDS:
        if other is not kind:
            with pytest.raises(BundleError, match="card that does not fit") as raised:
                load_bundle(other, folder)
            assert f"kind {other.model_fields['kind'].default}" in raised.value.expected


def test_a_file_too_large_is_not_read(kind, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle_module, "MAX_FILE_BYTES", 1000)
    for path in (folder, zipped(folder, tmp_path / "b.zip")):
        with pytest.raises(BundleError, match="too large"):
            load_bundle(kind, path)


def test_other_preprocessing_is_refused(prediction, tmp_path):
    edit(prediction, lambda card: card["preprocessing"].update(grid_mm=2.0))
    with pytest.raises(BundleError, match="other preprocessing"):
        load_bundle(PredictionCard, prediction)
    mri = shutil.copytree(SHIPPED / "mri_segmenter", tmp_path / "mri")
    edit(mri, lambda card: card["preprocessing"].update(size_px=128))
    with pytest.raises(BundleError, match="other preprocessing"):
        load_bundle(MriSegmenterCard, mri)


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
        lambda c: c.update(kind="encoders"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(prediction, change):
    edit(prediction, change)
    with pytest.raises(BundleError, match="card that does not fit"):
        load_bundle(PredictionCard, prediction)


def test_no_bundle_and_no_zip(tmp_path):
    with pytest.raises(BundleError, match="no bundle"):
        load_bundle(PredictionCard, tmp_path / "nothing")
    path = tmp_path / "b.zip"
    path.write_bytes(b"not a zip")
    with pytest.raises(BundleError, match="damaged"):
        load_bundle(PredictionCard, path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme", "")
    with pytest.raises(BundleError, match=r"without card\.json"):
        load_bundle(PredictionCard, path)


def test_a_zip_with_a_password_or_a_broken_stream_is_refused(prediction, tmp_path):
    for old, new in ((b"\0\0\0\0", b"\x01\0\0\0"), (b"\0\0\0\0", b"\0\0\x63\0")):
        data = zipped(prediction, tmp_path / "b.zip").read_bytes()
        broken = data.replace(b"PK\x01\x02\x14\x03\x14\0" + old, b"PK\x01\x02\x14\x03\x14\0" + new)
        assert broken != data
        (tmp_path / "b.zip").write_bytes(broken)
        with pytest.raises(BundleError, match="damaged"):
            load_bundle(PredictionCard, tmp_path / "b.zip")


def test_not_a_number_does_not_get_into_a_card():
    with pytest.raises(ValidationError):
        calibration().model_copy().model_validate({"interval90": [[float("nan")] * 209] * 6})


def test_figures_of_a_data_set_replace_its_earlier_ones(prediction):
    def metric(dataset, value):
        return Metric(name="mae", dataset=dataset, value=value, unit="mm", spines=1)

    add_metrics(PredictionCard, prediction, [metric("a", 1), metric("b", 2)])
    card = add_metrics(PredictionCard, prediction, [metric("a", 3)])
    assert {m.dataset: m.value for m in card.metrics} == {"a": 3, "b": 2}
    assert load_bundle(PredictionCard, prediction).card == card
    with pytest.raises(BundleError, match="no folder"):
        add_metrics(PredictionCard, prediction / "card.json", [])


def test_every_network_runs_with_the_same_options():
    network = OnnxNetwork(regressor_onnx(), "regressor", DxaPreprocessing().signatures()["regressor"], 2)
    options = network._session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)
    assert options.use_deterministic_compute
    assert options.log_severity_level == 3


def test_the_runtime_keeps_no_session_of_its_own_and_sends_nothing(tmp_path):
    """ONNX Runtime's telemetry, which official builds have on, writes the id of its session to a file."""
    code = "import spinelift.bundle.session, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "1"
    assert not list(tmp_path.iterdir())
