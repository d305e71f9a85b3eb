"""CTs of real people as training pairs, on a painted person whose spine is known."""

from dataclasses import replace

import numpy as np
import pytest
from ct_cases import MM, paint_ct, save_ct

from spinelift.curves import Curve
from spinelift.errors import ConfigError, NoSpineError, SpineliftError, UnsupportedImageError
from spinelift.geometry import Vertebra
from spinelift.io.nifti.labels import LabelScheme
from spinelift.io.nifti.volume import write_nifti
from spinelift.simulate.body.spine import along_line
from spinelift.simulate.ct.bodies import find_spine
from spinelift.simulate.ct.pairs import (
    FIRST_ID,
    Person,
    Plan,
    fill_from_ct,
    find_people,
    make_pairs,
)
from spinelift.simulate.ct.parts import take_apart
from spinelift.simulate.ct.project import pose_spine, project_parts, project_volume, trunk_view
from spinelift.simulate.ct.volume import read_ct
from spinelift.store.rows import PairStore

VERSE = LabelScheme.VERSE


@pytest.fixture(scope="module")
def painted():
    return paint_ct()


@pytest.fixture(scope="module")
def whole(painted, tmp_path_factory):
    hu, labels, _ = painted
    return read_ct(*save_ct(tmp_path_factory.mktemp("ct"), "a", hu, labels), VERSE)


def cut(painted, first, last):
    """The CT from the slice of one height to that of another, mm."""
    hu, labels, spine = painted
    rows = slice(int(first / MM[2]), int(last / MM[2]))
    return hu[rows], labels[rows], spine.moved(np.array([0, 0, -rows.start * MM[2]])), rows.start


def curve_errors(found, spine):
    """Absolute differences [6, n], mm, at the rows that are seen; sagittal ones from their mean."""
    rows = found.valid_rows(found.spine)
    z, mm = found.spine.curves_mm()
    true_z, true = spine.curves_mm()
    at = np.stack([np.interp(z[rows], true_z, c) for c in true])
    away = mm[:, rows] - at
    away[3:] -= away[Curve.SAGITTAL].mean()
    return np.abs(away)


def test_curves_are_those_of_the_spine(painted, whole):
    found = find_spine(whole)
    assert (found.first, found.last) == (Vertebra.T1, Vertebra.L5)
    assert found.valid_rows(found.spine).all()
    assert np.abs(found.spine.centres - painted[2].centres).max() < 1
    errors = curve_errors(found, painted[2])
    assert errors.mean(1).max() < 1
    assert np.percentile(errors, 99) < 2


@pytest.mark.parametrize("axes", ["RAS", "PIL", "SLA"])
def test_orientation_of_the_file_does_not_matter(painted, whole, tmp_path, axes):
    volume = read_ct(*save_ct(tmp_path, "a", painted[0], painted[1], axes=axes), VERSE)
    assert np.array_equal(volume.levels, whole.levels)
    assert np.allclose(volume.density, whole.density)


@pytest.mark.parametrize(("top", "end"), [(Vertebra.T8, None), (None, Vertebra.L3)])
def test_part_of_a_spine_has_its_rows_known_alone(painted, tmp_path, top, end):
    spine = painted[2]
    first = 0 if top is None else spine.centres[top, 2]
    last = 520 if end is None else spine.centres[end, 2]
    hu, labels, moved, start = cut(painted, first, last)
    found = find_spine(read_ct(*save_ct(tmp_path, "a", hu, labels, first_z=start), VERSE))
    assert found.first == (Vertebra.T1 if top is None else top + 1)
    assert found.last == (Vertebra.L5 if end is None else end - 1)
    rows = np.flatnonzero(found.valid_rows(found.spine))
    z, _ = found.spine.curves_mm()
    half = moved.size[:, 2] / 2
    assert z[rows[0]] == pytest.approx(moved.centres[found.first, 2] - half[found.first], abs=4)
    assert z[rows[-1]] == pytest.approx(moved.centres[found.last, 2] + half[found.last], abs=4)
    assert len(rows) == rows[-1] - rows[0] + 1 < 209
    assert curve_errors(found, moved).mean(1).max() < 1
    length = found.spine.ends[1][2] - found.spine.ends[0][2]
    assert length == pytest.approx(moved.ends[1][2] - moved.ends[0][2], rel=0.1)


