"""What a NIfTI header says of places: units, sform and qform, and affines that are none."""

import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spinelift.errors import UnsupportedImageError
from spinelift.io.nifti.load import load_nifti

PROPERTY = settings(max_examples=150, deadline=None, derandomize=True)
VALUES = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)
AFFINE = np.array([[-2.0, 0.1, 0, 30], [0.1, 2.5, 0.2, -20], [0, -0.2, 3.0, 10], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("nifti") / "a.nii"


def saved(path: Path, affine, *, values=VALUES, unit="mm", qform=None, codes=(1, 0)):
    """A file whose sform holds any numbers, and whose qform is another affine."""
    image = nib.Nifti1Image(values, np.eye(4))
    image.header.set_xyzt_units(unit)
    if qform is not None:
        image.set_qform(qform, 1)
    nib.save(image, path)
    data = bytearray(path.read_bytes())
    struct.pack_into("<hh", data, 252, codes[1], codes[0])
    struct.pack_into("<12f", data, 280, *np.asarray(affine)[:3].ravel())
    path.write_bytes(data)
    return path


def place_of(path, index):
    """NIfTI millimetres of a stored voxel, by the value that it holds."""
    turned, affine = load_nifti(nib, path)
    at = np.argwhere(turned == VALUES[index])[0]
    return (affine @ [*at, 1])[:3]


@pytest.mark.parametrize(
    ("unit", "factor"), [("mm", 1.0), ("meter", 1e-3), ("micron", 1e3), ("unknown", 1.0)]
)
@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (1, 1), (4, 1)])
def test_places_in_every_unit(path, unit, factor, codes):
    scale = np.diag([factor] * 3 + [1])
    straight = np.diag([-2.0, 2.5, 3.0, 1.0])
    saved(path, scale @ straight, unit=unit, qform=scale @ straight, codes=codes)
    for index in ((0, 0, 0), (2, 1, 4)):
        np.testing.assert_allclose(place_of(path, index), (straight @ [*index, 1])[:3], atol=1e-4)


@PROPERTY
@given(
    entries=st.lists(
        st.one_of(
            st.sampled_from([0.0, 1.0, -1.0, 2.0, 1e-3, 1e3, np.inf, np.nan]), st.floats(-3, 3, width=32)
        ),
        min_size=9,
        max_size=9,
    )
)
def test_any_affine_is_read_right_or_refused(path, entries):
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(entries, (3, 3))
    saved(path, affine)
    try:
        place = place_of(path, (2, 1, 4))
    except UnsupportedImageError:
        return
    np.testing.assert_allclose(place, (affine @ [2, 1, 4, 1])[:3], atol=1e-2)


@PROPERTY
@given(apart=st.floats(0, 60).filter(lambda mm: abs(mm - 2) > 0.1), axis=st.integers(0, 2))
def test_sform_and_qform_of_two_places_are_refused(path, apart, axis):
    straight = np.diag([-2.0, 2.5, 3.0, 1.0])
    moved = straight.copy()
    moved[axis, 3] += apart
    saved(path, straight, qform=moved, codes=(1, 1))
    if apart > 2:
        with pytest.raises(UnsupportedImageError, match="sform and qform"):
            load_nifti(nib, path)
    else:
        np.testing.assert_allclose(place_of(path, (0, 0, 0)), 0, atol=1e-4)


def test_a_wrong_unit_is_named(path):
    with pytest.raises(UnsupportedImageError, match="unit: meter"):
        load_nifti(nib, saved(path, AFFINE, unit="meter"))


def test_a_background_of_nan_is_background_and_infinity_is_no_label(path):
    values = np.full((4, 4, 4), 7, np.float32)
    values[:2] = np.nan
    found, _ = load_nifti(nib, saved(path, AFFINE, values=values), labels=range(9))
    assert set(found.ravel().tolist()) == {0, 7}
    assert np.count_nonzero(found) == 32
    values[0, 0, 0] = np.inf
    with pytest.raises(UnsupportedImageError, match="no label map"):
        load_nifti(nib, saved(path, AFFINE, values=values), labels=range(9))
