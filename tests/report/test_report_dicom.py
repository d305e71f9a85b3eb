import io

import highdicom.sr as sr
import numpy as np
import pydicom
import pytest
import trimesh
from dicom_cases import ORIENTATIONS, SHA256, document, objects, scene, source_file, stored, study_of
from io_cases import members, visit_zip
from PIL import Image
from predict_cases import BOTTOM_XZ, HALF_WIDTH, TOP_XZ, spine_image
from pydicom.sr.codedict import codes
from report_cases import needs_pango, pdf_pages

from spinelift.errors import UnsupportedImageError
from spinelift.io import read_dxa
from spinelift.io.dxa.source import PATIENT, STUDY, read_source
from spinelift.report import DICOM_NAMES
from spinelift.report.dicom.segmentation import segmentation
from spinelift.report.dicom.structured import structured_report
from spinelift.report.dicom.study import Study
from spinelift.report.overlay import overlay_png
from spinelift.serve.node.objects import RESULT_CLASSES, SOP_CLASSES, read_object

pytestmark = needs_pango


def read(files):
    return {name: pydicom.dcmread(io.BytesIO(data)) for name, data in files.items()}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return source_file(tmp_path_factory.mktemp("dicom"))


@pytest.fixture(scope="module")
def files(path):
    return objects(path)


@pytest.fixture(scope="module")
def datasets(files):
    return read(files)


def test_a_node_knows_every_object_that_comes_back(files):
    found = [read_object(data) for data in files.values()]
    assert all(one.is_result for one in found)
    assert {one.sop_class for one in found} <= {*SOP_CLASSES, *RESULT_CLASSES}


def segmented(path):
    """The segmentation of a file of ``source_file``."""
    return pydicom.dcmread(io.BytesIO(segmentation(scene(), study_of(read_source(path)))))


def items(dataset):
    """Every content item below a data set."""
    for item in dataset.get("ContentSequence", ()):
        yield item
        yield from items(item)


def numbers(dataset):
    """(tracking identifier, name) → item, of every number that is in a group of measurements."""
    found = {}
    for group in items(dataset):
        if group.ValueType == "CONTAINER" and "ContentSequence" in group:
            tracked = [i.TextValue for i in group.ContentSequence if i.ValueType == "TEXT"][:1]
            for item in group.ContentSequence:
                if item.ValueType == "NUM":
                    found[tracked[0], name_of(item).CodeMeaning] = item
    return found


def name_of(item):
    return item.ConceptNameCodeSequence[0]


def code_value(item):
    return item.get("CodeValue") or item.get("LongCodeValue")


def polyline(item):
    return np.reshape(item.GraphicData, (-1, 2))


@pytest.mark.parametrize("letters", ORIENTATIONS)
def test_curves_and_mask_lie_on_the_column_of_the_stored_image(tmp_path, letters):
    """The column is slanted and not in the middle: any mirrored or shifted curve leaves it."""
    path = source_file(tmp_path, letters)
    source, drawn = read_source(path), scene()
    study = study_of(source)
    report = pydicom.dcmread(io.BytesIO(structured_report(drawn.curves, document(), study)))
    image = pydicom.dcmread(path).pixel_array
    np.testing.assert_array_equal(image, stored(spine_image(), letters))
    bright = image > 150
    lines = [polyline(i) for i in items(report) if i.ValueType == "SCOORD"]
    assert sorted(map(len, lines)) == [209, 209, 209, 419]
    left, centre, right, outline = lines
    columns, rows = np.floor(centre[2:-2]).astype(int).T
    assert bright[rows, columns].all()
    np.testing.assert_allclose((left + right) / 2, centre, atol=1e-3)
    np.testing.assert_allclose(outline[0], outline[-1])
    towards_left = {"L": (1, 0), "R": (-1, 0)}.get(letters[0]) or {"L": (0, 1), "R": (0, -1)}[letters[1]]
    assert ((left - right) @ towards_left > 2 * HALF_WIDTH / 2.43 - 1e-2).all()
    down = {"F": (1, 0), "H": (-1, 0)}.get(letters[0]) or {"F": (0, 1), "H": (0, -1)}[letters[1]]
    assert (np.diff(centre @ down) > 0).all()

    mask = pydicom.dcmread(io.BytesIO(segmentation(drawn, study))).pixel_array > 0
    assert mask.shape == image.shape
    assert (mask & bright).sum() / (mask | bright).sum() > 0.97
    mirrored = mask[:, ::-1] if letters[0] in "LR" else mask[::-1]
    assert (mirrored & bright).sum() / (mirrored | bright).sum() < 0.9


def test_coordinates_are_of_corners_not_of_centres(path):
    """The centre of the first pixel is (0.5, 0.5) in a SCOORD."""
    np.testing.assert_allclose(read_source(path).points([[0, 0], [2, 5]]), [[0.5, 0.5], [5.5, 2.5]])


