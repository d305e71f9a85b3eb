import io

import numpy as np
import pytest
from io_cases import HEIGHT_MM, WIDTH_MM, dataset, encoded, phantom, saved
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from spinelift.errors import (
    BlankImageError,
    ImageTooSmallError,
    MissingExtraError,
    NoSpacingError,
    TruncatedDicomError,
    UnsupportedImageError,
    WrongBodyPartError,
    WrongModalityError,
)
from spinelift.geometry import Spacing
from spinelift.io import read_dxa
from spinelift.simulate.archive.dxa import DxaImage

STANDARD = Spacing(HEIGHT_MM / 200, WIDTH_MM / 80)


def letters(length: int) -> bool:
    """Whether the first two bytes of a length, little endian, are capital letters."""
    return all(0x41 <= byte <= 0x5A for byte in length.to_bytes(4, "little")[:2])


def test_single_file_is_taken_as_bone_image_with_a_warning(tmp_path):
    for name in ("a.dcm", "b.ima", "c"):
        scan = read_dxa(saved(dataset(tmp_path), tmp_path / name))
        np.testing.assert_array_equal(scan.bone, phantom())
        assert scan.bone.dtype == np.float32
        assert scan.spacing == STANDARD
        assert scan.tissue is None
        assert scan.scan_id == name[0]
        assert len(scan.warnings) == 1
        assert "tissue" in scan.warnings[0]


def test_file_without_preamble_is_read(tmp_path):
    data = encoded(dataset(tmp_path))
    start = data.index(b"\x08\x00\x16\x00")  # SOPClassUID, after the file meta group
    for name in ("a.dcm", "noname"):
        (tmp_path / name).write_bytes(data[start:])
        np.testing.assert_array_equal(read_dxa(tmp_path / name).bone, phantom())


# (along the row, along the column) and the array that shows the phantom in that orientation
ORIENTED = {
    ("L", "F"): phantom(),
    ("R", "F"): phantom()[:, ::-1],
    ("L", "H"): phantom()[::-1],
    ("R", "H"): phantom()[::-1, ::-1],
    ("F", "L"): phantom().T,
    ("F", "R"): phantom()[:, ::-1].T,
    ("H", "L"): phantom()[::-1].T,
    ("H", "R"): phantom()[::-1, ::-1].T,
}


@pytest.mark.parametrize("letters", ORIENTED, ids="".join)
def test_every_orientation_gives_the_same_scan(tmp_path, letters):
    stored = np.ascontiguousarray(ORIENTED[letters])
    data = dataset(tmp_path)
    data.PatientOrientation = list(letters)
    data.Rows, data.Columns = stored.shape
    data.PixelData = stored.tobytes()
    transposed = letters[0] in "FH"
    data.ExposedArea = [HEIGHT_MM, WIDTH_MM] if transposed else [WIDTH_MM, HEIGHT_MM]
    scan = read_dxa(saved(data, tmp_path / "a.dcm"))
    np.testing.assert_array_equal(scan.bone, phantom())
    assert scan.spacing == STANDARD


@pytest.mark.parametrize("letters", [["A", "F"], ["P", "F"], ["L", "P"], ["L", "R"], ["L"], ["X", "Y"]])
def test_lateral_and_senseless_orientations_are_refused(tmp_path, letters):
    data = dataset(tmp_path)
    data.PatientOrientation = letters
    with pytest.raises(UnsupportedImageError, match="view"):
        read_dxa(saved(data, tmp_path / "a.dcm"))


@pytest.mark.parametrize("empty", [None, "", ["", ""], ["", " "]])
def test_missing_orientation_is_assumed_and_told(tmp_path, empty):
    data = dataset(tmp_path)
    data.PatientOrientation = empty
    if empty is None:
        del data.PatientOrientation
    scan = read_dxa(saved(data, tmp_path / "a.dcm"))
    np.testing.assert_array_equal(scan.bone, phantom())
    assert any("PatientOrientation" in warning for warning in scan.warnings)


