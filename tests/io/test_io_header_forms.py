"""Forms of one DICOM header that mean the same, and forms that mean nothing, each named as what it is."""

import copy
import io
import struct

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from io_cases import dataset, encoded, phantom
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from spinelift.errors import NoSpacingError, SpineliftError, UnsupportedImageError
from spinelift.io import read_dxa
from spinelift.io.dicom_image import to_grey

PROPERTY = settings(max_examples=25, deadline=None, derandomize=True)
DEEP = phantom().astype(np.uint16) * 16


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return dataset(tmp_path_factory.mktemp("plain"))


def changed(plain, **fields):
    """A copy with other elements; None removes one."""
    data = copy.deepcopy(plain)
    for name, value in fields.items():
        if value is not None:
            setattr(data, name, value)
        elif name in data:
            delattr(data, name)
    return data


def with_text(plain, keyword, text, vr=b"DS"):
    """Bytes of a file whose element holds any text, valid or not; the file has implicit types."""
    data = encoded(changed(plain, **{keyword: None}))
    group, element = pydicom.tag.Tag(keyword).group, pydicom.tag.Tag(keyword).element
    raw = text.encode() + b" " * (len(text) % 2)
    at = data.index(struct.pack("<HH", 0x7FE0, 0x10))
    return data[:at] + struct.pack("<HHI", group, element, len(raw)) + raw + data[at:]


NO_SIZE = {"ExposedArea": None, "PixelSpacing": None, "ImagerPixelSpacing": None}


@PROPERTY
@given(
    factor=st.floats(1.0, 1.6).map(lambda v: round(v, 3)),
    by_distances=st.booleans(),
    repeated=st.booleans(),
)
def test_spacing_at_the_detector_is_divided_by_the_magnification(plain, factor, by_distances, repeated):
    at_detector = [round(5.5 * factor, 6), round(5.0 * factor, 6)]
    fields = {**NO_SIZE, "ImagerPixelSpacing": at_detector}
    fields |= {"PixelSpacing": at_detector} if repeated else {}
    if by_distances:
        fields |= {"DistanceSourceToDetector": round(1000 * factor, 3), "DistanceSourceToPatient": 1000}
    else:
        fields |= {"EstimatedRadiographicMagnificationFactor": factor}
    spacing = read_dxa(encoded(changed(plain, **fields))).spacing
    assert (spacing.row_mm, spacing.col_mm) == pytest.approx((5.5, 5.0), abs=1e-4)


@pytest.mark.parametrize("written", ["8.5\\8", " 8,5 \\ 8,0 ", "8.5E+00\\.8e1", "+8.5\\08.00"])
def test_numbers_in_any_form(plain, written):
    spacing = read_dxa(with_text(changed(plain, **NO_SIZE), "PixelSpacing", written)).spacing
    assert (spacing.row_mm, spacing.col_mm) == (8.5, 8.0)


@pytest.mark.parametrize(
    "written", ["8.5 mm\\8 mm", "8.5,8.0", "8.5/8", "8.5", "8.5\\", "8.5\\8\\1", "Jane Roe", "\\"]
)
def test_a_spacing_that_is_not_two_numbers_is_named_and_can_be_given(plain, written):
    data = with_text(changed(plain, **NO_SIZE), "PixelSpacing", written)
    with pytest.raises(NoSpacingError, match="PixelSpacing") as caught:
        read_dxa(data)
    assert "Roe" not in str(caught.value)
    assert read_dxa(data, spacing_mm=(8.5, 8)).spacing.row_mm == 8.5


@pytest.mark.parametrize("keyword", ["WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept"])
def test_a_text_in_place_of_a_number_is_named_without_the_text(plain, keyword):
    with pytest.raises(UnsupportedImageError, match=keyword) as caught:
        read_dxa(with_text(plain, keyword, "Jane Roe"))
    assert "Roe" not in str(caught.value)


def test_an_instance_number_is_not_needed_for_one_image(plain):
    np.testing.assert_array_equal(read_dxa(with_text(plain, "InstanceNumber", "1 of 2")).bone, phantom())


@pytest.mark.parametrize("missing", ["BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel"])
def test_elements_with_an_obvious_value_may_be_missing(plain, missing):
    np.testing.assert_array_equal(read_dxa(encoded(changed(plain, **{missing: None}))).bone, phantom())


@pytest.mark.parametrize("missing", ["Rows", "Columns", "BitsAllocated", "PhotometricInterpretation"])
def test_elements_without_which_pixels_mean_nothing_are_named(plain, missing):
    with pytest.raises(UnsupportedImageError, match=f"without {missing}"):
        read_dxa(encoded(changed(plain, **{missing: None, "PixelSpacing": [8.5, 8.0]})))


AXES = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "H": (0, 0, 1), "F": (0, 0, -1)}


@PROPERTY
@given(
    rows=st.sampled_from("LRAPHF"),
    columns=st.sampled_from("LRAPHF"),
    tilt=st.lists(st.floats(-0.3, 0.3), min_size=6, max_size=6),
)
def test_the_direction_cosines_say_what_the_letters_would(plain, rows, columns, tilt):
    cosines = np.round(np.add([*AXES[rows], *AXES[columns]], tilt), 4)
    pixels = np.ascontiguousarray(np.tile(np.arange(240, dtype=np.uint8), (240, 1)))
    fields = {**NO_SIZE, "Rows": 240, "Columns": 240, "PixelSpacing": [5, 5], "PixelData": pixels.tobytes()}
    bones = []
    for orientation in (
        {"PatientOrientation": [rows, columns]},
        {"ImageOrientationPatient": cosines.tolist()},
    ):
        data = changed(plain, **fields, **({"PatientOrientation": None} | orientation))
        try:
            bones.append(read_dxa(encoded(data), area="total-body").bone)
        except UnsupportedImageError:
            bones.append(np.zeros((1, 1)))
    np.testing.assert_array_equal(*bones)


