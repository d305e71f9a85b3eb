"""The bundle that ships: end to end on the demo's person, and on images that hold no spine."""

import json

import numpy as np
import pytest

from spinelift.align.onnx import choose_encoders
from spinelift.bundle import EncodersCard, load_bundle
from spinelift.bundle.bundle import SHIPPED
from spinelift.cli.demo import DATA
from spinelift.curves import resample_rows
from spinelift.errors import NoSpineError
from spinelift.geometry import Spacing
from spinelift.inference.model import load_model
from spinelift.io import DxaScan, read_dxa
from spinelift.io.truth import read_truth
from spinelift.segment.mri import MriSegmenter


@pytest.fixture(scope="module")
def model():
    return load_model(threads=1)


@pytest.fixture(scope="module")
def scan():
    return read_dxa(next(DATA.glob("*.zip")))


@pytest.fixture(scope="module")
def errors(model, scan):
    """Mean absolute error of each curve, mm [6], for the scan as it is and mirrored."""
    true = read_truth(DATA / "truth.json").dxa
    z_true, mm_true = true.z_mm, true.curves_mm

    def error(prediction, mm):
        return np.abs(resample_rows(prediction.curves.z_mm, prediction.curves.mm, z_true) - mm).mean(1)

    mirrored = DxaScan("mirrored", scan.bone[:, ::-1].copy(), None, scan.spacing, scan.sha256)
    width = (scan.bone.shape[1] - 1) * scan.spacing.col_mm
    mm_mirrored = mm_true.copy()
    mm_mirrored[:3] = width - mm_true[[2, 1, 0]]
    return error(model.predict(scan), mm_true), error(model.predict(mirrored), mm_mirrored)


def test_the_curves_lie_on_the_spine(errors):
    assert errors[0][:3].max() < 3.0


def test_a_mirrored_person_gives_the_mirrored_spine(errors):
    assert errors[1][:3].max() < 3.0


def test_the_same_scan_gives_the_same_bytes(model, scan):
    first, second = (json.dumps(model.predict(scan).curves_json()) for _ in range(2))
    assert first == second


def test_intervals_are_positive_and_hold_the_plausible_spines(model, scan):
    prediction = model.predict(scan)
    assert (prediction.half_width_mm > 0).all()
    assert prediction.shift_score > 0
    assert len(prediction.plausible_spines(5, seed=1)) == 5


@pytest.mark.parametrize("kind", ["noise", "legs", "gradient"])
def test_an_image_without_a_spine_is_refused(model, scan, kind):
    bone = scan.bone
    rows = bone.shape[0]
    if kind == "noise":
        image = np.random.default_rng(0).uniform(0, 255, bone.shape).astype(np.float32)
    elif kind == "legs":
        image = np.concatenate(
            [bone[rows * 6 // 10 :], np.zeros((rows * 6 // 10, bone.shape[1]), np.float32)]
        )
    else:
        image = np.tile(np.linspace(0, 255, bone.shape[1], dtype=np.float32), (rows, 1))
    with pytest.raises(NoSpineError):
        model.predict(DxaScan("none", image, None, Spacing(2.427, 2.419), "0" * 64))


def test_networks_that_ship_tell_nothing_of_the_machine_that_made_them():
    networks = sorted(SHIPPED.glob("*/*.onnx"))
    names = {f.name for f in networks}
    assert names == {f"{n}.onnx" for n in ("regressor", "segmenter", "slices", "ends", "dxa", "mri")}
    for network in networks:
        assert b"site-packages" not in network.read_bytes()


def test_the_encoders_that_ship_load_and_say_what_they_are_from():
    encoders = choose_encoders(None)
    assert encoders is not None
    assert encoders.digest
    assert choose_encoders("none") is None
    training = load_bundle(EncodersCard).card.training
    assert training.people > 100
    assert training.details["validation_matched"] > 0.5


def test_the_mri_networks_that_ship_load():
    assert MriSegmenter.load().digest