def test_left_is_right_in_no_picture_and_the_table_is_left_out(painted, whole):
    spine = painted[2]
    view = trunk_view(spine, np.random.default_rng(0))
    maps = project_volume(whole, view)
    row, col = np.round(view.to_pixels([207.0, 50.0])).astype(int)
    middle = int(view.to_pixels(spine.centres[8, [0, 2]])[1])
    assert maps[0, row, col] > 1  # the bright block: upper left
    assert maps[0, row, 2 * middle - col] < 0.1
    assert maps[0, -row, col] < 0.1
    soft = maps[1:].sum(0)
    lung = int(view.to_pixels([0.0, 180.0])[0])
    assert soft[lung, middle + 25] < 0.8 * soft[lung, middle - 25]  # the lung is left
    z, mm = spine.curves_mm()
    for k in (20, 100, 190):
        row, col = np.round(view.to_pixels([mm[Curve.CENTRE, k], z[k]])).astype(int)
        assert maps[0, row - 8 : row + 9, col].max() > 0.5
    assert maps[0, :, middle + 40].max() < 0.1  # no table
    bone = project_volume(whole, view)[0].sum() * view.spacing.row_mm * view.spacing.col_mm / 100
    assert 100 < bone < 2000  # g


def test_the_person_s_own_pose_gives_the_picture_as_they_lie(whole):
    found = find_spine(whole)
    view = trunk_view(found.spine, np.random.default_rng(0))
    posed = project_parts(take_apart(whole, found), found.spine, np.ones((17, 3)), view)
    lying = project_volume(whole, view)
    for k in range(2):
        inner = slice(20, -20)
        assert np.corrcoef(posed[k][inner].ravel(), lying[k][inner].ravel())[0, 1] > 0.97
        assert posed[k][inner].sum() == pytest.approx(lying[k][inner].sum(), rel=0.06)


def test_given_a_tilt_vertebrae_stand_by_it_and_soft_parts_follow_the_line(whole):
    found = find_spine(whole)
    own, soft = found.spine, replace(take_apart(whole, found), clouds={})
    view = trunk_view(own, np.random.default_rng(0))
    maps = []
    for degrees in (0.0, 10.0):
        tilt = np.zeros((17, 3))
        tilt[:, 1] = np.tan(np.radians(degrees))
        spine, scale = pose_spine(own, own.centres, np.random.default_rng(0), tilt=tilt)
        line = along_line(spine)[:, :, 2]
        angle = np.degrees(np.arctan2(*spine.frames[:, 1:, 2].T) - np.arctan2(*line[:, 1:].T))
        assert angle == pytest.approx(np.full(17, degrees), abs=2)
        maps.append(project_parts(soft, spine, scale, view))
    for straight, tilted in zip(maps[0][1:], maps[1][1:], strict=True):  # 5 % when they follow the vertebrae
        assert np.abs(tilted - straight).sum() < 0.01 * straight.sum()


def test_pairs_of_a_person(painted, tmp_path):
    image, labels = save_ct(tmp_path, "a", painted[0], painted[1])
    plan, person = Plan(VERSE, 1, 3), Person("a", image, (labels,))
    lying, posed = make_pairs(plan, person)
    assert person.eid >= FIRST_ID
    for pair in (lying, posed):
        assert pair.valid.all()
        rows = np.arange(20, 190)
        col = np.round(pair.curves[Curve.CENTRE, rows]).astype(int)
        near = pair.image[rows + 7][np.arange(len(rows))[:, None], col[:, None] + np.arange(-3, 4)]
        assert near.mean() > pair.image[rows + 7, col - 30].mean() + 15
    assert np.abs(lying.curves[Curve.SAGITTAL] - posed.curves[Curve.SAGITTAL]).max() > 3


