import dataclasses
import io
import pickle
import re
import tarfile
import warnings
import zipfile
from importlib.resources import files

import numpy as np
import pydicom
import pytest
from io_cases import (
    HEIGHT_MM,
    PERSONAL,
    WIDTH_MM,
    dataset,
    encoded,
    members,
    phantom,
    saved,
    visit_images,
    visit_zip,
    zip_of,
)
from PIL import Image
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    RLELossless,
)

from spinelift import errors
from spinelift.errors import (
    AmbiguousScanError,
    EmptyFileError,
    HostileArchiveError,
    NoDxaInArchiveError,
    NoScansError,
    NoSpacingError,
    TruncatedDicomError,
    TruncatedZipError,
    UnsupportedImageError,
    WrongBodyPartError,
    WrongModalityError,
)
from spinelift.geometry import Spacing
from spinelift.io import inputs, read_dxa
from spinelift.simulate.archive.dxa import DxaImage

SPACING = Spacing(8.5, 8.0)


def of(path, protocol: str = "Total Body", number: int = 2, **fields) -> bytes:
    """Bytes of one DICOM file with fields changed."""
    data = dataset(path, image=DxaImage(protocol, number, phantom(), WIDTH_MM, HEIGHT_MM))
    for field, value in fields.items():
        setattr(data, field, value)
    return encoded(data)


def test_folder_and_renamed_zip_give_the_same_pixels(tmp_path):
    path = visit_zip(tmp_path)
    folder = tmp_path / "1234567_20158_2_0"
    folder.mkdir()
    for name, data in members(path).items():
        (folder / name).write_bytes(data)
    renamed = tmp_path / "scan.bin"
    renamed.write_bytes(path.read_bytes())
    one, other, third = read_dxa(path), read_dxa(folder), read_dxa(renamed)
    assert one.scan_id == other.scan_id == "1234567_2_0"
    assert third.scan_id == "scan"
    for scan in (other, third):
        np.testing.assert_array_equal(scan.bone, one.bone)
        np.testing.assert_array_equal(scan.tissue, one.tissue)


def test_nothing_personal_leaves_the_reader(tmp_path):
    path = visit_zip(tmp_path)
    header = dataset(tmp_path / "..")
    scan = read_dxa(path.rename(tmp_path / "renamed.zip"))
    shown = pickle.dumps(scan) + repr(scan).encode() + repr(dataclasses.asdict(scan)).encode()
    for field in PERSONAL:
        for part in str(header[field].value).split("^"):
            assert part.encode() not in shown
    assert b"1234567" not in shown


def test_errors_do_not_quote_personal_fields(tmp_path):
    data = of(tmp_path, "LVA", PatientName="Secretname^Ann")
    broken = of(tmp_path, PatientName="Secretname^Ann", PatientID="Secretid")[:900]
    for name, content in (("Secretname_1.dcm", data), ("Secretname_2.dcm", broken)):
        path = zip_of(tmp_path / "a.zip", {name: content})
        with pytest.raises((WrongBodyPartError, TruncatedDicomError)) as caught:
            read_dxa(path)
        assert "Secret" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_lone_total_body_and_bare_manifest(tmp_path):
    scan = read_dxa(visit_zip(tmp_path, visit_images()[1:]))
    assert scan.tissue is None
    assert any("tissue" in warning for warning in scan.warnings)
    with pytest.raises(NoDxaInArchiveError):
        read_dxa(visit_zip(tmp_path, []))
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoDxaInArchiveError):
        read_dxa(tmp_path / "empty")


def test_other_areas_alone_are_refused_with_what_was_found(tmp_path):
    with pytest.raises(WrongBodyPartError, match="AP Spine, LVA"):
        read_dxa(visit_zip(tmp_path, visit_images()[2:]))


def test_mri_is_refused_by_name_and_by_content(tmp_path):
    path = visit_zip(tmp_path)
    with pytest.raises(errors.WrongModalityError, match="20201"):
        read_dxa(path.rename(tmp_path / "1234567_20201_2_0.zip"))
    with pytest.raises(errors.WrongModalityError, match="MR"):
        read_dxa(zip_of(tmp_path / "a.zip", {"a.dcm": of(tmp_path, Modality="MR")}))