def test_monochrome1_is_inverted(tmp_path):
    data = dataset(tmp_path)
    data.PhotometricInterpretation = "MONOCHROME1"
    data.PixelData = (255 - phantom()).tobytes()
    np.testing.assert_array_equal(read_dxa(saved(data, tmp_path / "a.dcm")).bone, phantom())


def deep(data, values: np.ndarray):
    """The data set with 16-bit pixels."""
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit = 15
    data.PixelRepresentation = int(values.dtype.kind == "i")
    data.PixelData = values.tobytes()
    return data


def test_16_bits_are_scaled_from_minimum_to_maximum(tmp_path):
    values = phantom().astype(np.uint16) * 100 + 1000
    scan = read_dxa(saved(deep(dataset(tmp_path), values), tmp_path / "a.dcm"))
    np.testing.assert_allclose(scan.bone, phantom() * (255 / 201), atol=1e-3)


def test_16_bits_obey_rescale_and_window(tmp_path):
    values = phantom().astype(np.int16) * 10 - 500
    data = deep(dataset(tmp_path), values)
    data.RescaleSlope, data.RescaleIntercept = 0.1, 50  # back to the phantom's own values
    data.WindowCenter, data.WindowWidth = 100.5, 201  # PS3.3 C.11.2.1.2: 0 → 0, 200 → 255
    scan = read_dxa(saved(data, tmp_path / "a.dcm"))
    np.testing.assert_allclose(scan.bone, np.minimum(phantom() * (255 / 200), 255), atol=1e-3)


def test_16_bits_monochrome1_with_negative_slope_is_bright_where_bone_is(tmp_path):
    data = deep(dataset(tmp_path), phantom().astype(np.uint16) * 16)
    data.PhotometricInterpretation = "MONOCHROME1"
    data.RescaleSlope, data.RescaleIntercept = -1, 4095
    scan = read_dxa(saved(data, tmp_path / "a.dcm"))
    np.testing.assert_allclose(scan.bone, phantom() * (255 / 201), atol=1e-3)


@pytest.mark.parametrize(("slope", "intercept"), [("1e308", "0"), ("1", "1e308"), ("0", "0")])
def test_an_absurd_rescale_is_refused(tmp_path, slope, intercept):
    data = deep(dataset(tmp_path), phantom().astype(np.uint16) * 16)
    data.RescaleSlope, data.RescaleIntercept = slope, intercept
    with pytest.raises(UnsupportedImageError, match="RescaleSlope"):
        read_dxa(saved(data, tmp_path / "a.dcm"))


def test_rle_is_exact_and_jpeg_is_close(tmp_path):
    data = dataset(tmp_path)
    data.compress(RLELossless)
    np.testing.assert_array_equal(read_dxa(saved(data, tmp_path / "rle.dcm")).bone, phantom())
    buffer = io.BytesIO()
    Image.fromarray(phantom()).save(buffer, "JPEG", quality=95)
    data = dataset(tmp_path)
    data.PixelData = encapsulate([buffer.getvalue()])
    data["PixelData"].VR = "OB"
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    scan = read_dxa(saved(data, tmp_path / "jpeg.dcm"))
    assert np.abs(scan.bone - phantom()).mean() < 1


