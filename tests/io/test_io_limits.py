"""Whatever a file declares, reading takes seconds and little memory, and ends with a scan or its error."""

import io
import math
import struct
import zipfile
import zlib

import nibabel as nib
import numpy as np
import pytest
from hostile_cases import measured
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from io_cases import dataset, encoded, phantom
from PIL import Image

from spinelift.errors import SpineliftError, UnsupportedImageError
from spinelift.geometry import Spacing
from spinelift.io import read_dxa
from spinelift.io.dicom_parse import Budget, parse
from spinelift.io.nifti.load import load_nifti

SPACING = Spacing(8.5, 8.0)
SECONDS, MEGABYTES = 20, 1500
READ = {"NIfTI of zeros", "sparse folder, search"}
"""Cases that are no error."""
PROPERTY = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def test_small_inputs_that_expand_are_refused_in_seconds_and_little_memory(tmp_path):
    lines = [line.split("\t") for line in measured(tmp_path).splitlines()]
    assert len(lines) > 30
    for name, seconds, megabytes, error in lines:
        assert float(seconds) < SECONDS, name
        assert int(megabytes) < MEGABYTES, name
        assert (name in READ) == (error == ""), name


@given(depth=st.integers(0, 60), count=st.integers(0, 40), empty=st.booleans())
@PROPERTY
def test_a_header_within_the_budget_is_read_whatever_its_sequences(tmp_path, depth, count, empty):
    data = encoded(dataset(tmp_path))
    start, end = b"\x08\x00\x06\x00\xff\xff\xff\xff", b"\xfe\xff\xdd\xe0\0\0\0\0"
    item, item_end = b"\xfe\xff\x00\xe0\xff\xff\xff\xff", b"\xfe\xff\x0d\xe0\0\0\0\0"
    inner = b"" if empty else b"\x08\x00\x00\x01\x02\x00\x00\x00A "
    content = start + (item + inner + item_end) * count + end
    for _ in range(depth):
        content = start + item + content + item_end + end
    at = data.index(b"\x08\x00\x18\x00")
    found, more = parse(data[:at] + content + data[at:], ["Rows", "SOPInstanceUID"])
    assert (found.Rows, more) == (200, True)


def test_one_file_that_spends_the_budget_does_not_hide_the_next(tmp_path):
    data, budget = encoded(dataset(tmp_path)), Budget()
    with pytest.raises(UnsupportedImageError, match="more elements"):
        parse(data[:400] + bytes(10_000_000), ["Rows"], budget=budget)
    assert parse(data, ["Rows"], budget=budget)[0].Rows == 200


def picture(kind, **options):
    buffer = io.BytesIO()
    noise = np.random.default_rng(3).integers(0, 3, phantom().shape, np.uint8)
    Image.fromarray(phantom() + noise).save(buffer, kind, **options)
    return buffer.getvalue()


def zipped(data):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.dcm", data)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "PNG, Adler", "TIFF", "zip"])
@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
@PROPERTY
def test_a_changed_byte_is_found_by_the_checksum(tmp_path, kind, place, flip):
    if kind == "zip":
        whole = zipped(encoded(dataset(tmp_path)))
        start, end = 36, whole.index(b"PK\x01\x02") - 4  # the end of the block
    elif kind == "TIFF":
        whole = picture("TIFF", compression="tiff_adobe_deflate")
        with Image.open(io.BytesIO(whole)) as opened:
            start, end = opened.tag_v2[273][0], opened.tag_v2[273][0] + opened.tag_v2[279][0]
    else:
        whole = picture("PNG")
        start, end = 8, len(whole)
        if kind == "PNG, Adler":
            start, end = whole.index(b"IDAT") + 4, whole.index(b"IEND") - 8
    data = bytearray(whole)
    data[start + int(place * (end - start))] ^= flip
    if kind == "PNG, Adler":  # a writer that packs damaged pixels anew
        struct.pack_into(">I", data, end, zlib.crc32(bytes(data[start - 4 : end])))
    with pytest.raises(SpineliftError):
        read_dxa(bytes(data), spacing=None if kind == "zip" else SPACING)