def test_other_modalities_beside_the_dxa_are_passed_over(tmp_path):
    contents = {"a.dcm": of(tmp_path), "b.dcm": of(tmp_path, Modality="CT"), "._a.dcm": b"mac"}
    np.testing.assert_array_equal(read_dxa(zip_of(tmp_path / "a.zip", contents)).bone, phantom())


@pytest.mark.parametrize(
    ("first", "second", "error"),
    [
        ({"number": 1}, {"number": 2, "PatientID": "other"}, AmbiguousScanError),
        ({"number": 1}, {"number": 2, "StudyDate": "19990101"}, AmbiguousScanError),
        ({"number": 1, "ExposedArea": [600, 1700]}, {"number": 2}, AmbiguousScanError),
        ({"number": 2}, {"number": 2, "ContentTime": "010101"}, UnsupportedImageError),
        ({"number": 1}, {"number": 2, "InstanceNumber": None}, UnsupportedImageError),
    ],
    ids=["people", "days", "sizes", "equal numbers", "no number"],
)
def test_what_is_no_pair_is_refused(tmp_path, first, second, error):
    contents = {"a.dcm": of(tmp_path, **first), "b.dcm": of(tmp_path, **second)}
    with pytest.raises(error):
        read_dxa(zip_of(tmp_path / "a.zip", contents))


def test_three_total_bodies_are_too_many_but_copies_do_not_count(tmp_path):
    pair = {"a.dcm": of(tmp_path, number=1), "b.dcm": of(tmp_path, number=2)}
    read_dxa(zip_of(tmp_path / "a.zip", {**pair, "copy.dcm": pair["b.dcm"]}))
    with pytest.raises(AmbiguousScanError, match="3 Total Body"):
        read_dxa(zip_of(tmp_path / "a.zip", {**pair, "c.dcm": of(tmp_path, number=5)}))


def test_odd_members_beside_the_pair_are_passed_over_and_counted(tmp_path):
    copy, report = (pydicom.dcmread(io.BytesIO(of(tmp_path, number=2))) for _ in range(2))
    copy.compress(RLELossless, generate_instance_uid=False)
    report.SOPClassUID = EncapsulatedPDFStorage
    del report.PixelData
    contents = {
        "a.dcm": of(tmp_path, number=1),
        "b.dcm": of(tmp_path, number=2),
        "rgb.dcm": of(tmp_path, number=3, SamplesPerPixel=3, PhotometricInterpretation="RGB"),
        "frames.dcm": of(tmp_path, number=4, NumberOfFrames=2),
        "ct.dcm": of(tmp_path, number=5, Modality="CT"),
        "copy.dcm": encoded(copy),
        "report.dcm": encoded(report),
        "other.dcm": of(tmp_path, "AP Spine", PatientID="other"),
        "again.dcm": of(tmp_path, number=2),
        "README.txt": b"read me",
        "thumbs.db": b"\xd0\xcf\x11\xe0",
        "__MACOSX/._a.dcm": b"mac",
        "more.zip": b"PK\x03\x04",
        "manifest.cvs": b"name",
    }
    scan = read_dxa(zip_of(tmp_path / "a.zip", contents))
    np.testing.assert_array_equal(scan.bone, phantom())
    (warning,) = scan.warnings
    parts = ("2 in colour", "1 of another modality", "1 a copy", "1 without", "1 of another person")
    for part in (*parts, "1 repeated", "3 not DICOM", "1 that cannot be read"):
        assert part in warning
    (tmp_path / "folder").mkdir()
    for name, data in contents.items():
        if "/" not in name:
            (tmp_path / "folder" / name).write_bytes(data)
    (warning,) = read_dxa(tmp_path / "folder").warnings
    for part in (*parts, "1 repeated", "3 not DICOM"):
        assert part in warning