def spoil(kind, hu, labels):
    """A CT with one thing wrong."""
    hu, labels = hu[:120].copy(), labels[:120].copy()
    if kind == "spacing":
        labels = labels[:, ::2]
    elif kind == "empty":
        labels[:] = 0
    elif kind == "few":
        labels[labels > 10] = 0
    elif kind == "hu":
        hu += 1024
    elif kind == "T13":
        labels[labels == 12] = 28
    return hu, labels


@pytest.mark.parametrize(
    ("kind", "error", "found"),
    [
        ("spacing", UnsupportedImageError, "labels of"),
        ("empty", UnsupportedImageError, "without T1 to L5"),
        ("few", NoSpineError, "whole vertebrae in a row"),
        ("hu", UnsupportedImageError, "1st percentile"),
        ("T13", UnsupportedImageError, "13th"),
    ],
)
def test_a_ct_that_cannot_be_used_is_refused(painted, tmp_path, kind, error, found):
    paths = save_ct(tmp_path, "a", *spoil(kind, *painted[:2]))
    with pytest.raises(error) as raised:
        find_spine(read_ct(*paths, VERSE))
    problem: SpineliftError = raised.value
    assert found in problem.found
    assert problem.expected
    assert problem.do.endswith(".")
    assert str(tmp_path) not in str(problem)


def test_people_by_file_name(tmp_path):
    names = ["raw/sub-1_ct.nii.gz", "raw/sub-12_ct.nii", "raw/s3/ct.nii.gz", "raw/lonely.nii.gz"]
    maps = [
        "lab/sub-1_seg-vert_msk.nii.gz",
        "lab/x/sub-12_seg.nii",
        "lab/s3/segmentations/vertebrae_T1.nii.gz",
    ]
    for name in (*names, *maps):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    people = {p.name: p for p in find_people(tmp_path / "raw", tmp_path / "lab")}
    assert [p.name for p in people["sub-1"].labels] == ["sub-1_seg-vert_msk.nii.gz"]
    assert [p.name for p in people["sub-12"].labels] == ["sub-12_seg.nii"]
    assert [p.name for p in people["s3"].labels] == ["segmentations"]
    assert people["lonely"].labels == ()
    assert len({p.eid for p in people.values()}) == 4
    together = find_people(tmp_path, tmp_path)
    assert sorted(p.name for p in together) == sorted(people)
    with pytest.raises(ConfigError, match="0 CTs"):
        find_people(tmp_path / "lab" / "s3", tmp_path / "lab" / "s3")


def test_failures_are_listed_and_a_store_goes_on(painted, tmp_path):
    folder = tmp_path / "ct"
    folder.mkdir()
    hu, labels, _ = painted
    save_ct(folder, "good", hu, labels)
    save_ct(folder, "bad", *spoil("empty", hu, labels))
    (folder / "alone_ct.nii.gz").write_bytes((folder / "bad_ct.nii.gz").read_bytes())
    people, plan = find_people(folder, folder), Plan(VERSE, 0, 0)
    steps = []
    store = PairStore.create(tmp_path / "p.zarr", optional=True)
    failed = fill_from_ct(store, people, plan, workers=1, advance=steps.append)
    assert [row[0] for row in failed] == ["alone", "bad"]
    assert sum(steps) == 3
    pairs = PairStore.open(tmp_path / "p.zarr").load()
    assert len(pairs) == 1
    assert pairs.valid.all()
    again = PairStore.open(tmp_path / "p.zarr", write=True)
    assert len(fill_from_ct(again, people, plan, workers=1, advance=steps.append)) == 2
    assert len(again) == 1


def test_a_folder_of_masks_is_a_label_map(painted, whole, tmp_path):
    hu, labels, _ = painted
    image, _ = save_ct(tmp_path, "a", hu, labels)
    affine = np.diag([*MM, 1.0]) * [1, 1, -1, 1]
    for level in Vertebra:
        write_nifti(tmp_path / f"vertebrae_{level.name}.nii.gz", labels == 8 + level, affine)
    volume = read_ct(image, tmp_path, LabelScheme.TOTALSEGMENTATOR_TOTAL)
    assert np.array_equal(volume.levels, whole.levels)
