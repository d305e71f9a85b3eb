"""Numbers of simulated people, and headers that say the same in both archives of a visit."""

import io
import zipfile
from datetime import date

import numpy as np
import pydicom
import pytest
from dixon_cases import SMALL_PLANS, phantom_stations
from hypothesis import given
from hypothesis import strategies as st
from io_cases import visit_images
from typer.testing import CliRunner

from spinelift.cli import app
from spinelift.errors import ConfigError
from spinelift.io.ukb_names import DIXON_FIELD, UkbName
from spinelift.simulate.archive.dixon import write_dixon_zip
from spinelift.simulate.archive.dxa import write_dxa_zip
from spinelift.simulate.archive.headers import invent_study
from spinelift.simulate.body.physique import Physique, sample_physique
from spinelift.simulate.identity import MAX_PERSON, MAX_SEED, person_id

IDENTITY = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "PatientSize", "PatientWeight")
PEOPLE = st.tuples(st.integers(0, MAX_SEED), st.integers(0, MAX_PERSON))


@given(PEOPLE, PEOPLE)
def test_no_two_people_share_a_number_and_none_is_a_participant(one, other):
    first, second = person_id(*one), person_id(*other)
    assert (first == second) == (one == other)
    assert not 1_000_000 <= first <= 6_999_999
    assert 8 <= len(str(first)) <= 18
    assert int(np.int64(first)) == first
    assert UkbName.parse(UkbName(first, DIXON_FIELD, 2).zip).eid == first


def test_neighbouring_seeds_do_not_meet():
    assert person_id(0, 0) == 10_000_000
    assert person_id(7, MAX_PERSON) + 1 == person_id(8, 0)


@pytest.mark.parametrize("person", [(-1, 0), (MAX_SEED + 1, 0), (0, -1), (0, MAX_PERSON + 1)])
def test_numbers_out_of_range_are_refused(person):
    with pytest.raises(ConfigError, match="seed"):
        person_id(*person)


@pytest.mark.parametrize("options", [["--seed", str(MAX_SEED + 1)], ["--first", str(MAX_PERSON)]])
@pytest.mark.parametrize("kind", ["dxa", "cohort"])
def test_the_command_refuses_them_before_it_writes(tmp_path, options, kind):
    arguments = ["simulate", kind, "--people", "2", "--out", str(tmp_path), *options]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == ConfigError.exit_code
    assert "--seed" in result.output
    assert not list(tmp_path.iterdir())


def header(path):
    with zipfile.ZipFile(path) as archive:
        names = [n for n in archive.namelist() if n.endswith(".dcm")]
        headers = [pydicom.dcmread(io.BytesIO(archive.read(n)), stop_before_pixels=True) for n in names]
    (identity,) = {tuple(str(h[k].value) for k in IDENTITY) for h in headers}
    return dict(zip(IDENTITY, identity, strict=True)), headers[0]


@pytest.mark.parametrize("instance", [2, 3])
@pytest.mark.parametrize("known", [True, False])
def test_both_archives_of_a_visit_are_of_one_person(tmp_path, instance, known):
    physique = sample_physique(np.random.default_rng(5)) if known else None
    about = {"eid": 10_000_003, "instance": instance, "physique": physique}
    dxa = write_dxa_zip(tmp_path, visit_images(), rng=np.random.default_rng(1), **about)
    stations = phantom_stations(SMALL_PLANS)[:2]
    mri = write_dixon_zip(tmp_path, stations, rng=np.random.default_rng(2), **about)
    (one, first), (other, second) = header(dxa), header(mri)
    assert one == other
    assert first.StudyDate == second.StudyDate
    assert first.StudyInstanceUID != second.StudyInstanceUID
    if physique:
        assert one["PatientSex"] == physique.sex
        assert float(one["PatientSize"]) == pytest.approx(physique.height_mm / 1000, abs=1e-3)


@given(st.integers(1, 10**18 - 1), st.booleans(), st.floats(40, 85))
def test_headers_hold_sex_and_age_of_the_body(eid, female, age):
    rng = np.random.default_rng(0)
    person = invent_study(eid, 2, rng, Physique(female, age, 1700.0, 25.0, 0.0))
    assert person.PatientSex == ("F" if female else "M")
    days = date.fromisoformat(person.StudyDate) - date.fromisoformat(person.PatientBirthDate)
    assert days.days / 365.25 == pytest.approx(age, abs=0.01)
    again = invent_study(eid, 3, rng, Physique(female, age, 1700.0, 25.0, 0.0))
    assert (again.PatientName, again.PatientBirthDate) == (person.PatientName, person.PatientBirthDate)
    assert again.StudyDate > person.StudyDate
