import io
import zipfile
from datetime import date

import numpy as np
import pydicom
import pytest

from spinelift.curves import Curve
from spinelift.io import read_dxa
from spinelift.io.dxa.lateral import read_lateral
from spinelift.io.truth import read_truth
from spinelift.measures import coronal_angles
from spinelift.simulate.body.body import sample_body
from spinelift.simulate.body.posture import sample_side_posture
from spinelift.simulate.donors.choice import ALL_SHIPPED
from spinelift.simulate.dxa.scan import LVA_SHAPE, take_lateral, take_scan
from spinelift.simulate.identity import person_rng
from spinelift.simulate.people import write_people, write_person


@pytest.fixture(scope="module")
def person(tmp_path_factory):
    out = tmp_path_factory.mktemp("people")
    archive = write_person(out, 3, 0)
    return archive, read_truth(out / "truth" / "40000000_2.json")


def images(archive):
    with zipfile.ZipFile(archive) as z:
        members = [pydicom.dcmread(io.BytesIO(z.read(n))) for n in z.namelist() if n.endswith(".dcm")]
    return {(d.ProtocolName, d.InstanceNumber): d for d in members}


def test_the_reader_gives_back_pixels_and_spacing(person, prior):
    archive, truth = person
    rng = person_rng(3, 0)
    scan = take_scan(sample_body(prior, rng, donors=ALL_SHIPPED.load()), rng)
    read = read_dxa(archive)
    assert archive.name == "40000000_20158_2_0.zip"
    assert (read.scan_id, truth.scan_id) == ("40000000_2_0", "40000000_2")
    np.testing.assert_array_equal(read.bone, scan.bone)
    np.testing.assert_array_equal(read.tissue, scan.tissue)
    assert read.spacing.row_mm == pytest.approx(scan.spacing.row_mm, abs=1e-9)
    assert read.spacing.col_mm == pytest.approx(scan.spacing.col_mm, abs=1e-9)
    assert read.spacing.row_mm != read.spacing.col_mm
    z, mm = truth.dxa.z_mm, truth.dxa.curves_mm
    np.testing.assert_allclose(z, scan.curves.z_mm, atol=1e-3)
    np.testing.assert_allclose(mm, scan.curves.mm, atol=1e-3)


def test_every_image_of_a_visit_is_there(person):
    found = images(person[0])
    assert {("Total Body", 1), ("Total Body", 2)} <= set(found)
    lateral = next(d for (name, _), d in found.items() if name == "LVA")
    assert (lateral.Rows, lateral.Columns) == LVA_SHAPE
    assert len(np.unique(lateral.pixel_array)) <= 128


def test_headers_are_of_the_person_of_the_truth(person):
    archive, truth = person
    for header in images(archive).values():
        assert f"{header.PatientID}_2" == truth.scan_id
        assert header.PatientSex == truth.sex
        assert float(header.PatientSize) == pytest.approx(truth.height_mm / 1000, abs=1e-3)
        assert float(header.PatientWeight) == pytest.approx(truth.weight_kg, abs=0.1)
        days = date.fromisoformat(header.StudyDate) - date.fromisoformat(header.PatientBirthDate)
        assert days.days / 365.25 == pytest.approx(truth.age_years, abs=0.01)


def test_the_truth_lies_on_itself(person):
    """Centres of T1 to L5 lie on the true centre line, inside the outer curves, at its ends."""
    truth = person[1]
    z, mm = truth.dxa.z_mm, truth.dxa.curves_mm
    centres = truth.dxa.vertebra_centres_mm
    np.testing.assert_allclose(np.interp(centres[:, 2], z, mm[Curve.CENTRE]), centres[:, 0], atol=0.2)
    y = np.interp(centres[:, 2], z, mm[Curve.SAGITTAL])
    np.testing.assert_allclose(y - y.mean(), centres[:, 1] - centres[:, 1].mean(), atol=0.2)
    np.testing.assert_allclose(y, centres[:, 1], atol=1.0)
    assert 5 < centres[0, 2] - z[0] < 16
    assert 4 < z[-1] - centres[-1, 2] < 22
    np.testing.assert_allclose(np.diff(z), np.diff(z)[0], atol=2e-3)
    assert truth.dxa.ferguson_deg == pytest.approx(coronal_angles(z, mm[Curve.CENTRE]).ferguson_deg, abs=0.01)


