"""NIfTI in any of 48 orientations; spine labels of other tools; the command."""

import itertools
import json

import nibabel as nib
import numpy as np
import pytest
from dixon_cases import phantom_stations
from typer.testing import CliRunner

from spinelift import errors
from spinelift.cli import app
from spinelift.geometry import Vertebra
from spinelift.io.dixon.volume import STITCH_GRID, DixonVolume
from spinelift.io.nifti.labels import TABLES, LabelScheme, read_spine_labels
from spinelift.io.nifti.volume import read_nifti_on, write_nifti
from spinelift.simulate.archive.dixon import write_dixon_zip

ORIGIN = (-200.0, -180.0, -500.0)
BLANK = np.broadcast_to(np.float32(0), STITCH_GRID.shape)
VOLUME = DixonVolume("x", BLANK, BLANK, ORIGIN, (0, 1))
WAYS = [
    (order, signs)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def place(small, start):
    """A small [z, y, x] array in an otherwise empty project volume."""
    out = np.zeros((700, 224, 224), small.dtype)
    out[tuple(slice(s, s + n) for s, n in zip(start, small.shape, strict=True))] = small
    return out


def save(path, small, start, *, order=(0, 1, 2), signs=(1, 1, 1)):
    """The same small volume on disk, its axes permuted and flipped, with the affine that says so."""
    affine = VOLUME.affine.copy()
    affine[:3, 3] = (affine @ (start[2], start[1], start[0], 1))[:3]
    image = nib.Nifti1Image(small.transpose(2, 1, 0), np.diag([-1, -1, 1, 1]) @ affine)
    turn = np.array([[order.index(k), signs[k]] for k in range(3)])
    nib.save(image.as_reoriented(turn), path)
    return path


@pytest.mark.parametrize(("order", "signs"), WAYS)
def test_orientation_is_obeyed(tmp_path, order, signs):
    small = np.random.default_rng(0).integers(1, 900, (7, 5, 6)).astype(np.int16)
    path = save(tmp_path / "a.nii", small, (30, 20, 40), order=order, signs=signs)
    found = read_nifti_on(path, VOLUME, labels=range(900))[28:40, 18:28, 38:50]
    np.testing.assert_array_equal(found, place(small, (30, 20, 40))[28:40, 18:28, 38:50])


def test_written_volume_comes_back(tmp_path):
    small = np.random.default_rng(0).integers(1, 900, (60, 50, 40)).astype(np.float32)
    volume = place(small, (0, 0, 0))
    path = write_nifti(tmp_path / "w.nii.gz", small, VOLUME.affine)
    image = nib.load(path)
    assert nib.aff2axcodes(image.affine) == ("L", "P", "I")
    np.testing.assert_allclose(image.affine @ (0, 0, 0, 1), (200, 180, 500, 1))
    np.testing.assert_allclose(read_nifti_on(path, VOLUME), volume, atol=1e-3)


@pytest.mark.parametrize("kind", ["cut", "text", "flat", "nowhere", "missing"])
def test_bad_nifti(tmp_path, kind):
    path = tmp_path / "a.nii.gz"
    image = nib.Nifti1Image(np.ones((9, 9, 9), np.int16), np.eye(4))
    if kind == "flat":
        image = nib.Nifti1Image(np.ones((9, 9), np.int16), np.eye(4))
    if kind == "nowhere":
        image = nib.Nifti1Image(np.ones((9, 9, 9), np.int16), None)
    if kind != "missing":
        nib.save(image, path)
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:60])
    if kind == "text":
        path.write_bytes(b"no image at all")
    expected = errors.NoScansError if kind == "missing" else errors.UnsupportedImageError
    with pytest.raises(expected):
        read_nifti_on(path, VOLUME)


HEIGHT, DISC = 11, 3


def spine_map(vertebra_label, disc_label, *, arches, sacrum=0, extra=1):
    """Labels [z, y, x]: C7 … S1 as boxes with discs, arches behind; and the true column T1–L5."""
    levels = [-k - 1 for k in range(extra)][::-1] + list(Vertebra)
    labels = np.zeros((len(levels) * (HEIGHT + DISC) + 40, 60, 40), np.int16)
    truth = np.zeros(labels.shape, bool)
    z = 5
    for level in levels:
        body = np.s_[z : z + HEIGHT, 10:26, 10:30]
        labels[body] = vertebra_label(level)
        if arches:
            labels[z + 4 : z + 8, 26:44, 18:21] = vertebra_label(level)
        disc = np.s_[z + HEIGHT : z + HEIGHT + DISC, 11:25, 11:29]
        labels[disc] = disc_label(level)
        if level >= 0:
            truth[body] = True
            if level != Vertebra.L5:
                truth[disc] = True
        z += HEIGHT + DISC
    labels[z : z + 20, 10:30, 8:32] = sacrum
    return labels, truth


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def levelled(scheme):
    of_level = {int(v): k for k, v in TABLES[scheme].vertebrae.items()}
    step = of_level[1] - of_level[0]
    return lambda level: of_level[0] + step * level


