import zipfile

import numpy as np
import pydicom
import pytest
from io_cases import HEIGHT_MM, WIDTH_MM, members, phantom, visit_images, visit_zip
from pydicom.filebase import DicomBytesIO
from pydicom.uid import ComputedRadiographyImageStorage, ImplicitVRLittleEndian

from spinelift.io import read_dxa
from spinelift.simulate.archive.dxa import DxaImage, write_dxa_zip


def test_round_trip_is_exact(tmp_path):
    path = visit_zip(tmp_path)
    assert path.name == "1234567_20158_2_0.zip"
    scan = read_dxa(path)
    np.testing.assert_array_equal(scan.bone, phantom())
    np.testing.assert_array_equal(scan.tissue, phantom(tissue=True))
    assert (scan.spacing.row_mm, scan.spacing.col_mm) == (HEIGHT_MM / 200, WIDTH_MM / 80)
    assert scan.scan_id == "1234567_2_0"
    assert scan.warnings == ()


def test_odd_sizes_and_fractions_of_a_millimetre(tmp_path):
    pixels = np.pad(phantom(), ((0, 1), (0, 1)))
    images = [DxaImage("Total Body", 2, pixels, 652.4, 1707.6)]
    scan = read_dxa(visit_zip(tmp_path, images))
    np.testing.assert_array_equal(scan.bone, pixels)
    assert scan.spacing.row_mm == pytest.approx(1707.6 / 201, rel=1e-3)
    assert scan.spacing.col_mm == pytest.approx(652.4 / 81, rel=1e-3)


def test_headers_are_the_real_files(tmp_path):
    contents = members(visit_zip(tmp_path))
    files = [pydicom.dcmread(DicomBytesIO(d)) for n, d in contents.items() if n.endswith(".dcm")]
    assert sorted((f.ProtocolName, f.InstanceNumber) for f in files) == [
        ("AP Spine", 3),
        ("LVA", 4),
        ("Total Body", 1),
        ("Total Body", 2),
    ]
    for file in files:
        assert file.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
        assert file.SOPClassUID == ComputedRadiographyImageStorage
        assert file.SeriesDescription == "DXA Images"
        assert list(file.PatientOrientation) == ["L", "F"]
        assert "PixelSpacing" not in file
        assert all(isinstance(v, int | float) and v == int(v) for v in file.ExposedArea)
        assert all(file.get(k) for k in ("PatientName", "PatientBirthDate", "PatientSex", "PatientSize"))
    assert any(name.startswith("manifest.c") for name in contents)


def test_same_seed_gives_the_same_bytes_and_others_do_not(tmp_path):
    paths = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        rng = np.random.default_rng(seed)
        paths.append(write_dxa_zip(tmp_path / name, visit_images(), eid=1, instance=2, rng=rng))
    one, same, other = (path.read_bytes() for path in paths)
    assert one == same
    assert one != other


def test_order_of_members_is_no_clue(tmp_path):
    orders = set()
    for eid in range(1000001, 1000009):
        with zipfile.ZipFile(visit_zip(tmp_path, eid=eid)) as archive:
            names = [n for n in archive.namelist() if n.endswith(".dcm")]
            orders.add(tuple(pydicom.dcmread(archive.open(n)).InstanceNumber for n in names))
        assert read_dxa(tmp_path / f"{eid}_20158_2_0.zip").bone[62, 22] == 201
    assert len(orders) > 2


def test_pixels_must_be_bytes(tmp_path):
    with pytest.raises(ValueError, match="uint8"):
        visit_zip(tmp_path, [DxaImage("Total Body", 1, phantom().astype(np.float32), 640, 1700)])
