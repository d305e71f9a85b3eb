"""What Python users call: any source in, and what a prediction can do."""

import dataclasses
import io
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from io_cases import members, phantom, visit_zip
from predict_cases import SPACING, spine_image, spine_png, spine_scan, write_bundle

import spinelift
from spinelift.errors import (
    ConfigError,
    InputTypeError,
    MissingExtraError,
    NoScansError,
    NoSpacingError,
    SpineliftError,
    UnsupportedImageError,
)
from spinelift.geometry import Spacing
from spinelift.inference import Prediction, load_model
from spinelift.io import find_scans, read_dxa

DEMO = Path(__file__).parents[2] / "src" / "spinelift" / "demo" / "1900003_20158_2_0.zip"
MM = (SPACING.row_mm, SPACING.col_mm)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(write_bundle(tmp_path_factory.mktemp("bundle")), threads=1)


@pytest.fixture(scope="module")
def prediction(model):
    return model.predict(spine_scan())


def bone_of(archive):
    """Bytes of the Total Body bone image of an archive."""
    return max(
        (data for data in members(archive).values() if b"Total Body" in data),
        key=lambda data: int(pydicom.dcmread(io.BytesIO(data)).InstanceNumber),
    )


def test_bytes_and_open_files_are_the_file(tmp_path):
    archive = visit_zip(tmp_path)
    want = read_dxa(archive)
    data = archive.read_bytes()
    with archive.open("rb") as file:
        named = read_dxa(file)
    assert (named.scan_id, named.sha256) == (want.scan_id, want.sha256) == ("1234567_2_0", want.sha256)
    for source in (data, bytearray(data), memoryview(data), io.BytesIO(data)):
        scan = read_dxa(source)
        assert (scan.bone == want.bone).all()
        assert (scan.tissue == want.tissue).all()
        assert scan.sha256 == want.sha256
        assert scan.scan_id == f"dxa-{want.sha256[:12]}"


def test_a_data_set_is_its_file(tmp_path):
    data = bone_of(visit_zip(tmp_path))
    want = read_dxa(data)
    for dataset in (pydicom.dcmread(io.BytesIO(data)), pydicom.Dataset(pydicom.dcmread(io.BytesIO(data)))):
        before = dataset.to_json()
        scan = read_dxa(dataset)
        assert (scan.bone == want.bone).all()
        assert scan.spacing == want.spacing
        assert dataset.to_json() == before
    assert read_dxa(pydicom.dcmread(io.BytesIO(data)), area="total-body").bone.shape == want.bone.shape


def test_a_data_set_made_by_hand():
    dataset = pydicom.Dataset()
    dataset.Rows, dataset.Columns = phantom().shape
    dataset.Modality, dataset.ProtocolName = "OT", "Total Body"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 7, 0, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelSpacing = [8.5, 8.0]
    dataset.PatientOrientation = ["L", "F"]
    dataset.PixelData = phantom().tobytes()
    assert (read_dxa(dataset).bone == phantom()).all()
    del dataset.Rows
    with pytest.raises(SpineliftError):
        read_dxa(dataset)
    with pytest.raises(SpineliftError):
        read_dxa(pydicom.Dataset())


def test_an_array_of_bytes_keeps_its_values_and_others_are_stretched():
    image = spine_image()
    scan = read_dxa(image, spacing_mm=MM)
    assert (scan.bone == image).all()
    assert scan.spacing == SPACING
    assert any("array has no header" in warning for warning in scan.warnings)
    deep = read_dxa(image.astype(np.uint16) * 100 + 7, spacing=SPACING)
    np.testing.assert_allclose(deep.bone, (image - image.min()) * (255 / np.ptp(image)), atol=1e-3)
    assert deep.scan_id != scan.scan_id
    assert read_dxa(image[:, ::-1][:, ::-1], spacing_mm=MM).scan_id == scan.scan_id  # by content, not memory


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((200, 80, 3), np.uint8),
        np.zeros(5),
        np.zeros((0, 80)),
        np.full((400, 200), np.nan),
        np.zeros((400, 200), complex),
        np.zeros((400, 200), object),
        np.zeros((400, 200), "datetime64[s]"),
    ],
)
def test_arrays_that_are_no_grey_image(array):
    with pytest.raises(UnsupportedImageError):
        read_dxa(array, spacing_mm=MM)


def test_a_scan_and_a_folder(model, tmp_path):
    scan = spine_scan()
    assert read_dxa(scan) is scan
    with pytest.raises(ConfigError):
        read_dxa(scan, spacing_mm=MM)
    archive = visit_zip(tmp_path)
    folder = tmp_path / "visit"
    folder.mkdir()
    for name, data in members(archive).items():
        (folder / Path(name).name).write_bytes(data)
    assert (read_dxa(folder).bone == read_dxa(archive).bone).all()
    assert (read_dxa(str(folder)).tissue == read_dxa(archive).tissue).all()


@given(
    st.one_of(
        st.none(), st.integers(), st.floats(), st.lists(st.integers()), st.tuples(), st.just(io.StringIO("x"))
    )
)
def test_another_type_is_a_type_error_of_spinelift(source):
    with pytest.raises(InputTypeError) as caught:
        read_dxa(source)
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, SpineliftError)


@pytest.mark.parametrize("spacing_mm", [2.4, (1, 2, 3), "ab", (None, 1), ("x", "y")])
def test_a_pixel_size_of_another_form(spacing_mm):
    with pytest.raises(TypeError):
        read_dxa(spine_image(), spacing_mm=spacing_mm)
    with pytest.raises(InputTypeError):
        read_dxa(spine_image(), spacing=(2.0, "x"))


