"""Windows of MRIs and their true column, from truth or label maps; the segmenter measured against it."""

import numpy as np
import pytest
from truth_cases import column_fields, simulated_truth

from spinelift.errors import ConfigError, IncompleteScanError
from spinelift.io.dixon.volume import DixonVolume
from spinelift.io.nifti.labels import LabelScheme
from spinelift.io.nifti.volume import write_nifti
from spinelift.io.truth import write_truth
from spinelift.learn.mri_segmenter import data
from spinelift.learn.mri_segmenter.evaluate import compare
from spinelift.learn.mri_segmenter.reference import column_of_spine, column_of_truth, find_examples
from spinelift.segment.mri import WINDOW, MriSpine, Window

SHAPE, ORIGIN = (240, 120, 130), (-130.0, -115.0, -300.0)
MOVED = {"rotation_deg": 0.0, "dx_mm": 0.0, "dz_mm": 0.0}


def truth(key="10000000_2"):
    """A column whose middle slants from (-20, 10) to (25, 30) mm, 30 × 40 mm wide, 400 mm high."""
    z = np.linspace(-260.0, 140.0, 209)
    t = (z + 260) / 400
    column = column_fields(z, -20 + 45 * t, left=18.0, right=12.0, y=10 + 20 * t, depth=20.0)
    return simulated_truth(dxa=column, mri=column, moved=MOVED, scan_id=key)


def volume():
    body = np.zeros(SHAPE, np.float32)
    body[2:-3, 15:105, 10:120] = 100.0
    return DixonVolume("10000000_2", body, body / 4, ORIGIN, (2, SHAPE[0] - 3))


def test_the_true_column_is_an_ellipse_at_each_height():
    window = Window(12, 18, np.zeros((2, 0, 0, 0), np.uint8))
    column = column_of_truth(truth().pair, volume()).in_window(window)
    assert column.shape == (SHAPE[0], WINDOW, WINDOW)
    assert column.sum() * 2.0**3 == pytest.approx(np.pi * 15 * 20 * 400, rel=0.02)
    z, y, x = (np.average(np.arange(n), weights=column.sum(axes)) for n, axes in
               zip(column.shape, ((1, 2), (0, 2), (0, 1)), strict=True))  # fmt: skip
    assert ORIGIN[2] + 2 * z == pytest.approx(-60, abs=0.5)
    assert ORIGIN[1] + 2 * (12 + y) == pytest.approx(20, abs=0.5)
    assert ORIGIN[0] + 2 * (18 + x) == pytest.approx(2.5 + 3, abs=0.5)  # left 18, right 12 mm of the line


def zips(folder, *eids):
    (folder / "mri").mkdir()
    for eid in eids:
        (folder / "mri" / f"{eid}_20201_2_0.zip").touch()


def test_people_are_read_once_and_refused_scans_counted(tmp_path, monkeypatch):
    reads = []

    def read(path):
        reads.append(path.name)
        if path.name.startswith("10000001"):
            raise IncompleteScanError(found="a hole", expected="a spine", do="nothing")
        return volume()

    monkeypatch.setattr(data, "read_dixon", read)
    zips(tmp_path, 10000000, 10000001, 10000002)
    for eid in (10000000, 10000001):
        write_truth(tmp_path / "truth", truth(f"{eid}_2"))
    examples = find_examples(tmp_path)
    (person,), refused = data.load_people(examples, tmp_path / "cache")
    assert data.count_text(refused) == "1 IncompleteScanError"
    data.load_people(examples, tmp_path / "cache")
    assert reads.count("10000000_20201_2_0.zip") == 1
    assert person.ends == pytest.approx([(-260 + 300) / 2 - 2, (140 + 300) / 2 - 2])
    assert person.share[round(person.ends[0])] == pytest.approx(0.0, abs=0.01)
    with pytest.raises(ConfigError, match="1 IncompleteScanError"):
        data.load_people(examples[1:], tmp_path / "other")
    alone = simulated_truth(dxa=column_fields(np.linspace(0, 1, 209), np.zeros(209)), scan_id="10000002_2")
    write_truth(tmp_path / "truth", alone)
    with pytest.raises(ConfigError, match="without an MRI"):
        data.load_people(find_examples(tmp_path), tmp_path / "cache")


def test_label_maps_give_the_same_people_as_the_truth(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "read_dixon", lambda path: volume())
    zips(tmp_path, 10000000, 10000001)
    write_truth(tmp_path / "truth", truth())
    full = Window(0, 0, np.zeros((2, 0, 0, 0), np.uint8))
    mask = np.zeros(SHAPE, np.uint8)
    mask[:, :WINDOW, :WINDOW] = column_of_truth(truth().pair, volume()).in_window(full) >= 0.5
    (tmp_path / "labels").mkdir()
    write_nifti(tmp_path / "labels" / "10000000_2_spinelift.nii.gz", mask, volume().affine)
    (drawn,), _ = data.load_people(find_examples(tmp_path), tmp_path / "truths")
    (read,), _ = data.load_people(find_examples(tmp_path, LabelScheme.SPINELIFT), tmp_path / "maps")
    assert read.ends == pytest.approx(drawn.ends, abs=1.0)  # whole voxels
    np.testing.assert_array_equal(read.mask >= 128, drawn.mask >= 128)
    np.testing.assert_array_equal(read.pixels, drawn.pixels)


@pytest.mark.parametrize(("scheme", "kind"), [(None, "truth"), (LabelScheme.SPINELIFT, "label map")])
def test_a_folder_without_examples_is_an_error(tmp_path, scheme, kind):
    zips(tmp_path, 10000000)
    (tmp_path / "labels").mkdir()
    with pytest.raises(ConfigError, match=f"no MRI with a {kind}"):
        find_examples(tmp_path, scheme)


def test_a_perfect_column_has_no_error():
    full = Window(0, 0, np.zeros((2, 0, 0, 0), np.uint8))
    column = column_of_truth(truth().pair, volume())
    mask = np.zeros(SHAPE, np.uint8)
    mask[:, :WINDOW, :WINDOW] = column.in_window(full) >= 0.5
    dice, distance, top, bottom = compare(MriSpine.from_mask(mask, volume()), column)
    assert dice > 0.99
    assert max(distance, top, bottom) < 1.1


def test_a_window_that_begins_outside_the_volume_cuts_the_same_voxels():
    mask = np.zeros(SHAPE, np.uint8)
    mask[20:220, 3:30, 4:40] = 1
    spine = column_of_spine(MriSpine.from_mask(mask, volume()))
    inside = spine.in_window(Window(-9, -7, np.zeros((2, 0, 0, 0), np.uint8)))
    assert inside.sum() == mask.sum()
    assert inside[100, 3 + 9, 4 + 7] == 1
    assert inside[100, 2 + 9, 4 + 7] == 0
