"""Fields of two headers are compared; what they hold leaves neither the object nor the process."""

import copy
import pickle
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dixon_cases import phantom_stations
from hypothesis import given
from hypothesis import strategies as st
from io_cases import dataset, members, saved, visit_zip, zip_of

from spinelift.errors import IdentityMismatchError
from spinelift.io import read_dxa
from spinelift.io.dixon.read import read_dixon
from spinelift.io.dixon.volume import StitchGrid, Trap
from spinelift.io.identity import FIELDS, NOBODY, OTHER_NAME, Identity, check_same_person
from spinelift.simulate.archive.dixon import write_dixon_zip

ANN = {"PatientID": "1234567", "PatientBirthDate": "19500312", "PatientSex": "F"}
BOB = {"PatientID": "7654321", "PatientBirthDate": "19491130", "PatientSex": "M"}
GRID = StitchGrid(voxel_mm=4.0, shape=(350, 112, 112), coarse=2)


@given(st.sets(st.sampled_from(FIELDS)), st.sets(st.sampled_from(FIELDS)), st.sets(st.sampled_from(FIELDS)))
def test_fields_that_both_carry_and_that_differ_are_named(of_dxa, of_mri, changed):
    dxa = Identity({name: ANN[name] for name in of_dxa})
    mri = Identity({name: (BOB if name in changed else ANN)[name] for name in of_mri})
    expected = [name for name in FIELDS if name in of_dxa & of_mri & changed]
    assert dxa.differences(mri) == mri.differences(dxa) == expected
    if not expected:
        check_same_person(dxa, mri)
        return
    with pytest.raises(IdentityMismatchError) as caught:
        check_same_person(dxa, mri)
    assert all((name in str(caught.value)) == (name in expected) for name in FIELDS)
    assert not any(value in str(caught.value) for value in (*ANN.values(), *BOB.values()) if len(value) > 1)


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("PatientID", " ab12 ", "AB12\0"),
        ("PatientID", "001234567", "1234567"),
        ("PatientID", "123 4567", "１２３４５６７"),
        ("PatientBirthDate", "1950.03.12", "19500312"),
        ("PatientSex", "F", "female"),
        *(("PatientID", "1234567", text) for text in ("", "ANONYMOUS", "Anonymized", "XXXX", "0", "n/a")),
        *(("PatientBirthDate", "19500312", text) for text in ("", "19000101", "00010101", "1950", "?")),
        *(("PatientBirthDate", "19500312", text) for text in ("19500000", "195000", "1950-01-01")),
        *(("PatientSex", "F", text) for text in ("", "O", "U")),
    ],
)
def test_spellings_and_placeholders_do_not_differ(name, one, other):
    assert Identity({name: one}).differences(Identity({name: other})) == []


@pytest.mark.parametrize("text", ["1951", "19510000", "19510101", "19510312", "19500313", "19500412"])
def test_another_year_or_day_of_birth_differs(text):
    one, other = (Identity({"PatientBirthDate": date}) for date in ("19500312", text))
    assert one.differences(other) == other.differences(one) == ["PatientBirthDate"]


@pytest.mark.parametrize(
    ("path", "patient", "expected"),
    [
        ("1234567_20158_2_0.zip", "1234567", False),
        ("1234567_20158_2_0.zip", "1234567_2_0", False),
        ("1234567_20158_2_0.zip", "UKB1234567", False),
        ("1234567_20158_2_0.zip", "", False),
        ("1234567_20158_2_0.zip", "1234568", True),
        ("1234567_20158_2_0.zip", "a pseudonym", True),
        ("scan.zip", "1234568", False),
    ],
)
def test_a_name_is_compared_with_the_patient(path, patient, expected):
    assert Identity({"PatientID": patient}).contradicts(Path(path)) is expected


