"""A pair from files to numbers and picture; projections; masks from files."""

import hashlib
import json
from dataclasses import replace
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
from align_cases import body_pair, column_pair, truth_of
from io_cases import visit_zip
from PIL import Image
from truth_cases import column_fields, simulated_truth
from typer.testing import CliRunner

from spinelift.align import MIN_OVERLAP
from spinelift.align.masks import labelled_spine, pair_masks, read_dxa_mask
from spinelift.align.pipeline import align_pair
from spinelift.align.plane import PairMasks, project_mask, project_volume
from spinelift.align.preview import _legend, preview_png
from spinelift.align.spine_level import SpineMatch, overlap
from spinelift.cli.align import app
from spinelift.errors import (
    ConfigError,
    IdentityMismatchError,
    NoScansError,
    NoSpineError,
    UnsupportedImageError,
)
from spinelift.geometry import Spacing
from spinelift.io import read_dxa
from spinelift.io.dixon.volume import STITCH_GRID, DixonVolume
from spinelift.io.identity import Identity
from spinelift.io.nifti.labels import LabelScheme
from spinelift.io.truth import read_truth


def small_volume():
    """A volume of 60 × 6 × 40 voxels, measured from row 5 on, with one bright spot."""
    water = np.zeros((60, 6, 40), np.float32)
    water[5:55] = 10.0
    water[20, 2, 30] += 60.0
    return DixonVolume("1234567_2", water, water / 2, (-39.0, -5.0, -500.0), (5, 55))


def lopsided(x_mm, z_mm):
    """A column as the simulator writes it."""
    s = np.linspace(0, 1, 209)
    centre = x_mm + 9 * np.sin(6 * s)
    return column_fields(z_mm + 440 * s, centre, left=14 + 8 * s, right=13 + 4 * s)


def truth_file(path, *, x_mm=310.0):
    moved = {"rotation_deg": 0.0, "dx_mm": x_mm, "dz_mm": 820.0}
    truth = simulated_truth(dxa=lopsided(x_mm, 300.0), mri=lopsided(0.0, -520.0), moved=moved)
    path.write_text(truth.model_dump_json())
    return path


def test_projections_lie_where_the_volume_does():
    volume = small_volume()
    image = project_volume(volume)
    assert image.pixels.shape == (2, 50, 40)
    assert image.grid.origin_mm == (-39.0, -490.0)
    assert image.pixels[0, 15, 30] == pytest.approx(20.0)
    assert image.pixels[1, 0, 0] == pytest.approx(5.0)
    mask = np.zeros((60, 6, 40), bool)
    mask[20, 1, 30] = mask[21, 5, 30] = True
    flat = project_mask(mask, volume)
    assert flat.values.sum() == 2
    np.testing.assert_allclose(flat.grid.to_mm(np.array([20, 30])), [21.0, -460.0])
    with pytest.raises(UnsupportedImageError):
        project_mask(mask[1:], volume)


def test_the_truth_of_a_pair_fits_itself(tmp_path):
    truth = read_truth(truth_file(tmp_path / "truth.json"))
    masks = pair_masks(truth)
    assert masks.dxa.values.max() == 1.0
    left, _, right = truth.dxa.curves_mm[:3]
    assert masks.dxa.values.sum() == pytest.approx(440 * np.mean(left - right), rel=0.01)
    assert overlap(masks.dxa, masks.mri, truth.pair.to_dxa.transform) > 0.99


def test_a_pair_through_both_stages_and_its_picture():
    truth = truth_of(1.2, 215.0, 350.0, about=(8.0, 48.0))
    images = body_pair(truth)
    masks = PairMasks(*column_pair(truth))
    alignment = align_pair(*images, masks)
    assert alignment.accepted
    before, first, second = alignment.iou
    assert before < first < second
    assert alignment.transform.rotation_deg == pytest.approx(1.2, abs=0.1)
    strict = align_pair(*images, masks, min_iou=0.999)
    assert not strict.accepted
    assert (strict.to_json()["min_iou"], alignment.to_json()["min_iou"]) == (0.999, MIN_OVERLAP)
    assert "less than 1.00" in _legend(strict, None)
    assert "DXA (file)" in _legend(alignment, ("file", "segmenter"))
    assert json.loads(json.dumps(alignment.to_json()))["stage2"]["residual_mm"] == pytest.approx(
        SpineMatch.of(masks.dxa, masks.mri, alignment.transform).residual_mm, abs=1e-3
    )
    wide = Image.open(BytesIO(preview_png(alignment, *images, masks))).size[0]
    bare = align_pair(*images)
    assert (bare.accepted, bare.iou, set(bare.to_json()) & {"stage2"}) == (None, (), set())
    assert Image.open(BytesIO(preview_png(bare, *images, None))).size[0] < wide