def test_a_changed_byte_of_a_packed_nifti_is_found(tmp_path):
    path = tmp_path / "a.nii.gz"
    values = np.random.default_rng(4).integers(0, 900, (9, 8, 7)).astype(np.int16)
    nib.save(nib.Nifti1Image(values, np.eye(4)), path)
    whole = path.read_bytes()
    start = whole.index(b"a.nii") + 6 if b"a.nii" in whole[:40] else 10  # after gzip's own header
    for at in range(start, len(whole), 7):
        data = bytearray(whole)
        data[at] ^= 0x55
        path.write_bytes(data)
        with pytest.raises(UnsupportedImageError):
            load_nifti(nib, path)


NUMBERS = st.one_of(
    st.sampled_from(["1e38", "-1e38", "1e300", "1e-300", "1e999", "nan", "inf", "-inf", "0", "-1", "1,5"]),
    st.floats(allow_nan=True, allow_infinity=True).map(lambda value: f"{value:.8g}"),
)
FIELDS = (
    *("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "PixelPaddingValue"),
    *("PixelSpacing", "ImagerPixelSpacing", "EstimatedRadiographicMagnificationFactor", "ExposedArea"),
)


@pytest.mark.parametrize("deep", [False, True])
@given(values=st.dictionaries(st.sampled_from(FIELDS), NUMBERS, min_size=1, max_size=4))
@example(values={"RescaleSlope": "1e38"})
@example(values={"ImagerPixelSpacing": "1e300", "EstimatedRadiographicMagnificationFactor": "1e300"})
@example(values={"WindowCenter": "1e300", "WindowWidth": "1e-300"})
@PROPERTY
def test_numbers_that_leave_the_reader_are_finite(tmp_path, deep, values):
    data = dataset(tmp_path)
    if deep:
        data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
        data.PixelData = (phantom().astype(np.uint16) * 16).tobytes()
    raw = encoded(data)
    at = raw.index(b"\xe0\x7f\x10\x00")
    header = b""
    for keyword in sorted(values, key=TAGS.__getitem__):
        text = values[keyword].encode()
        text = text + b"\\" + text if keyword in TWICE else text
        header += TAGS[keyword] + struct.pack("<I", len(text) + len(text) % 2) + text + b" " * (len(text) % 2)
    try:
        scan = read_dxa(raw[:at] + header + raw[at:])
    except SpineliftError:
        return
    assert np.isfinite(scan.bone).all()
    assert math.isfinite(scan.spacing.row_mm * scan.spacing.col_mm)
    assert scan.bone.min() >= 0
    assert scan.bone.max() <= 255


TWICE = ("PixelSpacing", "ImagerPixelSpacing", "ExposedArea")
TAGS = {
    "ExposedArea": b"\x40\x00\x03\x03",
    "ImagerPixelSpacing": b"\x18\x00\x64\x11",
    "EstimatedRadiographicMagnificationFactor": b"\x18\x00\x14\x11",
    "PixelSpacing": b"\x28\x00\x30\x00",
    "PixelPaddingValue": b"\x28\x00\x20\x01",
    "WindowCenter": b"\x28\x00\x50\x10",
    "WindowWidth": b"\x28\x00\x51\x10",
    "RescaleIntercept": b"\x28\x00\x52\x10",
    "RescaleSlope": b"\x28\x00\x53\x10",
}


@given(
    values=st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), min_size=27, max_size=27),
    slope=st.sampled_from([1.0, 1e38, math.nan, math.inf, 0.0]),
    inter=st.sampled_from([0.0, 1e38, -math.inf]),
)
@PROPERTY
def test_voxels_that_leave_the_reader_are_finite(tmp_path, values, slope, inter):
    path = tmp_path / "a.nii"
    nib.save(nib.Nifti1Image(np.array(values, np.float32).reshape(3, 3, 3), np.eye(4)), path)
    data = bytearray(path.read_bytes())
    struct.pack_into("<ff", data, 112, slope, inter)
    path.write_bytes(data)
    try:
        voxels, affine = load_nifti(nib, path)
    except SpineliftError:
        return
    assert np.isfinite(voxels).all()
    assert np.isfinite(affine).all()