@pytest.mark.parametrize("little", [True, False])
@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("preamble", [True, False])
def test_every_encoding_without_meta_information(plain, little, implicit, preamble):
    if implicit and not little:
        pytest.skip("DICOM has no implicit big endian")
    data = changed(plain, BitsAllocated=16, BitsStored=12, HighBit=11)
    data.PixelData = DEEP.astype("<u2" if little else ">u2").tobytes()
    data["PixelData"].VR = "OW"
    del data.file_meta
    data.preamble = bytes(128) if preamble else None
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, data, implicit_vr=implicit, little_endian=little, enforce_file_format=False)
    np.testing.assert_allclose(read_dxa(stream.getvalue()).bone, DEEP * (255 / DEEP.max()), atol=1e-3)


@PROPERTY
@given(
    syntax=st.sampled_from([ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]),
    name=st.sampled_from(["ModalityLUTSequence", "VOILUTSequence"]),
    vr=st.sampled_from(["US", "SS"]),
    words=st.sampled_from(["OW", "US"]),
    first=st.integers(-3000, 0),
    rescaled=st.booleans(),
)
def test_tables_of_signed_values_in_every_encoding(plain, syntax, name, vr, words, first, rescaled):
    """The first mapped value is as signed as the values, however it is written."""
    order = "<" if syntax != ExplicitVRBigEndian else ">"
    rescaled = rescaled and name == "VOILUTSequence"
    signed = DEEP.astype(np.int16) + np.int16(first)
    data = changed(plain, BitsAllocated=16, BitsStored=16, HighBit=15, PixelRepresentation=int(not rescaled))
    data.PixelData = (DEEP if rescaled else signed).astype(f"{order}{'u' if rescaled else 'i'}2").tobytes()
    data["PixelData"].VR = "OW"
    if rescaled:
        data.RescaleSlope, data.RescaleIntercept = 1, first
    table = (np.sqrt(np.arange(4096)) * 1000).astype(np.uint16)
    item = pydicom.Dataset()
    item.add_new("LUTDescriptor", vr, [4096, first if vr == "SS" else first % 65536, 16])
    item.add_new("LUTData", words, table.astype(f"{order}u2").tobytes() if words == "OW" else table.tolist())
    setattr(data, name, Sequence([item]))
    data.file_meta.TransferSyntaxUID = syntax
    stream = io.BytesIO()
    implicit, little = syntax.is_implicit_VR, syntax.is_little_endian
    pydicom.dcmwrite(stream, data, implicit_vr=implicit, little_endian=little, enforce_file_format=True)
    expected = table[DEEP] * (255 / (table.max() if name == "VOILUTSequence" else table[DEEP].max()))
    np.testing.assert_allclose(read_dxa(stream.getvalue()).bone, expected, atol=1e-3)


@pytest.mark.parametrize("codec", ["plain", "RLE", "JPEG 2000"])
@pytest.mark.parametrize("high_bit", [11, 13, 15])
def test_bits_are_where_the_header_says_in_every_encoding(plain, codec, high_bit):
    cells = (DEEP | 5) << (high_bit - 11)
    cells |= 0x8000 if high_bit < 15 else 1  # bits that do not count
    data = changed(plain, BitsAllocated=16, BitsStored=12, HighBit=high_bit)
    data.PixelData = cells.tobytes()
    if codec == "RLE":
        data.compress(RLELossless)
    elif codec == "JPEG 2000":  # holds values, not cells
        stream = io.BytesIO()
        Image.fromarray(DEEP | 5).save(stream, "JPEG2000", irreversible=False, no_jp2=True)
        data.PixelData = encapsulate([stream.getvalue()])
        data["PixelData"].VR = "OB"
        data.file_meta.TransferSyntaxUID = JPEG2000Lossless
    expected = DEEP * (255 / DEEP.max())
    np.testing.assert_allclose(read_dxa(encoded(data)).bone, expected, atol=1e-3)


def test_a_window_of_one_value_is_a_step(plain):
    data = changed(plain, WindowCenter=100, WindowWidth=1)
    np.testing.assert_array_equal(read_dxa(encoded(data)).bone, np.where(phantom() > 99.5, 255, 0))
    data.VOILUTFunction = "SIGMOID"
    assert len(np.unique(read_dxa(encoded(data)).bone)) > 1


@pytest.mark.parametrize("padding", [65535, 256, 1000])
def test_padding_that_8_bits_cannot_hold_is_of_no_pixel(plain, padding):
    pixels = phantom()
    pixels[60:64, 20:28] = 255
    data = changed(plain)
    data.add_new("PixelPaddingValue", "US", padding)
    np.testing.assert_array_equal(to_grey(data, pixels), pixels)


@PROPERTY
@given(
    keyword=st.sampled_from(["ProtocolName", "Modality", "PatientOrientation", "PhotometricInterpretation"]),
    around=st.sampled_from(["", "hip", "spine", "F", "L"]),
)
def test_refusals_hold_no_text_of_a_header(plain, keyword, around):
    data = with_text(plain, keyword, f"ROE^JANE {around}")
    for options in ({}, {"area": "total-body"}):
        message = ""
        try:
            read_dxa(data, **options)
        except SpineliftError as error:
            message = str(error)
        assert "ROE" not in message
        assert "JANE" not in message


def test_refusals_hold_no_unknown_transfer_syntax(plain):
    data = encoded(plain).replace(b"1.2.840.10008.1.2\0", b"1.2.840.19700312\0\0")
    with pytest.raises(SpineliftError) as caught:
        read_dxa(data)
    assert "19700312" not in str(caught.value)
