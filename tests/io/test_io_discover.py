import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from io_cases import dataset, members, phantom, saved, visit_zip
from PIL import Image
from pydicom.uid import MediaStorageDirectoryStorage

from spinelift.errors import AmbiguousScanError, NoScansError
from spinelift.geometry import Spacing
from spinelift.io import find_scans, read_dxa
from spinelift.io.dxa.discover import search_scans
from spinelift.io.dxa.scan import scan_id


def unpacked(path, folder):
    folder.mkdir(parents=True)
    for name, data in members(path).items():
        (folder / name).write_bytes(data)
    return folder


def test_folder_of_zips_pictures_and_visits(tmp_path):
    root = tmp_path / "scans"
    root.mkdir()
    one, two = visit_zip(root), visit_zip(root, eid=7654321)
    Image.fromarray(phantom()).save(root / "c.png")
    (root / "readme.txt").write_text("no scan")
    (root / ".hidden.zip").write_bytes(b"PK")
    (root / "1234567_20201_2_0.zip").write_bytes(one.read_bytes())
    visit = unpacked(one, root / "below" / "visit")
    found = find_scans([root, one])
    assert found == [one, two, root / "c.png", visit]
    for path in found:
        np.testing.assert_array_equal(read_dxa(path, spacing=Spacing(8.5, 8.0)).bone, phantom())


def test_folder_of_single_images_of_different_people(tmp_path):
    folder = tmp_path / "people"
    folder.mkdir()
    for number in range(3):
        data = dataset(tmp_path)
        data.PatientID = f"p{number}"
        saved(data, folder / f"{number}.dcm")
    assert find_scans([folder]) == [folder / f"{number}.dcm" for number in range(3)]


def test_mixed_pairs_stay_one_folder_and_are_refused_when_read(tmp_path):
    folder = unpacked(visit_zip(tmp_path), tmp_path / "mixed")
    for name, data in members(visit_zip(tmp_path, eid=7654321)).items():
        (folder / name).write_bytes(data)
    assert find_scans([folder]) == [folder]
    with pytest.raises(AmbiguousScanError):
        read_dxa(folder)


def test_single_dicom_and_damaged_ones(tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    path = saved(dataset(tmp_path), folder / "a.dcm")
    assert find_scans([folder]) == [path]
    (folder / "b.dcm").write_bytes(b"")
    assert find_scans([folder]) == [folder]


def test_dicomdir_and_reports_make_no_scan(tmp_path):
    folder = tmp_path / "disc"
    (folder / "images").mkdir(parents=True)
    report = dataset(tmp_path)
    del report.PixelData
    report.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    del report.SOPClassUID
    saved(report, folder / "DICOMDIR")
    path = saved(dataset(tmp_path), folder / "images" / "a.dcm")
    assert find_scans([folder]) == [path]
    saved(report, path.parent / "DICOMDIR")
    assert find_scans([folder]) == [path.parent]
    scan = read_dxa(path.parent)
    np.testing.assert_array_equal(scan.bone, phantom())
    assert any("1 without an image" in warning for warning in scan.warnings)


def test_picture_that_is_something_else_is_found_and_refused(tmp_path):
    Image.fromarray(phantom()).save(tmp_path / "a.png", "JPEG")
    assert find_scans([tmp_path]) == [tmp_path / "a.png"]


def test_nothing_found_is_told(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.txt").write_text("no scan")
    (tmp_path / "link.zip").symlink_to(tmp_path / "gone.zip")
    for path in (tmp_path, tmp_path / "missing.zip", tmp_path / "*.png", tmp_path / "link.zip"):
        with pytest.raises(NoScansError, match=re.escape(path.name)):
            find_scans([path])


def test_what_is_passed_over_is_counted(tmp_path):
    root = tmp_path / "scans"
    archive = visit_zip(root / "deep" / "deeper")
    (root / "link").symlink_to(root / "deep")
    for name in ("a.zip", "b.png"):
        (root / name).symlink_to(tmp_path / "gone")
    (root / "notes.txt").write_text("no scan")
    os.mkfifo(root / "pipe")
    result = root / "out" / "1234567_2_0"
    result.mkdir(parents=True)
    (result / "curves.json").write_text("{}")
    Image.fromarray(phantom()).save(result / "overlay.png")
    (root / ".hidden").mkdir()
    (root / ".hidden" / "c.zip").write_bytes(b"PK")
    found = search_scans([root])
    assert list(found.scans) == [archive]
    assert found.failed == []
    assert found.ignored == {
        "broken link": 2, "link to a folder": 1, "file of another kind": 2, "earlier result": 1
    }  # fmt: skip
    assert "earlier results" in search_scans([result]).failed[0][1].found


def test_one_path_without_scans_does_not_hide_the_others(tmp_path):
    archive = visit_zip(tmp_path)
    found = search_scans([tmp_path / "gone.zip", archive, tmp_path / "no-*.zip", archive])
    assert list(found.scans) == [archive]
    assert [path.name for path, _ in found.failed] == ["gone.zip", "no-*.zip"]
    assert all(isinstance(error, NoScansError) for _, error in found.failed)


def test_patterns(tmp_path):
    one, two = visit_zip(tmp_path / "x"), visit_zip(tmp_path / "y", eid=7654321)
    odd = one.rename(one.with_name("a[1].zip"))
    assert find_scans([tmp_path / "*" / "*.zip"]) == sorted([odd, two])
    assert find_scans([tmp_path / "**" / "7*.zip"]) == [two]
    assert find_scans([odd]) == [odd]  # a file of that very name


def test_a_folder_that_cannot_be_read_is_one_failure(tmp_path, monkeypatch):
    archive = visit_zip(tmp_path / "good")
    (tmp_path / "shut").mkdir()
    original = Path.iterdir

    def iterdir(folder):
        if folder.name == "shut":
            raise PermissionError(13, "Permission denied", str(folder))
        return original(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    found = search_scans([tmp_path])
    assert list(found.scans) == [archive]
    ((path, error),) = found.failed
    assert path.name == "shut"
    assert "Permission denied" in error.found
    assert str(tmp_path) not in str(error)


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("1234567_20158_2_1.zip", "1234567_2_1"), ("1234567_20158_3_0", "1234567_3_0"),
        ("1234567_20201_2_0.zip", "1234567_20201_2_0"), ("scan.v2.PNG", "scan.v2"), ("a.ima", "a"),
        ("a b.dcm", "a_b"), ("1.2.840.113619.7", "1.2.840.113619.7"), ("-rf.png", "rf"),
        ("\u60a3\u8005.png", "dxa-abcabcabcabc"), ("...", "dxa-abcabcabcabc"), ("", "dxa-abcabcabcabc"),
        ("x" * 300 + ".zip", "x" * 80), ("summary.csv.zip", "summary_csv"),
    ],
)  # fmt: skip
def test_the_id_of_a_name(name, want):
    assert scan_id(Path(name), lambda: "abc" * 21 + "a") == want


@given(st.text(max_size=120))
def test_every_id_is_a_plain_name(name):
    made = scan_id(Path(name.replace("\0", "")), lambda: "0" * 64)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", made)
    assert not made.endswith(".")