def test_every_measure_is_written_with_its_code_unit_and_interval(datasets):
    found = numbers(datasets["sr.dcm"])
    expected = {
        ("spine", "Modified Ferguson angle"): (12.5, "ferguson_deg", "99SPINELIFT", "deg", (3.5, 2.0)),
        ("spine", "Kyphosis, T4 to T12"): (38.0, "kyphosis_deg", "99SPINELIFT", "deg", (3.5, 2.0)),
        ("spine", "Offset of T1 from L5, to the left"):
            (-9.0, "coronal_offset_mm", "99SPINELIFT", "mm", (3.5, 2.0)),
        ("spine", "Height from T1 to L5"): (500.0, "height_mm", "99SPINELIFT", "mm", None),
        ("curve 1", "Modified Ferguson angle"): (12.5, "ferguson_deg", "99SPINELIFT", "deg", (3.5, 2.0)),
        ("curve 1", "Cobb angle"): (17.0, "285285000", "SCT", "deg", None),
        ("curve 1", "Plane of maximum curvature"):
            (61.0, "curvature_plane_deg", "99SPINELIFT", "deg", (3.5, 2.0)),
        ("curve 1", "Geometric torsion"):
            (0.5, "torsion_deg_per_cm", "99SPINELIFT", "deg/cm", (3.5, 2.0)),
    }  # fmt: skip
    for key, (value, code, scheme, unit, interval) in expected.items():
        item = found.pop(key)
        measured = item.MeasuredValueSequence[0]
        assert float(measured.NumericValue) == value
        assert measured.MeasurementUnitsCodeSequence[0].CodeValue == unit
        assert (code_value(name_of(item)), name_of(item).CodingSchemeDesignator) == (code, scheme)
        bounds = {name_of(i).CodeValue: i for i in items(item) if i.ValueType == "NUM"}
        assert len(bounds) == (0 if interval is None else 2)
        for bound, side in zip(interval or (), ("371886008", "371885007"), strict=False):
            value = bounds[side].MeasuredValueSequence[0]
            assert float(value.NumericValue) == bound
            assert value.MeasurementUnitsCodeSequence[0].CodeValue == unit
    assert {name for _, name in found} == {"Path length", "Area"}


def test_findings_of_a_curve_are_codes(datasets):
    values = {
        name_of(i).CodeMeaning: i.ConceptCodeSequence[0]
        for i in items(datasets["sr.dcm"])
        if i.ValueType == "CODE"
    }
    assert values["Side of the convexity"].CodeMeaning == "Right"
    assert values["Apex vertebra"].CodeValue == codes.SCT.T8Vertebra.value
    assert values["Scoliosis by the modified Ferguson angle, degrees"].CodeValue == ">=10"
    comments = [i.TextValue for i in datasets["sr.dcm"].ContentSequence if i.ValueType == "TEXT"]
    assert {"odd", "the trunk is tilted"} < set(comments)


def test_the_report_is_read_back_as_tid_1500(files):
    report = sr.srread(io.BytesIO(files["sr.dcm"]))
    assert isinstance(report.content, sr.MeasurementReport)
    assert len(report.content.get_image_measurement_groups()) == 5
    (region,) = report.content.get_planar_roi_measurement_groups()
    assert region.roi.graphic_type == sr.GraphicTypeValues.POLYLINE


def test_a_result_without_measures_has_the_curves(path):
    plain = {k: v for k, v in document().items() if k not in ("measures", "screening")}
    written = structured_report(scene().curves, plain, study_of(read_source(path)))
    found = numbers(pydicom.dcmread(io.BytesIO(written)))
    assert {name for _, name in found} == {"Height from T1 to L5", "Path length", "Area"}


def test_the_capture_is_the_overlay(datasets):
    pixels = datasets["sc.dcm"].pixel_array
    with Image.open(io.BytesIO(overlay_png(scene()))) as picture:
        np.testing.assert_array_equal(pixels, np.asarray(picture.convert("RGB").reduce(2)))
    front = pixels[:, : pixels.shape[1] // 2].astype(int)
    line = (np.abs(front - (213, 94, 0)) < 12).all(-1)
    rows = np.flatnonzero(line.any(1))
    rows = np.split(rows, np.flatnonzero(np.diff(rows) > 60) + 1)[0]  # the legend is below
    top, bottom = (np.flatnonzero(line[r]).mean() for r in (rows[5], rows[-5]))
    assert top < bottom  # T1 is on the patient's right, which is left in the picture
    assert datasets["sc.dcm"].BurnedInAnnotation == "YES"
    assert not datasets["sc.dcm"].PatientOrientation


def test_the_mesh_is_in_millimetres_with_left_to_the_left(datasets):
    dataset = datasets["stl.dcm"]
    assert dataset.MeasurementUnitsCodeSequence[0].CodeValue == "mm"
    data = dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength]
    vertices = trimesh.load(io.BytesIO(data), file_type="stl").vertices
    x, _, z = vertices.T
    np.testing.assert_allclose([z.max(), z.min()], [-TOP_XZ[1], -BOTTOM_XZ[1]], atol=0.1)
    np.testing.assert_allclose(x[z > z.max() - 1].mean(), TOP_XZ[0], atol=0.5)
    np.testing.assert_allclose(x[z < z.min() + 1].mean(), BOTTOM_XZ[0], atol=0.5)