def test_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr("spinelift.io.dixon.read.read_dixon", lambda path: small_volume())
    scan, picture = visit_zip(tmp_path), tmp_path / "pair.png"
    truth = truth_file(tmp_path / "truth.json")
    done = CliRunner().invoke(
        app, [str(scan), "mri.zip", "--truth", str(truth), "--preview", str(picture)], catch_exceptions=False
    )
    assert done.exit_code == 0
    result = json.loads(done.stdout)
    assert result["accepted"]
    assert result["stage2"]["rotation_deg"] == pytest.approx(0.0, abs=0.05)
    assert result["stage2"]["dx_mm"] == pytest.approx(310.0, abs=0.3)
    assert result["stage2"]["dz_mm"] == pytest.approx(820.0, abs=5)  # these images are not of one body
    assert picture.read_bytes().startswith(b"\x89PNG")
    strict = [str(scan), "mri.zip", "--truth", str(truth), "--min-iou", "1"]
    refused = json.loads(CliRunner().invoke(app, strict, catch_exceptions=False).stdout)
    assert (refused["accepted"], refused["min_iou"]) == (False, 1.0)
    assert CliRunner().invoke(app, [*strict[:-1], "1.2"]).exit_code == 2
    out = tmp_path / "pair.json"
    bare = [str(scan), "mri.zip", "--no-spine-level", "-o", str(out)]
    CliRunner().invoke(app, bare, catch_exceptions=False)
    document = json.loads(out.read_text())
    assert (document["accepted"], document["masks"]) == (None, {})
    assert "stage2" not in document


CHOICES = {
    "truth with a mask": ["--truth", "t.json", "--dxa-mask", "m.png"],
    "truth without stage 2": ["--truth", "t.json", "--no-spine-level"],
    "a mask without stage 2": ["--mri-mask", "m.nii.gz", "--no-spine-level"],
    "labels without a map": ["--mri-labels", "vibesegmentator"],
    "unknown labels": ["--mri-mask", "m.nii.gz", "--mri-labels", "someone's"],
}


@pytest.mark.parametrize("options", CHOICES.values(), ids=CHOICES)
def test_options_that_contradict_each_other_are_refused_before_anything_is_read(options):
    with pytest.raises(ConfigError) as refused:
        CliRunner().invoke(app, ["no.zip", "no.zip", *options], catch_exceptions=False)
    assert all(name in refused.value.found or "labels" in options[-2] for name in options if "--" in name)


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """A pair whose segmenters find the true columns, and files of masks of the same columns."""
    truth = read_truth(truth_file(tmp_path / "truth.json"))
    masks = pair_masks(truth)
    location = SimpleNamespace(mask=masks.dxa, warnings=("the spine was found with low confidence",))
    reference = SimpleNamespace(sha256="b" * 64)
    model = SimpleNamespace(locate=lambda _: location, bundle=SimpleNamespace(ref=reference))
    spine = SimpleNamespace(mask=masks.mri, warnings=())
    labelled = SimpleNamespace(mask=masks.mri, warnings=("levels are counted from the sacrum",))
    segmenter = SimpleNamespace(segment=lambda _: spine, digest="m" * 64)
    stand_ins = {
        "io.dixon.read.read_dixon": small_volume(), "inference.model.load_model": model,
        "align.masks.located_mask": masks.dxa, "align.masks.labelled_spine": labelled,
        "align.masks.read_dxa_mask": masks.dxa, "segment.mri.MriSegmenter.load": segmenter,
    }  # fmt: skip
    for name, value in stand_ins.items():
        monkeypatch.setattr(f"spinelift.{name}", lambda *_, value=value, **__: value)
    monkeypatch.setattr("spinelift.align.plane.project_mask", lambda mask, _: mask)
    for name in ("mask.png", "labels.nii.gz"):
        (tmp_path / name).write_bytes(name.encode())
    return [str(visit_zip(tmp_path)), "mri.zip", "--encoders", "none"]