CASES = {
    LabelScheme.TOTALSEGMENTATOR_TOTAL: (lambda _: 0, True),
    LabelScheme.TOTALSEGMENTATOR_V1: (lambda _: 0, True),
    LabelScheme.TOTALSEGMENTATOR_VERTEBRAE_MR: (lambda _: 0, True),
    LabelScheme.SPINEPS_VERT: (lambda level: 108 + level, True),
}


@pytest.mark.parametrize("scheme", CASES)
def test_labels_with_levels(tmp_path, scheme):
    discs, arches = CASES[scheme]
    labels, truth = spine_map(levelled(scheme), discs, arches=arches)
    path = save(tmp_path / "l.nii.gz", labels, (20, 60, 80), order=(2, 0, 1), signs=(-1, 1, -1))
    found = read_spine_labels(path, VOLUME, scheme)
    assert dice(found.mask, place(truth, (20, 60, 80))) > 0.95
    assert list(found.centres_mm) == list(Vertebra)
    step = found.centres_mm[Vertebra.L5][2] - found.centres_mm[Vertebra.T1][2]
    assert step == pytest.approx(16 * (HEIGHT + DISC) * 2, abs=1)


@pytest.mark.parametrize(
    ("scheme", "labels"),
    [
        (LabelScheme.VIBESEGMENTATOR, (69, 68, 23)),
        (LabelScheme.TOTALSEGMENTATOR_TOTAL_MR, (19, 20, 18)),
        (LabelScheme.SPINEPS_SPINE, (49, 100, 26)),
    ],
)
def test_levels_are_counted_from_the_sacrum(tmp_path, scheme, labels):
    body, disc, sacrum = labels
    whole, truth = spine_map(
        lambda _: body, lambda _: disc, arches=not TABLES[scheme].bodies_only, sacrum=sacrum
    )
    found = read_spine_labels(save(tmp_path / "l.nii.gz", whole, (20, 60, 80)), VOLUME, scheme)
    assert dice(found.mask, place(truth, (20, 60, 80))) > 0.95
    short = whole[80:]
    with pytest.raises(errors.AmbiguousScanError):
        read_spine_labels(save(tmp_path / "s.nii.gz", short, (20, 60, 80)), VOLUME, scheme)


def test_levels_of_one_tool_and_bodies_of_another(tmp_path):
    scheme = LabelScheme.TOTALSEGMENTATOR_VERTEBRAE_MR
    levels, truth = spine_map(levelled(scheme), lambda _: 0, arches=True)
    bodies, _ = spine_map(lambda _: 69, lambda _: 68, arches=False)
    paths = [save(tmp_path / f"{k}.nii.gz", v, (20, 60, 80)) for k, v in enumerate((levels, bodies))]
    found = read_spine_labels(paths[0], VOLUME, scheme, bodies=(paths[1], LabelScheme.VIBESEGMENTATOR))
    assert dice(found.mask, place(truth, (20, 60, 80))) > 0.97


def test_own_mask_and_missing_level(tmp_path):
    labels, truth = spine_map(levelled(LabelScheme.SPINEPS_VERT), lambda _: 0, arches=False)
    own = save(tmp_path / "o.nii.gz", truth.astype(np.uint8), (20, 60, 80))
    assert dice(read_spine_labels(own, VOLUME, LabelScheme.SPINELIFT).mask, place(truth, (20, 60, 80))) == 1
    labels[labels == 12] = 0
    with pytest.raises(errors.NoSpineError, match="T5"):
        read_spine_labels(save(tmp_path / "l.nii", labels, (20, 60, 80)), VOLUME, LabelScheme.SPINEPS_VERT)


def test_command(tmp_path):
    archive = write_dixon_zip(tmp_path, phantom_stations(), eid=11, instance=2, rng=np.random.default_rng(0))
    result = CliRunner().invoke(app, ["mri", "to-nifti", str(archive), "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "11_2_water.nii.gz",
        "11_2_fat.nii.gz",
        "11_2_findings.json",
    }
    assert json.loads((tmp_path / "out" / "11_2_findings.json").read_text())["mri_id"] == "11_2"