def test_the_page_is_a_pdf_of_one_page(datasets):
    dataset = datasets["pdf.dcm"]
    data = dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength]
    assert data.startswith(b"%PDF-")
    assert pdf_pages(data) == 1


def test_objects_join_the_study_and_refer_to_the_image(path, datasets):
    image = pydicom.dcmread(path)
    assert tuple(datasets) == DICOM_NAMES
    for dataset in datasets.values():
        for keyword in (*PATIENT, *STUDY):
            assert (dataset.get(keyword) or None) == (image.get(keyword) or None)
        assert dataset.SeriesInstanceUID != image.SeriesInstanceUID
        if dataset.Modality != "DOC":
            assert image.SOPInstanceUID in str(dataset)
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
        assert len({dataset[keyword].value for dataset in datasets.values()}) == 5


def test_the_same_input_gives_the_same_bytes_and_no_other_dates(path, files, datasets):
    assert objects(path) == files
    image = pydicom.dcmread(path)
    known = {image.StudyDate, image.StudyTime, image.PatientBirthDate, ""}
    for dataset in datasets.values():
        for element in dataset.iterall():
            if element.VR in ("DA", "TM", "DT"):
                assert (element.value or "") in known, element.keyword


def test_another_result_has_other_identifiers(path):
    other = document() | {"warnings": ["another"]}
    source = read_source(path)
    uids = {
        pydicom.dcmread(io.BytesIO(structured_report(scene().curves, d, study_of(source, d))))
        .SOPInstanceUID
        for d in (document(), other)
    }  # fmt: skip
    assert len(uids) == 2


def test_deidentified_objects_hold_nothing_of_the_header(path):
    image = pydicom.dcmread(path)
    secrets = [
        str(image[keyword].value).encode()
        for keyword in (*PATIENT, *STUDY, "SOPInstanceUID", "SeriesInstanceUID")
        if image.get(keyword) and len(str(image[keyword].value)) > 2
    ]
    assert len(secrets) >= 7
    files = objects(path, deidentified=True)
    for data in files.values():
        assert not [secret for secret in secrets if secret in data]
    found = read(files)
    assert {(d.PatientID, str(d.PatientName), d.PatientIdentityRemoved) for d in found.values()} == {
        ("scan", "scan^", "YES")
    }
    assert len({d.StudyInstanceUID for d in found.values()}) == 1
    assert found["sc.dcm"].BurnedInAnnotation == "NO"
    region = next(i for i in items(found["sr.dcm"]) if i.ValueType == "IMAGE")
    referenced = region.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert referenced in str(found["seg.dcm"])


def test_without_study_only_deidentified_objects_are_made(tmp_path):
    def change(data):
        del data.StudyInstanceUID

    path = source_file(tmp_path, change=change)
    with pytest.raises(UnsupportedImageError, match="StudyInstanceUID"):
        read_source(path)
    source = read_source(path, in_study=False)
    study = Study.of(source, document(), sha256=SHA256, deidentified=True)
    assert segmentation(scene(), study)


def test_a_picture_is_refused(tmp_path):
    picture = tmp_path / "bone.png"
    Image.fromarray(spine_image()).save(picture)
    with pytest.raises(UnsupportedImageError, match=r"bone\.png, a picture"):
        read_source(picture, in_study=False)


def test_invalid_elements_are_left_out(tmp_path):
    def change(data):
        data["PatientBirthDate"]._value = "about 1950"
        data.PatientSex = "X"
        data.PatientName = "Müller^Jürgen"
        data.SpecificCharacterSet = "ISO_IR 100"

    dataset = segmented(source_file(tmp_path, change=change))
    assert not dataset.PatientBirthDate
    assert not dataset.PatientSex
    assert str(dataset.PatientName) == "Müller^Jürgen"


def test_the_source_of_a_visit_is_its_bone_image(tmp_path):
    visit = visit_zip(tmp_path)
    images = [pydicom.dcmread(io.BytesIO(d)) for n, d in members(visit).items() if n.endswith(".dcm")]
    (bone,) = [i for i in images if (i.ProtocolName, i.InstanceNumber) == ("Total Body", 2)]
    assert read_source(visit).image.SOPInstanceUID == bone.SOPInstanceUID


def test_the_source_is_the_image_that_is_read(path):
    scan, source = read_dxa(path), read_source(path)
    indices = source.stored(np.arange(scan.bone.size).reshape(scan.bone.shape))
    image = pydicom.dcmread(path).pixel_array
    np.testing.assert_allclose(scan.bone.ravel()[indices], image)