def test_pixel_sizes_and_areas_that_make_no_sense():
    for spacing_mm in ((0, 1), (-1, -1), (np.nan, 1), (99, 99)):
        with pytest.raises(NoSpacingError):
            read_dxa(spine_image(), spacing_mm=spacing_mm)
    with pytest.raises(NoSpacingError):
        read_dxa(spine_image())
    with pytest.raises(InputTypeError):
        read_dxa(spine_image(), spacing_mm=MM, spacing=Spacing(*MM))
    with pytest.raises(ConfigError):
        read_dxa(spine_image(), spacing_mm=MM, area="hip")


def test_a_missing_file_is_a_file_not_found_error(model, tmp_path):
    for nothing in (read_dxa, lambda path: find_scans([path])):
        with pytest.raises(NoScansError, match="an empty path"):
            nothing("")
    with pytest.raises(FileNotFoundError) as caught:
        model.predict(tmp_path / "none.zip")
    assert isinstance(caught.value, NoScansError)
    assert "none.zip" in str(caught.value)


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    archive = visit_zip(tmp_path)
    with archive.open(encoding="latin-1") as text, pytest.raises(InputTypeError):
        read_dxa(text)
    with archive.open("rb") as file:
        pass
    with pytest.raises(InputTypeError, match="closed BufferedReader"):
        read_dxa(file)
    with (tmp_path / "new").open("wb") as file, pytest.raises(NoScansError):
        read_dxa(file)
    monkeypatch.setattr(
        Path, "open", lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "Permission denied"))
    )
    with pytest.raises(NoScansError, match="Permission denied"):
        read_dxa(archive)


@pytest.mark.parametrize("kind", [NoScansError, InputTypeError])
def test_errors_with_two_bases_survive_pickling(kind):
    error = kind(found="a", expected="b", do="C.")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (again.found, again.expected, again.do, str(again)) == ("a", "b", "C.", "Found a. Expected b. C.")


@pytest.mark.parametrize("workers", [1, 3])
def test_many_scans_in_order(model, tmp_path, workers):
    png = spine_png(tmp_path / "from-disk.png")
    sources = [png, tmp_path / "no.png", spine_image(), b"", None, png.read_bytes(), *[spine_image()] * 9]
    results = list(model.predict_many(iter(sources), workers=workers, spacing_mm=MM))
    kinds = [type(result).__name__ for result in results]
    assert kinds == [
        *("Prediction", "NoScansError", "Prediction", "EmptyFileError", "InputTypeError"),
        *["Prediction"] * 10,
    ]
    assert results[0].curves_json().replace(results[0].scan_id, "") == results[5].curves_json().replace(
        results[5].scan_id, ""
    )


def test_sources_are_taken_little_by_little(model):
    taken = []
    sources = (taken.append(k) or spine_scan() for k in range(100))
    results = model.predict_many(sources, workers=2)
    next(results)
    results.close()
    assert len(taken) <= 5


def test_one_source_is_not_many(model):
    for source in ("scan.zip", b"PK", Path("scan.zip"), io.BytesIO(), 3):
        with pytest.raises(InputTypeError):
            model.predict_many(source)
    with pytest.raises(ConfigError):
        model.predict_many([], workers=0)


def test_repr_is_one_short_line(prediction):
    text = repr(prediction)
    assert text.startswith("<Prediction 1234567_2: T1 to L5 ")
    assert text.endswith(f", {len(prediction.warnings)} warning{'s' * (len(prediction.warnings) != 1)}>")
    assert "Ferguson angle" in text
    assert len(text) < 120


def test_save_writes_the_files_of_predict(prediction, tmp_path):
    folder = prediction.save(str(tmp_path))
    assert folder == tmp_path / "1234567_2"
    assert sorted(p.name for p in folder.iterdir()) == ["curves.csv", "curves.json", "run.json"]
    assert (folder / "curves.json").read_text(encoding="utf-8") == prediction.curves_json()


def test_the_data_frame_is_the_table_of_the_file(prediction):
    frame, text = prediction.to_dataframe(), prediction.curves_csv().splitlines()
    assert frame.columns == text[0].split(",")
    np.testing.assert_allclose(
        frame.to_numpy(), [list(map(float, line.split(","))) for line in text[1:]], atol=6e-4
    )


def test_without_polars_the_error_names_it(prediction, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingExtraError, match="pip install polars"):
        prediction.to_dataframe()


def test_pictures(prediction):
    from spinelift.report.overlay import overlay_png

    assert prediction._repr_png_() == overlay_png(prediction.scene())
    assert len(prediction.plot().axes) == 2
    bare = dataclasses.replace(prediction, bone=None)
    assert bare._repr_png_() is None
    assert len(bare.plot().axes) == 2
    assert bare.curves_json() == prediction.curves_json()
    assert isinstance(pickle.loads(pickle.dumps(prediction)), Prediction)


def test_the_functions_of_the_package():
    (result,) = spinelift.predict_many([DEMO])
    assert result.curves_json() == spinelift.predict(DEMO).curves_json()


def test_python_m_spinelift():
    done = subprocess.run(
        [sys.executable, "-m", "spinelift", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"spinelift {spinelift.__version__}"


def test_a_fault_of_the_reader_is_not_taken_for_a_missing_file(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ValueError("a fault")

    monkeypatch.setattr("spinelift.io.dxa.read.pick_total_body", broken)
    with pytest.raises(ValueError, match="a fault") as caught:
        read_dxa(visit_zip(tmp_path))
    assert not isinstance(caught.value, SpineliftError)
