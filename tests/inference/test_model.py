import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from predict_cases import (
    BOTTOM_XZ,
    SPACING,
    TOP_XZ,
    calibration,
    curves_px,
    regressor_onnx,
    segmenter_onnx,
    spine_image,
    spine_png,
    spine_scan,
    write_bundle,
)

import spinelift
from spinelift.bundle import PredictionCard, hash_files, load_bundle, write_card
from spinelift.bundle.card import Calibration
from spinelift.curves import Curve, mm_from_json
from spinelift.errors import BundleError, ConfigError, NoSpacingError, NoSpineError
from spinelift.inference import Model, load_model


@pytest.fixture(scope="module")
def bundle_folder(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def model(bundle_folder):
    return load_model(bundle_folder, threads=1)


@pytest.fixture(scope="module")
def prediction(model):
    return model.predict(spine_scan())


def test_the_spine_is_where_it_was_drawn(prediction):
    np.testing.assert_allclose(prediction.location.top_xz_mm, TOP_XZ, atol=3)
    np.testing.assert_allclose(prediction.location.bottom_xz_mm, BOTTOM_XZ, atol=3)
    np.testing.assert_allclose(prediction.curves.z_mm[[0, -1]], [TOP_XZ[1], BOTTOM_XZ[1]], atol=3)


def test_curves_are_the_networks_in_the_frame(prediction):
    frame = prediction.curves.frame
    np.testing.assert_allclose(prediction.curves.px, curves_px(), atol=1e-5)
    want_x = frame.x0_mm + curves_px()[0] * frame.mm_per_px
    np.testing.assert_allclose(prediction.curves.mm[Curve.LEFT], want_x, atol=1e-4)


def test_interval_is_factor_times_scale_times_pixel(prediction):
    half = 2.0 * 1.5 * prediction.curves.frame.mm_per_px
    np.testing.assert_allclose(prediction.half_width_mm, half, rtol=1e-6)
    width = np.diff(prediction.interval90_mm, axis=-1)
    np.testing.assert_allclose(width, 2 * half, rtol=1e-6)
    assert prediction.prior_share == pytest.approx(half / 10)


def test_shift_score_is_distance_over_the_99_percent_quantile(model, tmp_path):
    _, _, features = model._regress(model.locate(spine_scan()).frame.crop(spine_scan().bone))
    for offset, score in ((0.0, 0.0), (20.0, 1.0), (30.0, 1.5)):
        calib = calibration(features + np.array([offset, 0, 0, 0]))
        result = load_model(write_bundle(tmp_path / str(offset), calib), threads=1).predict(spine_scan())
        assert result.shift_score == pytest.approx(score, abs=1e-4)
        assert any("unlike" in w for w in result.warnings) == (score > 1)


def test_a_wide_interval_leans_on_the_prior(tmp_path):
    wide = load_model(write_bundle(tmp_path, scale=2.2), threads=1).predict(spine_scan())
    assert wide.prior_share > 0.9
    assert any("follows the prior" in w for w in wide.warnings)


def test_plausible_spines_follow_the_modes_and_the_seed(prediction):
    spines = prediction.plausible_spines(400, seed=3)
    assert len(spines) == 400
    spread = prediction.spread
    px = spread.sample_px(4000, seed=3, curves=(Curve.CENTRE, Curve.SAGITTAL))
    total = np.maximum(np.sqrt((spread.modes**2).sum(0)), 2.0 / 1.645)[[Curve.CENTRE, Curve.SAGITTAL]]
    np.testing.assert_allclose(px.std(0), 1.5 * total, rtol=0.06)  # as wide as the 90 % interval
    np.testing.assert_allclose(px.mean(0), prediction.curves.px[[Curve.CENTRE, Curve.SAGITTAL]], atol=0.12)
    again = prediction.plausible_spines(400, seed=3)
    assert all((a.px == b.px).all() for a, b in zip(spines, again, strict=True))
    assert (spines[0].px != prediction.plausible_spines(1, seed=4)[0].px).any()
    for s in spines:
        assert (s.px[Curve.LEFT] > s.px[Curve.RIGHT]).all()
        assert (s.px[Curve.ANTERIOR] < s.px[Curve.POSTERIOR]).all()


def test_without_calibration_the_fields_are_left_out_and_it_is_told(tmp_path):
    result = load_model(write_bundle(tmp_path, Calibration()), threads=1).predict(spine_scan())
    assert result.interval90_mm is None
    assert result.plausible_spines() == ()
    assert any("not calibrated" in w for w in result.warnings)
    document = json.loads(result.curves_json())
    assert "interval90" not in document
    assert "shift_score" not in document
    assert result.curves_csv().splitlines()[0].count("low") == 0


def test_curves_json_has_exactly_the_agreed_fields(prediction):
    document = json.loads(prediction.curves_json())
    assert list(document) == [
        "format", "scan_id", "mm_per_px", "z_mm", "coronal_mm", "sagittal_mm", "centreline_mm", "interval90",
        "shift_score", "measures", "levels", "screening", "warnings", "bundle",
    ]  # fmt: skip
    assert list(document["coronal_mm"]) == ["left", "centre", "right"]
    assert list(document["sagittal_mm"]) == ["anterior", "centre", "posterior"]
    assert set(document["bundle"]) == {"name", "version", "sha256"}
    z, mm = mm_from_json(document)
    np.testing.assert_allclose(z, prediction.curves.z_mm, atol=6e-4)
    np.testing.assert_allclose(mm, prediction.curves.mm, atol=6e-4)
    low, high = np.array(document["interval90"]["sagittal_mm"]["centre"]).T
    assert (low < mm[Curve.SAGITTAL]).all()
    assert (mm[Curve.SAGITTAL] < high).all()
    np.testing.assert_allclose(np.array(document["centreline_mm"])[:, 1], mm[Curve.SAGITTAL])


def test_curves_csv_is_a_table_of_209_rows(prediction):
    lines = prediction.curves_csv().splitlines()
    assert len(lines) == 210
    header = lines[0].split(",")
    table = np.array([line.split(",") for line in lines[1:]], float)
    assert header[:3] == ["row", "z_mm", "coronal_left_mm"]
    np.testing.assert_allclose(table[:, 2:8].T, prediction.curves.mm, atol=6e-4)
    low = table[:, header.index("sagittal_centre_low_mm")]
    np.testing.assert_allclose(low, prediction.interval90_mm[Curve.SAGITTAL, :, 0], atol=6e-4)


def test_the_same_input_gives_the_same_bytes(bundle_folder, prediction):
    again = load_model(bundle_folder, threads=1).predict(spine_scan())
    assert again.curves_json() == prediction.curves_json()
    assert again.curves_csv() == prediction.curves_csv()


def test_a_path_is_read_and_its_warnings_are_kept(model, tmp_path):
    result = model.predict(spine_png(tmp_path / "scan.png"), spacing=SPACING)
    np.testing.assert_allclose(result.curves.mm, model.predict(spine_scan()).curves.mm, atol=0.01)
    with pytest.raises(NoSpacingError):
        model.predict(tmp_path / "scan.png")
    warned = dataclasses.replace(spine_scan(), warnings=("metal",))
    assert model.predict(warned).warnings[0] == "metal"


def test_spinelift_predict_is_a_function_whichever_import_came_first(bundle_folder, tmp_path):
    path = spine_png(tmp_path / "scan.png")
    result = spinelift.predict(path, spacing=SPACING, bundle=bundle_folder)
    assert result.curves.px.shape == (6, 209)
    assert spinelift.load_model is load_model


def test_no_spine_is_an_error(model):
    image = spine_image()
    empty = dataclasses.replace(spine_scan(), bone=np.minimum(image, 100).astype(np.float32))
    with pytest.raises(NoSpineError):
        model.predict(empty)


def rewrite(folder, **networks):
    for name, data in networks.items():
        (folder / f"{name}.onnx").write_bytes(data)
    card = json.loads((folder / "card.json").read_text())
    card["files"] = hash_files(folder, card["files"])
    write_card(folder, PredictionCard.model_validate(card))
    return folder


def test_networks_of_another_kind_are_refused(tmp_path):
    folder = write_bundle(tmp_path / "a")
    with pytest.raises(BundleError, match="whose inputs are"):
        load_model(rewrite(folder, segmenter=regressor_onnx()))
    folder = write_bundle(tmp_path / "b")
    with pytest.raises(BundleError, match="whose inputs are"):
        load_model(rewrite(folder, regressor=segmenter_onnx()))
    folder = write_bundle(tmp_path / "c")
    with pytest.raises(BundleError, match="cannot load"):
        load_model(rewrite(folder, regressor=b"not onnx"))


def test_a_network_that_gives_nonsense_is_an_error(tmp_path):
    model = load_model(write_bundle(tmp_path, scale=float("nan")), threads=1)
    with pytest.raises(BundleError, match="not finite"):
        model.predict(spine_scan())


def test_threads_must_be_positive(bundle_folder):
    with pytest.raises(ConfigError):
        Model(load_bundle(PredictionCard, bundle_folder), 0)
    assert Model(load_bundle(PredictionCard, bundle_folder)).threads >= 1


@pytest.mark.parametrize("first", ["spinelift", "spinelift.inference", "spinelift.inference.model"])
def test_predict_is_a_plain_function_of_the_root(first):
    code = (
        f"import {first}, inspect, spinelift\n"
        "assert inspect.isfunction(spinelift.predict) and inspect.isfunction(spinelift.load_model)\n"
        "assert list(inspect.signature(spinelift.predict).parameters) == ['source', 'bundle', 'options']\n"
        "assert spinelift.predict.__doc__ and 'predict' in dir(spinelift)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rotated_trunk_is_a_warning_and_a_reason_to_distrust_the_screening(model, monkeypatch):
    monkeypatch.setattr("spinelift.inference.model.trunk_rotation_deg", lambda bone, location: 15.0)
    found = model.predict(spine_scan())
    reason = next(text for text in found.warnings if "rotated" in text)
    assert reason in found.measured.screening.reasons
