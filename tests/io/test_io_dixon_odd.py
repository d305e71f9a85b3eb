"""Odd members of a Dixon archive are passed over and counted, and named where there is nothing else."""

import io
import zipfile

import numpy as np
import pydicom
import pytest
from dixon_cases import phantom_stations

from spinelift.errors import HostileArchiveError, TruncatedDicomError, UnsupportedImageError
from spinelift.io.dixon.plane import numbers_of
from spinelift.io.dixon.read import read_dixon
from spinelift.io.dixon.slices import collect_slices
from spinelift.io.dixon.volume import StitchGrid, Trap
from spinelift.simulate.archive.dixon import write_dixon_zip


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mri")
    return write_dixon_zip(folder, phantom_stations(), eid=7, instance=2, rng=np.random.default_rng(7))


@pytest.fixture(scope="module")
def slices(archive):
    with zipfile.ZipFile(archive) as opened:
        return [opened.read(name) for name in opened.namelist() if name.endswith(".dcm")]


def changed(data, **fields):
    dataset, buffer = pydicom.dcmread(io.BytesIO(data)), io.BytesIO()
    for field, value in fields.items():
        setattr(dataset, field, value)
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


ODD = {
    "colour": {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"},
    "frames": {"NumberOfFrames": 5},
    "projection": {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]},
    "oblique": {"ImageOrientationPatient": [0.7071, 0.7071, 0, -0.7071, 0.7071, 0]},
    "32 bits": {"BitsAllocated": 32},
    "far": {"ImagePositionPatient": ["0", "0", "1e300"]},
    "no place": {"ImagePositionPatient": None},
    "large": {"Rows": 4000},
    "pixels": {"PixelSpacing": ["1e300", "1e300"]},
}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_image_of_a_dixon_series_is_passed_over_and_named_if_it_is_alone(slices, kind):
    water = next(data for data in slices if b"_W" in data)
    odd = changed(water, **ODD[kind])
    plain, with_odd = collect_slices(slices), collect_slices([odd, *slices])
    assert len(with_odd.slices) == len(plain.slices)
    assert with_odd.others == plain.others + 1
    with pytest.raises(UnsupportedImageError):
        collect_slices([odd])


BROKEN = {
    "bits": {"BitsStored": 12, "HighBit": 5},
    "rescale": {"RescaleSlope": "0", "RescaleIntercept": "0"},
    "pixels": {"PixelData": b"\0\0"},
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_slice_whose_pixels_mean_nothing_is_counted_and_its_cause_named_if_all_are_so(slices, kind):
    fat = [data for data in slices if b"_F" in data]
    water = [data for data in slices if b"_W" in data]
    broken = [changed(data, **BROKEN[kind]) for data in water]
    plain, one_broken = collect_slices(slices), collect_slices([broken[0], *fat, *water[1:]])
    assert one_broken.damaged == 1
    assert len(one_broken.slices) == len(plain.slices) - 1
    with pytest.raises((UnsupportedImageError, TruncatedDicomError)):
        collect_slices([*fat, *broken])


@pytest.mark.parametrize("text", ["2.5\\2.25", "2,5\\2,25", " 2.5E0 \\ .225e1"])
def test_numbers_of_a_slice_in_any_form(text):
    assert numbers_of({"PixelSpacing": text}, "PixelSpacing", 2) == (2.5, 2.25)


def test_a_member_that_cannot_be_read_is_counted_as_damaged(slices):
    error = HostileArchiveError(found="an encrypted member", expected="", do="")
    assert collect_slices([error, *slices]).damaged == 1
    with pytest.raises(HostileArchiveError):
        collect_slices([error])


def test_more_pixels_than_a_body_has_are_refused(slices, monkeypatch):
    monkeypatch.setattr("spinelift.io.dixon.slices.MAX_PIXELS", 10_000)
    with pytest.raises(UnsupportedImageError, match="more than one body"):
        collect_slices(slices)


def test_what_was_left_out_is_a_finding(archive, tmp_path):
    path = tmp_path / archive.name
    path.write_bytes(archive.read_bytes())
    with zipfile.ZipFile(path, "a") as opened:
        name = next(name for name in opened.namelist() if name.endswith(".dcm"))
        with pytest.warns(UserWarning, match="Duplicate"):
            opened.writestr(name, opened.read(name))
        for other in ("README.txt", "thumbs.db", "__MACOSX/._a.dcm"):
            opened.writestr(other, b"text")
    found = read_dixon(path, grid=StitchGrid(voxel_mm=8.0, shape=(175, 56, 56), coarse=1)).findings
    details = [finding.detail for finding in found if finding.trap is Trap.OTHER_IMAGES]
    assert details == ["1 files repeated skipped", "3 files not DICOM skipped"]