@pytest.mark.parametrize("dxa", ["segmenter", "file"])
@pytest.mark.parametrize("mri", ["segmenter", "file"])
def test_each_mask_is_of_the_segmenter_or_of_a_file(pair, tmp_path, dxa, mri):
    options = ["--dxa-mask", str(tmp_path / "mask.png")] if dxa == "file" else []
    options += ["--mri-mask", str(tmp_path / "labels.nii.gz")] if mri == "file" else []
    done = CliRunner().invoke(app, [*pair, *options], catch_exceptions=False)
    result = json.loads(done.stdout)
    assert (result["masks"]["dxa"]["source"], result["masks"]["mri"]["source"]) == (dxa, mri)
    hashes = {"dxa": "b" * 64, "mri": "m" * 64}
    for name, source, file in (("dxa", dxa, "mask.png"), ("mri", mri, "labels.nii.gz")):
        wanted = hashlib.sha256(file.encode()).hexdigest() if source == "file" else hashes[name]
        assert result["masks"][name]["sha256"] == wanted
    assert ("low confidence" in done.stderr) == (dxa == "segmenter")
    assert ("from the sacrum" in done.stderr) == (mri == "file")
    assert result["accepted"]


def test_where_no_spine_is_found_the_message_names_what_else_can_be_done(pair, monkeypatch):
    def fails(_):
        raise NoSpineError(found="no spine", expected="one", do="Look at the images.")

    segmenter = SimpleNamespace(segment=fails)
    monkeypatch.setattr("spinelift.segment.mri.MriSegmenter.load", lambda *_, **__: segmenter)
    with pytest.raises(NoSpineError, match=r"Look at the images\. .*--mri-mask.*--no-spine-level"):
        CliRunner().invoke(app, pair, catch_exceptions=False)


def test_two_people_are_refused_but_on_demand(tmp_path, monkeypatch):
    stranger = replace(small_volume(), identity=Identity({"PatientID": "7654321"}))
    monkeypatch.setattr("spinelift.io.dixon.read.read_dixon", lambda path: stranger)
    command = [str(visit_zip(tmp_path)), "mri.zip", "--encoders", "none", "--no-spine-level"]
    with pytest.raises(IdentityMismatchError, match=r"in PatientID\..*--ignore-identity"):
        CliRunner().invoke(app, command, catch_exceptions=False)
    done = CliRunner().invoke(app, [*command, "--ignore-identity"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "7654321" not in done.output


def test_masks_from_files(tmp_path):
    scan = read_dxa(visit_zip(tmp_path))
    painted = np.zeros(scan.bone.shape, np.uint8)
    painted[35:90, 42:48] = 255
    Image.fromarray(painted).save(tmp_path / "mask.png")
    mask = read_dxa_mask(tmp_path / "mask.png", scan)
    assert mask.values.sum() == 55 * 6
    assert mask.grid.spacing == scan.spacing
    Image.fromarray(painted[1:]).save(tmp_path / "cut.png")
    with pytest.raises(UnsupportedImageError):
        read_dxa_mask(tmp_path / "cut.png", scan)
    with pytest.raises(NoScansError):
        read_dxa_mask(tmp_path / "none.png", scan)


def test_a_label_map_is_projected_where_it_lies(tmp_path):
    nifti = pytest.importorskip("spinelift.io.nifti.volume")
    pytest.importorskip("nibabel")
    empty = np.broadcast_to(np.float32(0), STITCH_GRID.shape)
    volume = DixonVolume("1234567_2", empty, empty, (-223.0, -223.0, -600.0), (0, 700))
    labels = np.zeros((220, 12, 20), np.uint8)
    labels[10:210, 4:8, 6:14] = 1
    part = DixonVolume("x", empty, empty, (-20.0, -10.0, -500.0), (0, 700))
    path = nifti.write_nifti(tmp_path / "spine.nii.gz", labels, part.affine)
    mask = project_mask(labelled_spine(path, volume, LabelScheme.SPINELIFT).mask, volume)
    rows, cols = np.nonzero(mask.values > 0.5)
    places = mask.grid.to_mm(np.stack([rows, cols], -1))
    np.testing.assert_allclose(places.mean(0), [-20 + 2 * 9.5, -500 + 2 * 109.5], atol=1.01)
    assert volume.water.shape == STITCH_GRID.shape
    assert mask.grid.spacing == Spacing(2.0, 2.0)