def test_the_picture_shows_the_spine_where_the_truth_says(person):
    """Bone is brighter between the true outer curves than just beside them, row by row."""
    archive, truth = person
    scan = read_dxa(archive)
    z, mm = truth.dxa.z_mm, truth.dxa.curves_mm
    brighter = []
    for k in range(110, 200):  # below the ribs
        row = scan.bone[round(z[k] / scan.spacing.row_mm)]
        left, right = (mm[c, k] / scan.spacing.col_mm for c in (Curve.LEFT, Curve.RIGHT))
        inside = row[int(right) + 1 : int(left)].mean()
        beside = np.r_[row[int(left) + 4 : int(left) + 9], row[int(right) - 8 : int(right) - 3]].mean()
        brighter.append(inside > beside)
    assert np.mean(brighter) > 0.9


def test_the_same_seed_gives_the_same_bytes(person, tmp_path):
    again = write_person(tmp_path, 3, 0)
    assert again.read_bytes() == person[0].read_bytes()
    truth = read_truth(tmp_path / "truth" / "40000000_2.json")
    assert truth.model_dump_json() == person[1].model_dump_json()
    assert write_person(tmp_path, 4, 0).read_bytes() != person[0].read_bytes()


def test_complete_people_are_kept_and_cut_ones_made_again(person, tmp_path):
    counts = []
    write_people(tmp_path, people=2, seed=3, workers=1, advance=counts.append)
    assert sum(counts) == 2
    first = person[0]
    archive = tmp_path / "dxa" / first.name
    assert archive.read_bytes() == first.read_bytes()
    archive.write_bytes(b"cut short")
    (tmp_path / "truth" / "40000000_2.json").unlink()
    kept = tmp_path / "dxa" / "40000001_20158_2_0.zip"
    before = kept.stat().st_mtime_ns
    write_people(tmp_path, people=2, seed=3, workers=2, advance=counts.append)
    assert archive.read_bytes() == first.read_bytes()
    assert kept.stat().st_mtime_ns == before
    assert not list(tmp_path.rglob("*.part"))


def test_the_lateral_view_looks_from_the_side_arms_raised(body):
    view = take_lateral(body, np.random.default_rng(0)).image
    assert view.shape == LVA_SHAPE
    assert view.dtype == np.uint8
    np.testing.assert_array_equal(view, take_lateral(body, np.random.default_rng(0)).image)
    # The view is centred on T5 to L5 and columns grow to posterior: behind the back is air.
    assert view[:, -40:].max() == 0
    assert view[600:1200, 300:500].mean() > 2 * view[600:1200, -150:].mean()


def test_the_truth_of_the_lateral_view_lies_on_its_vertebrae(body):
    """Bodies are brighter than the soft parts in front of them, in another posture too, from T9 to L4."""
    supine = take_lateral(body, np.random.default_rng(0))
    posture = sample_side_posture(np.random.default_rng(5))
    side = take_lateral(body, np.random.default_rng(0), posture)
    for view in (supine, side):
        (y_top, z_top), (y_low, z_low) = view.ends_mm
        brighter = []
        for z in np.linspace(z_top + 0.35 * (z_low - z_top), z_low - 35, 60):
            front, centre, back = (np.interp(z, view.z_mm, curve) for curve in view.mm)
            assert front < centre < back
            row = view.image[round(z / view.spacing.row_mm)]
            inside, before = (
                row[round(low / view.spacing.col_mm) : round(high / view.spacing.col_mm)].mean()
                for low, high in ((front + 4, centre), (front - 22, front - 8))
            )
            brighter.append(inside > before)
        assert np.mean(brighter) > 0.75
        assert np.interp([z_top, z_low], view.z_mm, view.mm[1]) == pytest.approx([y_top, y_low], abs=1.5)
    lengths = [np.hypot(*np.diff([v.mm[1], v.z_mm])).sum() for v in (supine, side)]
    assert lengths[0] == pytest.approx(lengths[1], rel=0.01)
    bent = [np.polyval(np.polyfit(v.z_mm, v.mm[1], 1), v.z_mm) - v.mm[1] for v in (supine, side)]
    assert np.abs(bent[0] - bent[1]).max() > 1.0


def test_the_lateral_view_of_an_archive_is_that_of_its_truth(person):
    """The reader's image, cut to the canvas, has the mask and the line of the truth in the same place."""
    archive, truth = person
    view = read_lateral(archive, identity=read_dxa(archive).identity)
    assert view.image.shape == LVA_SHAPE
    assert view.spacing.row_mm == pytest.approx(0.2476, abs=2e-4)
    z, centre = truth.lva.z_mm, truth.lva.sagittal_mm[1]
    assert len(z) == 209
    assert 40 < np.interp(view.image.shape[0] * 0.5 * view.spacing.row_mm, z, centre) < 160
    assert truth.lva.posture.sway_deg.shape == (16,)