def test_lossless_jpeg_2000_is_exact(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(phantom()).save(buffer, "JPEG2000", irreversible=False, no_jp2=True)
    data = dataset(tmp_path)
    data.PixelData = encapsulate([buffer.getvalue()])
    data["PixelData"].VR = "OB"
    data.file_meta.TransferSyntaxUID = JPEG2000Lossless
    np.testing.assert_array_equal(read_dxa(saved(data, tmp_path / "a.dcm")).bone, phantom())


def test_missing_decoder_names_the_package(tmp_path, monkeypatch):
    data = dataset(tmp_path)
    data.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    data["PixelData"].VR = "OB"
    data.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    path = saved(data, tmp_path / "a.dcm")
    monkeypatch.setattr("pydicom.pixels.decoders.base.Decoder.is_available", property(lambda self: False))
    with pytest.raises(MissingExtraError, match=r"spinelift\[jpeg\]"):
        read_dxa(path)
    data.file_meta.TransferSyntaxUID = HTJ2KLossless
    with pytest.raises(MissingExtraError, match="pip install pylibjpeg pylibjpeg-openjpeg"):
        read_dxa(saved(data, path))
    jpeg_xl = path.read_bytes().replace(HTJ2KLossless.encode(), b"1.2.840.10008.1.2.4.110")
    path.write_bytes(jpeg_xl)
    with pytest.raises(UnsupportedImageError, match=r"JPEG XL.* imagecodecs"):
        read_dxa(path)


def test_damaged_jpeg_and_foreign_codecs_are_refused(tmp_path):
    data = dataset(tmp_path)
    data.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    data["PixelData"].VR = "OB"
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    with pytest.raises(TruncatedDicomError):
        read_dxa(saved(data, tmp_path / "a.dcm"))
    data.file_meta.TransferSyntaxUID = MPEG2MPML
    with pytest.raises(UnsupportedImageError, match="MPEG2"):
        read_dxa(saved(data, tmp_path / "a.dcm"))


def test_deflated_files_are_expanded_up_to_a_limit(tmp_path, monkeypatch):
    data = dataset(tmp_path)
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = tmp_path / "a.dcm"
    data.save_as(path, implicit_vr=False, little_endian=True, enforce_file_format=True)
    np.testing.assert_array_equal(read_dxa(path).bone, phantom())
    monkeypatch.setattr("spinelift.io.dicom_parse.MAX_INFLATED_BYTES", 10_000)
    with pytest.raises(UnsupportedImageError, match="deflated"):
        read_dxa(path)
    monkeypatch.undo()
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(TruncatedDicomError):
        read_dxa(path)


def test_explicit_vr_is_read(tmp_path):
    data = dataset(tmp_path)
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = tmp_path / "a.dcm"
    data.save_as(path, implicit_vr=False, little_endian=True, enforce_file_format=True)
    np.testing.assert_array_equal(read_dxa(path).bone, phantom())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("SamplesPerPixel", 3),
        ("PhotometricInterpretation", "RGB"),
        ("PhotometricInterpretation", "PALETTE COLOR"),
        ("NumberOfFrames", 2),
        ("BitsAllocated", 32),
        ("Columns", 0),
    ],
)
def test_forms_other_than_one_grey_frame_are_refused(tmp_path, field, value):
    data = dataset(tmp_path)
    setattr(data, field, value)
    with pytest.raises(UnsupportedImageError):
        read_dxa(saved(data, tmp_path / "a.dcm"))


def test_every_cut_of_a_file_is_told(tmp_path):
    whole = encoded(dataset(tmp_path))
    pixels = len(whole) - phantom().size
    cuts = [*range(1, pixels, 5), pixels - 1, pixels, pixels + 1, len(whole) - 1]
    for cut in cuts:
        (tmp_path / "a.dcm").write_bytes(whole[:cut])
        with pytest.raises(TruncatedDicomError):
            read_dxa(tmp_path / "a.dcm")


@pytest.mark.parametrize("modality", ["CT", "MR", "PT", "US", "MG", ""])
def test_other_modalities_are_refused(tmp_path, modality):
    data = dataset(tmp_path)
    data.Modality = modality
    with pytest.raises(WrongModalityError, match=modality or "another kind"):
        read_dxa(saved(data, tmp_path / "a.dcm"))


@pytest.mark.parametrize("modality", ["CR", "DX", "BMD", "OT"])
def test_modalities_of_dxa_are_read(tmp_path, modality):
    data = dataset(tmp_path)
    data.Modality = modality
    data.ProtocolName = "WHOLE_BODY analysis"
    np.testing.assert_array_equal(read_dxa(saved(data, tmp_path / "a.dcm")).bone, phantom())


@pytest.mark.parametrize("area", ["AP Spine", "LVA", "Left Femur", "Right Ortho Knee"])
def test_other_areas_are_refused_by_name(tmp_path, area):
    data = dataset(tmp_path)
    data.ProtocolName = area
    with pytest.raises(WrongBodyPartError, match=area):
        read_dxa(saved(data, tmp_path / "a.dcm"))


