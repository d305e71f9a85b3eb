"""The Total Body pair where its two images do not quite agree, or are there in two encodings."""

import copy

import numpy as np
import pytest
from io_cases import dataset, encoded, phantom, visit_images, zip_of
from pydicom.uid import RLELossless

from spinelift.errors import AmbiguousScanError, UnsupportedImageError
from spinelift.io import read_dxa


def in_zip(path, pair, *more):
    """A zip of two Total Body data sets and others."""
    return zip_of(path, {f"{k}.dcm": encoded(data) for k, data in enumerate((*pair, *more))})


@pytest.fixture
def pair(tmp_path):
    """Tissue and bone image of one visit."""
    return [dataset(tmp_path, image=image) for image in visit_images()[:2]]


@pytest.mark.parametrize("written", ["1234567", "0001234567", "", "ANONYMOUS", " 1234567 "])
def test_a_patient_in_two_spellings_is_one_person(tmp_path, pair, written):
    pair[0].PatientID = written
    assert read_dxa(in_zip(tmp_path / "a.zip", pair)).tissue is not None


@pytest.mark.parametrize(
    ("field", "value", "cause"), [("PatientID", "7", "2 people"), ("StudyDate", "20200102", "two days")]
)
def test_a_pair_of_two_people_or_days_is_refused(tmp_path, pair, field, value, cause):
    setattr(pair[0], field, value)
    with pytest.raises(AmbiguousScanError, match=cause):
        read_dxa(in_zip(tmp_path / "a.zip", pair))


@pytest.mark.parametrize("new_uid", [True, False])
@pytest.mark.parametrize("first", ["plain", "coded"])
def test_images_that_are_there_in_two_encodings_are_read_once(tmp_path, pair, new_uid, first):
    coded = copy.deepcopy(pair)
    for data in coded:
        data.compress(RLELossless, generate_instance_uid=new_uid)
    both = (pair, coded) if first == "plain" else (coded, pair)
    scan = read_dxa(in_zip(tmp_path / "a.zip", both[0], *both[1]))
    np.testing.assert_array_equal(scan.bone, phantom())
    np.testing.assert_array_equal(scan.tissue, phantom(tissue=True))
    assert any("2 a copy in another encoding" in warning for warning in scan.warnings)


def test_two_images_of_one_number_in_two_encodings_are_no_copies(tmp_path, pair):
    pair[0].InstanceNumber = pair[1].InstanceNumber
    pair[0].compress(RLELossless)
    with pytest.raises(UnsupportedImageError, match="InstanceNumber"):
        read_dxa(in_zip(tmp_path / "a.zip", pair))