def test_nothing_is_shown_and_copies_are_empty():
    ann = Identity(ANN)
    for one in (copy.copy(ann), copy.deepcopy(ann), pickle.loads(pickle.dumps(ann))):
        assert one.differences(Identity(BOB)) == []
    held = repr(ann) + str(ann._digests) + str(ann._numbers) + str(pickle.dumps(ann))
    assert not any(value in held for value in ANN.values() if len(value) > 1)
    assert repr(ann) == "Identity()" == str(ann)
    assert not hasattr(ann, "__dict__")


def test_a_misnamed_dxa_is_read_with_a_warning(tmp_path):
    path = visit_zip(tmp_path)
    scan = read_dxa(path)
    assert "PatientID" in scan.identity.differences(Identity(BOB))
    assert OTHER_NAME not in scan.warnings
    other = read_dxa(path.rename(tmp_path / "7654321_20158_2_0.zip"))
    assert OTHER_NAME in other.warnings
    assert "1234567" not in repr(other)
    assert scan.identity.differences(other.identity) == []
    picture = replace(scan, identity=NOBODY)
    assert picture.identity.differences(scan.identity) == []


def test_dxa_and_mri_of_a_simulated_visit_carry_one_identity_and_repr_hides_it(tmp_path):
    stations = [s for s in phantom_stations() if s.contrast in ("F", "W")]
    rng = np.random.default_rng(1)
    volume = read_dixon(write_dixon_zip(tmp_path, stations, eid=1234567, instance=2, rng=rng), grid=GRID)
    mri = next((tmp_path).glob("*_20201_*"))
    path = visit_zip(tmp_path)
    scan, stranger = read_dxa(path), read_dxa(visit_zip(tmp_path, eid=1234568))
    check_same_person(scan.identity, volume.identity)
    assert set(stranger.identity.differences(volume.identity)) >= {"PatientID", "PatientBirthDate"}
    assert not any(f.trap is Trap.OTHER_NAME for f in volume.findings)
    header = dataset(tmp_path)
    secrets = (str(header.PatientName), header.PatientBirthDate)
    hidden = (
        scan,
        asdict(scan),
        volume,
        {k: v for k, v in asdict(volume).items() if k not in ("water", "fat")},
    )
    assert not any(value in repr(one) for value in secrets for one in hidden)
    misnamed = read_dixon(mri.rename(tmp_path / "1234568_20201_2_0.zip"), grid=GRID)
    assert [f.detail for f in misnamed.findings if f.trap is Trap.OTHER_NAME] == [OTHER_NAME]
    assert "1234567" not in repr(misnamed.findings)


def test_the_fast_path_and_other_encodings_carry_the_same_identity(tmp_path):
    """``PatientID`` in a character set of its own: bytes differ, the text does not."""
    data = dataset(tmp_path)
    data.SpecificCharacterSet, data.PatientID = "ISO_IR 100", "Zoë-12"
    one = read_dxa(saved(data, tmp_path / "latin.dcm"))
    data.SpecificCharacterSet = "ISO_IR 192"
    other = read_dxa(saved(data, tmp_path / "utf8.dcm"))
    assert one.identity.differences(other.identity) == []
    data.PatientID = "Zoe-12"
    assert read_dxa(saved(data, tmp_path / "z.dcm")).identity.differences(one.identity) == ["PatientID"]


def test_a_dixon_without_patient_is_nobody(tmp_path):
    stations = [s for s in phantom_stations() if s.contrast in ("F", "W")]
    path = write_dixon_zip(tmp_path, stations, eid=7, instance=2, rng=np.random.default_rng(1))
    contents = {n: d for n, d in members(path).items() if n.endswith(".dcm")}
    for name, data in contents.items():
        header = pydicom.dcmread(pydicom.filebase.DicomBytesIO(data))
        for field in FIELDS:
            setattr(header, field, "")
        buffer = pydicom.filebase.DicomBytesIO()
        header.save_as(buffer, enforce_file_format=True)
        contents[name] = buffer.getvalue()
    volume = read_dixon(zip_of(path, contents), grid=GRID)
    assert volume.identity.differences(Identity(ANN)) == []