@pytest.mark.parametrize("area", ["Ganzkörper", "Corps entier", "全身", "WB"])
def test_names_in_other_languages_are_judged_by_size_and_shape(tmp_path, area):
    data = dataset(tmp_path)
    data.SpecificCharacterSet, data.ProtocolName = "ISO_IR 192", area
    scan = read_dxa(saved(data, tmp_path / "a.dcm"))
    assert any("size and shape" in warning for warning in scan.warnings)
    data.ExposedArea = [120, 400]
    with pytest.raises(WrongBodyPartError, match=r"another name, 400 × 120 mm.*--area total-body"):
        read_dxa(saved(data, tmp_path / "a.dcm"))


def test_given_area_overrules_the_name(tmp_path):
    data = dataset(tmp_path)
    data.ProtocolName = "AP Spine"
    path = saved(data, tmp_path / "a.dcm")
    with pytest.raises(WrongBodyPartError, match="--area total-body"):
        read_dxa(path)
    scan = read_dxa(path, area="total-body")
    assert any("command line" in warning for warning in scan.warnings)


def test_acr_nema_without_preamble_and_meta_is_read(tmp_path):
    data = encoded(dataset(tmp_path))
    start = data.index(b"\x08\x00\x16\x00")
    body = data[start:]
    group = b"\x08\x00\x00\x00\x04\x00\x00\x00" + (body.index(b"\x10\x00\x10\x00")).to_bytes(4, "little")
    (tmp_path / "IM000001").write_bytes(group + body)
    np.testing.assert_array_equal(read_dxa(tmp_path / "IM000001").bone, phantom())


def test_unnamed_area_is_judged_by_its_proportions(tmp_path):
    data = dataset(tmp_path)
    del data.ProtocolName
    scan = read_dxa(saved(data, tmp_path / "a.dcm"))
    assert any("ProtocolName" in warning for warning in scan.warnings)
    data.ExposedArea = [300, 400]
    with pytest.raises(WrongBodyPartError, match="400 × 300 mm"):
        read_dxa(saved(data, tmp_path / "a.dcm"))


def test_spacing_fields_in_their_order(tmp_path):
    data = dataset(tmp_path)
    del data.ExposedArea
    path = tmp_path / "a.dcm"
    with pytest.raises(NoSpacingError, match="--spacing"):
        read_dxa(saved(data, path))
    data.ImagerPixelSpacing = [9.0, 8.5]
    assert read_dxa(saved(data, path)).spacing == Spacing(9.0, 8.5)
    data.PixelSpacing = [8.0, 7.5]
    assert read_dxa(saved(data, path)).spacing == Spacing(8.0, 7.5)


def test_spacing_at_the_detector_is_divided_by_the_magnification(tmp_path):
    data, path = dataset(tmp_path), tmp_path / "a.dcm"
    del data.ExposedArea
    data.ImagerPixelSpacing, data.EstimatedRadiographicMagnificationFactor = [10.0, 9.0], 1.25
    assert read_dxa(saved(data, path)).spacing == Spacing(8.0, 7.2)
    data.PixelSpacing = data.ImagerPixelSpacing
    assert read_dxa(saved(data, path)).spacing == Spacing(8.0, 7.2)
    data.PixelSpacing = [8.5, 8.0]
    assert read_dxa(saved(data, path)).spacing == Spacing(8.5, 8.0)


def test_decimal_commas_are_read(tmp_path):
    data = dataset(tmp_path)
    del data.ExposedArea
    data.PixelSpacing, data.RescaleSlope = [8.5, 8.25], "2.00"
    with_commas = encoded(data).replace(b"8.5\\8.25", b"8,5\\8,25").replace(b"2.00", b"2,00")
    (tmp_path / "a.dcm").write_bytes(with_commas)
    scan = read_dxa(tmp_path / "a.dcm")
    assert scan.spacing == Spacing(8.5, 8.25)


def test_size_of_a_total_body_is_checked_unless_the_area_is_given(tmp_path):
    data, path = dataset(tmp_path), tmp_path / "a.dcm"
    del data.ExposedArea
    data.ImagerPixelSpacing = [4.0, 4.0]
    with pytest.raises(ImageTooSmallError, match=r"800 × 320 mm.*--spacing.*--area total-body"):
        read_dxa(saved(data, path))
    assert read_dxa(path, spacing=STANDARD).spacing == STANDARD
    assert read_dxa(path, area="total-body").spacing == Spacing(4.0, 4.0)