@pytest.mark.parametrize("harm", ["encrypted", "damaged", "bzip2", "link", "bomb"])
@pytest.mark.parametrize("name", ["README.txt", "report.dcm"])
def test_member_that_cannot_be_read_is_passed_over_beside_the_pair(tmp_path, harm, name):
    pair = {"a.dcm": of(tmp_path, number=1), "b.dcm": of(tmp_path, number=2)}
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_BZIP2 if harm == "bzip2" else zipfile.ZIP_DEFLATED
    info.create_system, info.external_attr = 3, (0o120777 if harm == "link" else 0o100644) << 16
    path = zip_of(tmp_path / "a.zip", pair)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(info, bytes(5 << 20) if harm == "bomb" else b"some text, some text, some text")
    data = bytearray(path.read_bytes())
    if harm == "encrypted":
        data[data.rindex(b"PK\x01\x02") + 8] |= 1
    if harm == "damaged":
        data[data.rindex(b"PK\x03\x04") + 30 + len(name) + 5] ^= 0xFF
    path.write_bytes(data)
    scan = read_dxa(path)
    np.testing.assert_array_equal(scan.bone, phantom())
    (warning,) = scan.warnings
    assert "1 that cannot be read" in warning or "1 damaged" in warning


def test_zip_of_archives_says_so(tmp_path):
    with pytest.raises(HostileArchiveError, match="inside"):
        read_dxa(zip_of(tmp_path / "a.zip", {"1.zip": b"PK\x03\x04", "2.zip": b"PK\x03\x04"}))


@pytest.mark.parametrize("head", sorted(inputs._NOT_READ))
def test_every_format_that_is_known_is_named(tmp_path, head):
    path = tmp_path / "a.dcm"
    path.write_bytes(head + bytes(300))
    with pytest.raises(UnsupportedImageError, match=f"which is {re.escape(inputs._NOT_READ[head])} file"):
        read_dxa(path, spacing=SPACING)


def test_a_tar_and_zeros_are_named(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("scan.dcm"))
    with pytest.raises(UnsupportedImageError, match="a tar file"):
        read_dxa(path)
    path.write_bytes(bytes(5000))
    with pytest.raises(UnsupportedImageError, match="zeros"):
        read_dxa(path)


@pytest.mark.parametrize("order", [1, -1])
def test_deflated_copy_of_one_of_the_pair_is_passed_over(tmp_path, order):
    contents = {}
    for name, number, syntax in (
        ("a.dcm", 1, ExplicitVRLittleEndian),
        ("b.dcm", 2, ExplicitVRLittleEndian),
        ("report.dcm", 2, DeflatedExplicitVRLittleEndian),
    ):
        data = pydicom.dcmread(io.BytesIO(of(tmp_path, number=number)))
        data.file_meta.TransferSyntaxUID = syntax
        buffer = io.BytesIO()
        data.save_as(buffer, implicit_vr=False, little_endian=True, enforce_file_format=True)
        contents[name] = buffer.getvalue()
    scan = read_dxa(zip_of(tmp_path / "a.zip", dict([*contents.items()][::order])))
    np.testing.assert_array_equal(scan.bone, phantom())
    assert scan.warnings == ("Files skipped beside the Total Body image: 1 a copy in another encoding.",)


def test_pair_is_found_by_size_where_names_are_in_another_language(tmp_path):
    contents = {
        "a.dcm": of(tmp_path, "Ganzkorper", 1),
        "b.dcm": of(tmp_path, "Ganzkorper", 2),
        "c.dcm": of(tmp_path, "LWS", 3, ExposedArea=[120, 180]),
    }
    assert read_dxa(zip_of(tmp_path / "a.zip", contents)).tissue is not None
    assert read_dxa(zip_of(tmp_path / "a.zip", contents), area="total-body").tissue is not None


def test_damaged_member_is_fatal_unless_the_pair_is_there(tmp_path):
    pair = {"a.dcm": of(tmp_path, number=1), "b.dcm": of(tmp_path, number=2)}
    cut = {"c.dcm": of(tmp_path, "LVA", 4)[:700]}
    scan = read_dxa(zip_of(tmp_path / "a.zip", pair | cut))
    assert any("damaged" in warning for warning in scan.warnings)
    for damage in (cut, {"c.dcm": b""}):
        with pytest.raises(TruncatedDicomError):
            read_dxa(zip_of(tmp_path / "a.zip", {"a.dcm": pair["a.dcm"]} | damage))


