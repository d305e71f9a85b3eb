"""Names of UK Biobank's bulk files: round trip, near misses, pairs of archives."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinelift.errors import NoScansError
from spinelift.io.ukb_names import DIXON_FIELD, DXA_FIELD, UkbName
from spinelift.io.visits import find_archives, paired_visits

NAMES = st.builds(
    UkbName,
    eid=st.integers(1, 10**18 - 1),
    field=st.integers(1, 999_999),
    instance=st.integers(0, 999),
    array=st.integers(0, 999),
)
PIECES = st.text(string.digits + "_.-+ ab\n٣१²", max_size=24)


@given(NAMES)
def test_names_come_back(name):
    assert UkbName.parse(name.zip) == name
    assert UkbName.parse(f"/some/folder/{name.zip}") == name
    assert name.zip == f"{name.eid}_{name.field}_{name.instance}_{name.array}.zip"
    assert name.visit == f"{name.eid}_{name.instance}"


@given(NAMES, st.integers(0, 40), st.sampled_from("_٣१a -+²"))
def test_a_foreign_character_is_refused(name, place, character):
    stem = name.zip.removesuffix(".zip")
    place = min(place, len(stem))
    assert UkbName.parse(f"{stem[:place]}{character}{stem[place:]}.zip") is None


@given(PIECES)
def test_whatever_is_parsed_is_spelt_that_way(text):
    name = UkbName.parse(f"{text}.zip")
    assert name is None or name.zip == f"{text}.zip"


@pytest.mark.parametrize(
    "stem",
    [
        "01234567_20158_2_0",
        "1234567_020158_2_0",
        "1234567_20158_02_0",
        "0_20158_2_0",
        "1234567_0_2_0",
        f"{10**18}_20158_2_0",
        "1234567_1000000_2_0",
        "1234567_20158_1000_0",
        "1234567_20158_2_1000",
        "1234567_20158_2",
        "1234567_20158_2_0_copy",
        "1234567_20158_2_0 ",
        "1234567_20158_2_0\n",
        "١234567_20158_2_0",
        "-1234567_20158_2_0",
        "",
    ],
)
def test_near_misses_are_refused(stem):
    assert UkbName.parse(f"{stem}.zip") is None


def test_numbers_out_of_bounds_have_no_name():
    with pytest.raises(ValueError, match="no name"):
        UkbName(0, DXA_FIELD, 2)


def test_the_lowest_array_of_a_visit_is_taken(tmp_path):
    for folder, name in (
        ("a", "7_20158_2_10"),
        ("b", "7_20158_2_2"),
        ("c", "7_20158_3_0"),
        ("c", "7_20201_2_0"),
        ("d", "8_20158_2_0"),
        ("e", "8_20158_2_0"),
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"{name}.zip").touch()
    (tmp_path / "a" / "9_20158_2_0.zip").symlink_to(tmp_path / "gone.zip")
    (tmp_path / "a" / "9_20158_3_0.ZIP").touch()
    found, ignored = find_archives(tmp_path, DXA_FIELD)
    assert {visit: path.name for visit, path in found.items()} == {
        (7, 2): "7_20158_2_2.zip",
        (7, 3): "7_20158_3_0.zip",
        (8, 2): "8_20158_2_0.zip",
        (9, 3): "9_20158_3_0.ZIP",
    }
    assert ignored == {
        "with names of another kind": 1,
        "of a visit that has another archive": 2,
        "that are broken links or folders": 1,
    }
    with pytest.raises(NoScansError, match=r"no folder none\."):
        find_archives(tmp_path / "none", DIXON_FIELD)


def test_visits_of_a_cohort_need_both_archives(tmp_path):
    for folder, name in (("dxa", "7_20158_2_0"), ("dxa", "8_20158_2_0"), ("mri", "7_20201_2_1")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"{name}.zip").touch()
    (pair,) = paired_visits(tmp_path)
    assert (pair.key, pair.dxa.name, pair.mri.name) == ("7_2", "7_20158_2_0.zip", "7_20201_2_1.zip")