def test_spacing_sources_must_agree_within_2_percent(tmp_path):
    data, path = dataset(tmp_path), tmp_path / "a.dcm"
    data.PixelSpacing = [8.5 * 1.019, 8.0]
    assert read_dxa(saved(data, path)).spacing == Spacing(8.5 * 1.019, 8.0)
    data.PixelSpacing = [8.5, 8.0 * 1.021]
    with pytest.raises(NoSpacingError, match="two pixel sizes"):
        read_dxa(saved(data, path))


@pytest.mark.parametrize("area", [[0, 0], [640, 64000], [80, 1700], [1, 2]])
def test_absurd_spacing_is_refused(tmp_path, area):
    data = dataset(tmp_path)
    data.ExposedArea = area
    with pytest.raises(NoSpacingError, match="absurd"):
        read_dxa(saved(data, tmp_path / "a.dcm"))


@pytest.mark.parametrize("value", [[0, 0], [-8.5, -8.0], [8.5, 99]])
def test_absurd_pixel_spacing_is_refused(tmp_path, value):
    data = dataset(tmp_path)
    data.PixelSpacing = value
    with pytest.raises(NoSpacingError, match="absurd"):
        read_dxa(saved(data, tmp_path / "a.dcm"))


def test_given_spacing_replaces_the_headers_and_is_told(tmp_path):
    path = saved(dataset(tmp_path), tmp_path / "a.dcm")
    scan = read_dxa(path, spacing=Spacing(9.0, 8.0))
    assert scan.spacing == Spacing(9.0, 8.0)
    assert any("command line" in warning for warning in scan.warnings)
    with pytest.raises(NoSpacingError):
        read_dxa(path, spacing=Spacing(99.0, 99.0))


def test_one_pixel_is_too_small_and_black_is_blank(tmp_path):
    one = DxaImage("Total Body", 2, np.full((1, 1), 9, np.uint8), 2, 2)
    with pytest.raises(ImageTooSmallError, match="1 × 1 pixels, 2 × 2 mm"):
        read_dxa(saved(dataset(tmp_path, image=one), tmp_path / "one.dcm"))
    black = DxaImage("Total Body", 2, np.zeros((200, 80), np.uint8), WIDTH_MM, HEIGHT_MM)
    black.pixels[5, 5] = 255  # one dead pixel does not make an image
    with pytest.raises(BlankImageError):
        read_dxa(saved(dataset(tmp_path, image=black), tmp_path / "black.dcm"))


def test_unusual_bodies_and_metal_are_told(tmp_path):
    image = phantom()
    image[150:190, 25:30] = 252
    metal = read_dxa(
        saved(dataset(tmp_path, image=DxaImage("Total Body", 2, image, 640, 1700)), tmp_path / "m")
    )
    assert any("metal" in warning for warning in metal.warnings)
    short = read_dxa(
        saved(dataset(tmp_path, image=DxaImage("Total Body", 2, phantom(), 500, 1100)), tmp_path / "s")
    )
    assert any("1.03 m tall" in warning for warning in short.warnings)


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("rows", [rows for rows in range(200, 420) if letters(rows * 270)])
def test_a_number_of_pixels_is_not_taken_for_a_type(tmp_path, rows, implicit):
    """The length 0x5750 is written as the bytes ``PW``, which look like a value representation."""
    image = np.pad(phantom(), ((0, rows - 200), (0, 190)))
    data = dataset(tmp_path)
    data.Rows, data.Columns, data.PixelData = *image.shape, image.tobytes()
    buffer = io.BytesIO()
    syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    data.file_meta.TransferSyntaxUID = syntax
    data.save_as(buffer, implicit_vr=implicit, little_endian=True)
    scan = read_dxa(buffer.getvalue(), spacing=Spacing(8.5, 8.0), area="total-body")
    np.testing.assert_array_equal(scan.bone, image)