def test_files_that_are_no_scan(tmp_path):
    path = tmp_path / "scan.zip"
    path.write_bytes(b"")
    with pytest.raises(EmptyFileError):
        read_dxa(path)
    path.write_bytes(visit_zip(tmp_path).read_bytes()[:3000])
    with pytest.raises(TruncatedZipError):
        read_dxa(path)
    (tmp_path / "notes.txt").write_text("no scan")
    with pytest.raises(UnsupportedImageError):
        read_dxa(tmp_path / "notes.txt")
    with pytest.raises(NoScansError):
        read_dxa(tmp_path / "missing.zip")


def test_hostile_zip_writes_nothing(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    path = zip_of(inside / "a.zip", {"../escaped.dcm": of(tmp_path)})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(HostileArchiveError):
        read_dxa(path)
    assert sorted(tmp_path.rglob("*")) == before


def test_files_beyond_the_size_limit_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("spinelift.io.dxa.read.MAX_FILE_BYTES", 1000)
    with pytest.raises(HostileArchiveError):
        read_dxa(visit_zip(tmp_path))


@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "P"])
def test_pictures_of_8_bits_are_exact(tmp_path, suffix, mode):
    if (suffix, mode) == ("tiff", "P"):
        mode = "L"
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(phantom()).convert(mode).save(path)
    scan = read_dxa(path, spacing=SPACING)
    np.testing.assert_array_equal(scan.bone, phantom())
    assert scan.spacing == SPACING
    assert len(scan.warnings) == 1


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_pictures_of_16_bits_are_stretched(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(phantom().astype(np.uint16) * 300).save(path)
    np.testing.assert_allclose(read_dxa(path, spacing=SPACING).bone, phantom() * (255 / 201), atol=1e-3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_pictures_are_turned_as_exif_says(tmp_path, orientation, deep, suffix):
    picture = Image.fromarray(phantom().astype(np.uint16) * 300 if deep else phantom())
    if orientation > 1:  # the inverse of what the reader is to do
        turns = ["FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_90"]
        turn = [*turns, "TRANSVERSE", "ROTATE_270"][orientation - 2]
        picture = picture.transpose(Image.Transpose[turn])
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / f"a.{suffix}", exif=exif)
    scan = read_dxa(tmp_path / f"a.{suffix}", spacing=SPACING)
    np.testing.assert_allclose(scan.bone, phantom() * (255 / 201 if deep else 1), atol=1e-3)
    assert scan.spacing == SPACING


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparent_pixels_are_air(tmp_path, mode):
    shown, opacity = phantom(), np.where(phantom() > 0, 255, 0).astype(np.uint8)
    grey = np.where(opacity > 0, shown, 255).astype(np.uint8)
    picture = Image.merge("LA", [Image.fromarray(grey), Image.fromarray(opacity)]).convert(mode)
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_dxa(tmp_path / "a.png", spacing=SPACING).bone, phantom())


@pytest.mark.parametrize("deep", [False, True])
def test_transparent_grey_level_is_air(tmp_path, deep):
    clear = 60000 if deep else 250
    values = phantom().astype(np.uint16) * 200 if deep else phantom().copy()
    values[phantom() == 0] = clear
    values[0, 0] = 0
    Image.fromarray(values).save(tmp_path / "a.png", transparency=clear)
    bone = read_dxa(tmp_path / "a.png", spacing=SPACING).bone
    np.testing.assert_allclose(bone, phantom() * (255 / 201 if deep else 1), atol=1e-3)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
