import numpy as np
import pytest
from io_cases import dataset, members, phantom, saved, visit_zip
from PIL import Image
from pydicom.uid import MediaStorageDirectoryStorage

from spinelift.errors import AmbiguousScanError, NoScansError
from spinelift.geometry import Spacing
from spinelift.io import find_scans, read_dxa


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
    for path in (tmp_path, tmp_path / "missing.zip"):
        with pytest.raises(NoScansError):
            find_scans([path])