def test_tiff_that_stores_white_as_zero_is_inverted(tmp_path, deep, compression):
    stored = 65535 - phantom().astype(np.uint16) * 300 if deep else 255 - phantom()
    Image.fromarray(stored).save(tmp_path / "a.tiff", compression=compression)
    data = bytearray((tmp_path / "a.tiff").read_bytes())
    at = data.index(b"\x06\x01\x03\x00\x01\x00\x00\x00") + 8  # PhotometricInterpretation
    data[at : at + 2] = b"\x00\x00"
    (tmp_path / "a.tiff").write_bytes(data)
    bone = read_dxa(tmp_path / "a.tiff", spacing=SPACING).bone
    np.testing.assert_allclose(bone, phantom() * (255 / 201 if deep else 1), atol=1e-3)


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"\xff\xd8\xff\xe0", "a JPEG file"),
        (b"\xff\x0a", "JPEG XL.*pillow-jxl-plugin"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL.*pillow-jxl-plugin"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"%PDF-1.7", "a PDF"),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "tif", "dcm", "jxl"])
def test_formats_that_are_not_read_are_named_whatever_the_suffix(tmp_path, head, what, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(head + bytes(200))
    with pytest.raises(UnsupportedImageError, match=what):
        read_dxa(path, spacing=SPACING)


def test_pictures_need_a_plausible_spacing(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(phantom()).save(path)
    with pytest.raises(NoSpacingError, match=r"--spacing 2\.427,2\.419"):
        read_dxa(path)
    with pytest.raises(NoSpacingError, match="absurd"):
        read_dxa(path, spacing=Spacing(8500, 8000))


def test_pictures_in_colour_of_several_pages_or_damaged_are_refused(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.dstack([phantom(), phantom(), phantom() // 2])).save(path)
    with pytest.raises(UnsupportedImageError, match="colour"):
        read_dxa(path, spacing=SPACING)
    page = Image.fromarray(phantom())
    page.save(tmp_path / "a.tiff", save_all=True, append_images=[page])
    with pytest.raises(UnsupportedImageError, match="pages"):
        read_dxa(tmp_path / "a.tiff", spacing=SPACING)
    Image.fromarray(phantom() > 90).save(tmp_path / "f.tiff")
    with pytest.raises(UnsupportedImageError, match="mode"):
        read_dxa(tmp_path / "f.tiff", spacing=SPACING)
    page.save(path)
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(UnsupportedImageError, match="damaged"):
        read_dxa(path, spacing=SPACING)


def test_odd_header_values_reach_neither_warnings_nor_the_log(tmp_path, caplog):
    data = dataset(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.StudyDate = "secret day"
        path = saved(data, tmp_path / "a.dcm")
    caplog.clear()
    read_dxa(path)
    assert not caplog.records


def test_every_cause_has_its_own_exit_code():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = [k.exit_code for k in kinds if issubclass(k, errors.SpineliftError)]
    assert len(set(codes)) == len(codes)
    assert (EmptyFileError.exit_code, TruncatedDicomError.exit_code, TruncatedZipError.exit_code) == (
        10,
        11,
        12,
    )
    assert (NoDxaInArchiveError.exit_code, WrongBodyPartError.exit_code, NoSpacingError.exit_code) == (
        13,
        14,
        15,
    )
    assert (WrongModalityError.exit_code, NoScansError.exit_code, AmbiguousScanError.exit_code) == (
        18,
        20,
        23,
    )


def test_first_bytes_count_for_more_than_the_name(tmp_path):
    Image.fromarray(phantom()).save(tmp_path / "a.png")
    path = (tmp_path / "a.png").rename(tmp_path / "a.dcm")
    np.testing.assert_array_equal(read_dxa(path, spacing=SPACING).bone, phantom())
    path = saved(dataset(tmp_path), tmp_path / "b.zip")
    np.testing.assert_array_equal(read_dxa(path).bone, phantom())


def test_bytes_can_have_the_name_of_their_file():
    data = (files("spinelift") / "demo" / "1900003_20158_2_0.zip").read_bytes()
    assert read_dxa(data, name="1900003_20158_3_1.zip").scan_id == "1900003_3_1"
    with pytest.raises(errors.WrongModalityError, match="20201"):
        read_dxa(data, name="1900003_20201_2_0.zip")
